// What handlers answer with. It is written into the connection's output, which sends it when there is nothing more to be
// answered at the moment.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include "../serving/buffers.hpp"
#include "message.hpp"

namespace http {

/// The Date field's value, made anew once a second.
class date_text {
  public:
    std::string_view now();

  private:
    std::chrono::sys_seconds made_{};
    std::array<char, 29> text_{};  // "Sun, 06 Nov 1994 08:49:37 GMT"
};

/// Either send(), or begin(), write() as often as one likes, and flush() whenever the client shall see it.
class response {
  public:
    response(const request& to, serving::output& out, date_text& date, bool keep_alive)
        : request_(to), out_(out), date_(date), keep_alive_(keep_alive) {}

    /// One more field, before send() or begin(). The texts must live until then.
    void add_field(std::string_view name, std::string_view value) { extra_ = {name, value}; }

    void send(status s, std::string_view type, std::string_view body);

    /// A body that is not known yet: in chunks, or, for HTTP/1.0, ended by the end of the connection.
    void begin(status s, std::string_view type);
    void write(std::string_view piece);
    /// False: nobody is there any more, and the rest need not be made.
    bool flush() { return out_.flush(); }

    /// After the handler: ends a body in chunks. A handler that has sent nothing has sent an empty page.
    void finish();

    /// Whether another response can follow. Known when this one is finished.
    bool keep_alive() const noexcept { return keep_alive_; }

  private:
    void write_head(status s, std::string_view type);

    const request& request_;
    serving::output& out_;
    date_text& date_;
    field extra_;
    bool keep_alive_;
    bool begun_ = false;
    bool chunked_ = false;  // and not ended
};

}  // namespace http
