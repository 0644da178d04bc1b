// Bytes to HTTP/1.1 requests, as RFC 9112 wants it. Nothing here reads from a connection, waits or allocates, but for the
// list of fields, which is kept from one request to the next.
//
// Wherever the RFC lets a server choose between guessing and refusing, it refuses: what two programs may read in two
// ways is how requests are smuggled past one of them. So: lines end in CRLF (a bare LF or CR is an error), no folded
// fields, no blank before a colon, one Content-Length, no Transfer-Encoding but chunked, and never both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "message.hpp"

namespace http {

struct limits {
    std::size_t head =
        16 * 1024;  ///< bytes of request line and fields; also of a chunked body's trailers
    std::size_t fields = 100;        ///< how many
    std::size_t body = 1024 * 1024;  ///< bytes, without what chunks add
};

/// Finds the end of a request's head: its first empty line. Says the same however the bytes come in pieces, and looks at
/// each of them once.
class head_scanner {
  public:
    struct result {
        std::size_t size = 0;  ///< of the head, with empty lines before it; 0: there must be more
        status error = status::none;
    };

    /// Everything that is unread: at a second call, the same bytes and more.
    result scan(std::string_view unread, const limits& most);

    /// For the next head.
    void reset() noexcept { *this = head_scanner(); }

  private:
    std::size_t searched_ =
        0;                  // no line ends in the bytes before, but for those that were dealt with
    std::size_t line_ = 0;  // where the current line begins
    bool begun_ = false;    // a line has been seen that was not empty
};

/// Reads a head that the scanner has found. none: it is well-formed, and the server can deal with it. Otherwise the
/// answer; the request may hold a part of it then.
status parse_head(std::string_view head, const limits& most, request& to);

/// Takes a chunked body apart.
class chunk_decoder {
  public:
    struct result {
        std::size_t used = 0;  ///< bytes that belong to the body: all, unless it is done
        bool done = false;
        status error = status::none;
    };

    /// What has come, each byte once. Data are appended to `body`, trailers are read and forgotten.
    result feed(std::string_view bytes, const limits& most, std::string& body);

  private:
    enum class at : std::uint8_t {
        size_first,     // a digit must come
        size,           // more digits, or the end of the size
        extension,      // after ';' or a blank: ignored up to the end of line
        size_lf,        // after the CR of that line
        data,           // left_ bytes more
        data_cr,        // what ends the data
        data_lf,        // ... after its CR
        trailer_first,  // the beginning of a line after the last chunk
        trailer,        // further on in such a line
        trailer_lf,     // after its CR
        last_lf,        // after the CR of the empty line
        end,
    };

    status step(char c, const limits& most, std::size_t collected);

    at at_ = at::size_first;
    std::uint64_t left_ = 0;    // of the chunk
    std::size_t overhead_ = 0;  // bytes of this line of size, or of all trailers
};

}  // namespace http
