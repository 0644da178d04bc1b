// Descriptors that were opened elsewhere: sockets, pipes, terminals, whatever can be polled.
#pragma once

#include <system_error>

#include <vole/net/conn.hpp>
#include <vole/net/listen.hpp>
#include <vole/net/packet.hpp>

namespace vole::inline v0::net {

/// Takes over a descriptor: it is made non-blocking and close-on-exec, and closed with the object. If that fails, it
/// stays the caller's. errc::not_pollable for what cannot be waited for, such as files on a disk: use those inside
/// vole::blocking().
[[nodiscard]] conn adopt_conn(int fd);
[[nodiscard]] conn adopt_conn(int fd, std::error_code& ec);
[[nodiscard]] listener adopt_listener(int fd);
[[nodiscard]] listener adopt_listener(int fd, std::error_code& ec);
[[nodiscard]] packet_conn adopt_packet_conn(int fd);
[[nodiscard]] packet_conn adopt_packet_conn(int fd, std::error_code& ec);

/// A pipe of the system: {to read, to write}.
[[nodiscard]] std::pair<conn, conn> os_pipe();
[[nodiscard]] std::pair<conn, conn> os_pipe(std::error_code& ec);

}  // namespace vole::net
