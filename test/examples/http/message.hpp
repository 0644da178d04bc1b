// HTTP requests and status codes as values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace http {

enum class status : std::uint16_t {
    none = 0,  ///< nothing to complain about, so far
    continue_ = 100,
    ok = 200,
    bad_request = 400,
    not_found = 404,
    method_not_allowed = 405,
    request_timeout = 408,
    content_too_large = 413,
    uri_too_long = 414,
    expectation_failed = 417,
    fields_too_large = 431,
    not_implemented = 501,
    version_not_supported = 505,
};

std::string_view reason(status s) noexcept;

struct field {
    std::string_view name, value;
};

/// All texts are views into the buffer that the request was read into.
struct request {
    std::string_view method;
    std::string_view target;  ///< as it was sent
    std::vector<field> fields;
    std::string_view body;
    int minor_version = 1;  ///< of HTTP/1

    // What the fields say about the body and the connection.
    std::uint64_t content_length = 0;
    bool chunked = false;
    bool expects_continue = false;
    bool keep_alive = true;

    /// The target without scheme, host and query.
    std::string_view path() const noexcept;
    /// What follows '?'; "" if nothing does.
    std::string_view query() const noexcept;
    /// The value of the first field of that name, in whatever case; null: there is none.
    const std::string_view* find(std::string_view name) const noexcept;
};

/// Equal but for the case of ASCII letters.
bool same(std::string_view a, std::string_view b) noexcept;

}  // namespace http
