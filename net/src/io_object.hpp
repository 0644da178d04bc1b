// What stands behind a connection, a listener or a packet socket: a socket (socket.hpp) or one end of a pipe (pipe.hpp).
//
// No virtual functions: the public classes look at `kind`, which never changes, and call the one or the other.
#pragma once

#include <cstdint>
#include <system_error>

#include <vole/net/endpoint.hpp>

namespace vole::inline v0::detail {

enum class io_kind : std::uint8_t { socket, pipe };

struct io_object {
    explicit io_object(io_kind k) noexcept : kind(k) {}
    io_object(const io_object&) = delete;
    io_object& operator=(const io_object&) = delete;

    const io_kind kind;
    const char* network = "";  // "tcp": for people
    net::endpoint local;       // these two are written before anybody else knows the object
    net::endpoint remote;

  protected:
    ~io_object() = default;
};

/// Which direction: bits.
enum : unsigned { dir_read = 1, dir_write = 2 };

/// Throws op_error, with what is known of `it` (which may be null), where there is room for the unwinder.
[[noreturn]] void throw_op_error(std::error_code e, const char* op, const io_object* it);
/// The same if there is an error: the end of each throwing form.
inline void check(const std::error_code& ec, const char* op, const io_object* it) {
    if (ec) [[unlikely]]
        throw_op_error(ec, op, it);
}
[[noreturn]] void throw_op_error(std::error_code e, const char* op, const char* network,
                                 std::string_view source, std::string_view address);

}  // namespace vole::detail
