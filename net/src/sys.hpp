// System calls on descriptors. The result, or -errno: errno is a thread's, and a goroutine may change threads.
//
// Not by libc: its wrappers are cancellation points, two atomic operations each in a program with threads, and resolve
// symbols at the first call, for which a stack of 2 KiB has no room. Under TSan by libc, whose interceptors know that
// what was sent happens before what is received.
//
// Stack: any; inside the runtime, so that the thread stays the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include <sys/socket.h>
#include <sys/uio.h>

namespace vole::inline v0::detail::sys {

using result = std::int64_t;

result read(int fd, void* to, std::size_t n) noexcept;
result write(int fd, const void* from, std::size_t n) noexcept;
result writev(int fd, const iovec* from, int n) noexcept;
/// No SIGPIPE from these.
result send(int fd, const void* from, std::size_t n) noexcept;
result send(int fd, const msghdr* m) noexcept;
result recv(int fd, void* to, std::size_t n) noexcept;
result recv(int fd, msghdr* m) noexcept;
/// Non-blocking and close-on-exec.
result accept(int fd, sockaddr* from, socklen_t* size) noexcept;
result connect(int fd, const sockaddr* to, socklen_t size) noexcept;
/// -EAGAIN: there is nothing to read.
result poll_in(int fd) noexcept;
void close(int fd) noexcept;

}  // namespace vole::detail::sys
