// From one connection to another, or from a file to one, where possible without a way through the program's memory.
#pragma once

#include <cstdint>
#include <limits>
#include <system_error>

#include <vole/net/conn.hpp>

namespace vole::inline v0::net {

inline constexpr std::uint64_t copy_all = std::numeric_limits<std::uint64_t>::max();

/// Reads from `from` until its end, or `limit` bytes, and writes all of it to `to`: by splice(2) between sockets and
/// pipes of the system, else by way of a buffer. Gives how much was written. Deadlines of both hold. Neither is closed.
std::uint64_t copy(conn& to, conn& from, std::uint64_t limit = copy_all);
std::uint64_t copy(conn& to, conn& from, std::uint64_t limit, std::error_code& ec);

/// The same from a file, from its current offset on, which is moved by what was written: by sendfile(2), else by way of a
/// buffer. Reading the file may block the calling goroutine's thread: it is announced as vole::blocking() does.
std::uint64_t send_file(conn& to, int file, std::uint64_t limit = copy_all);
std::uint64_t send_file(conn& to, int file, std::uint64_t limit, std::error_code& ec);

}  // namespace vole::net
