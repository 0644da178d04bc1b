// One connection: requests are read, answered and sent in a loop that says what it does. It waits in one place, read_more(),
// and nobody but its own goroutine waits with it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

#include <vole/vole.hpp>

#include "../serving/buffers.hpp"
#include "../serving/session.hpp"
#include "parser.hpp"
#include "response.hpp"
#include "router.hpp"

namespace http {

/// How long things may take.
struct patience {
    vole::clock::duration idle = std::chrono::seconds(60);   ///< between requests
    vole::clock::duration head = std::chrono::seconds(10);   ///< all of it, from its first byte on
    vole::clock::duration body = std::chrono::seconds(30);   ///< all of it
    vole::clock::duration write = std::chrono::seconds(10);  ///< one write
};

struct settings {
    http::limits limits;
    http::patience patience;
};

struct counters {
    std::atomic<std::uint64_t> connections = 0;  ///< accepted so far
    std::atomic<std::uint64_t> open = 0;         ///< of these, not ended yet
    std::atomic<std::uint64_t> requests = 0;     ///< answered so far
};

class connection {
  public:
    connection(vole::net::conn& conn, serving::session& session, const router& routes,
               const settings& s, counters& count)
        : conn_(conn), session_(session), router_(routes), settings_(s), count_(count),
          out_(conn, s.patience.write) {}

    /// Returns when the connection is of no more use.
    void serve();

  private:
    /// none: there is one; request_ is complete, and its texts stay where they are until done_with_request().
    /// nullopt: there is none, and nobody to tell. Else what to answer.
    std::optional<status> read_request();
    std::optional<status> read_head(std::size_t& size);
    std::optional<status> read_body(std::size_t head);
    std::optional<status> read_counted(std::size_t head);
    std::optional<status> read_chunks(std::size_t head);
    void done_with_request();

    bool read_more();
    std::optional<status> lost() const;
    void refuse(status s);
    void hang_up();

    vole::net::conn& conn_;
    serving::session& session_;
    const router& router_;
    const settings& settings_;
    counters& count_;
    serving::input in_;
    serving::output out_;
    head_scanner scanner_;
    request request_;
    std::string body_;      // one that did not come together with its head
    std::size_t used_ = 0;  // bytes of in_ that the request takes
    std::error_code read_error_;
    date_text date_;
};

}  // namespace http
