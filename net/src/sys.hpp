// System calls on descriptors. The result, or -errno: errno is a thread's, and a goroutine may change threads.
//
// Not by libc: its wrappers are cancellation points, two atomic operations each in a program with threads, and resolve
// symbols at the first call, for which a stack of 2 KiB has no room. In place, not behind functions: the kernel's own calls
// have used up the processor's predictions of returns, so each return on the way out is a wrong one, 5 to 10 ns.
// Under TSan by libc, whose interceptors know that what was sent happens before what is received.
//
// Stack: any; inside the runtime, so that the thread stays the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <vole/arch/port.hpp>
#include <vole/config.hpp>

#include "runtime/internal/may_fail.hpp"

namespace vole::inline v0::detail::sys {

using result = std::int64_t;

template <class T>
long word(T a) noexcept {
    if constexpr (std::is_pointer_v<T>) {
        return reinterpret_cast<long>(a);
    } else {
        return static_cast<long>(a);
    }
}

template <fallible Row, class... Args>
result call(long number, Args... args) noexcept {
    if (const int e = fault(Row); e != 0) [[unlikely]]
        return -e;
    return arch::this_port::system_call(number, word(args)...);
}

#if defined(VOLE_TSAN)

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
void close(int fd) noexcept;

#else

inline result read(int fd, void* to, std::size_t n) noexcept {
    return call<fallible::read>(SYS_read, fd, to, n);
}
inline result write(int fd, const void* from, std::size_t n) noexcept {
    return call<fallible::write>(SYS_write, fd, from, n);
}
inline result writev(int fd, const iovec* from, int n) noexcept {
    return call<fallible::writev>(SYS_writev, fd, from, n);
}
/// No SIGPIPE from these.
inline result send(int fd, const void* from, std::size_t n) noexcept {
    return call<fallible::send>(SYS_sendto, fd, from, n, MSG_NOSIGNAL);
}
inline result send(int fd, const msghdr* m) noexcept {
    return call<fallible::send>(SYS_sendmsg, fd, m, MSG_NOSIGNAL);
}
inline result recv(int fd, void* to, std::size_t n) noexcept {
    return call<fallible::recv>(SYS_recvfrom, fd, to, n);
}
inline result recv(int fd, msghdr* m) noexcept { return call<fallible::recv>(SYS_recvmsg, fd, m); }
/// Non-blocking and close-on-exec.
inline result accept(int fd, sockaddr* from, socklen_t* size) noexcept {
    return call<fallible::accept>(SYS_accept4, fd, from, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
inline result connect(int fd, const sockaddr* to, socklen_t size) noexcept {
    return call<fallible::connect>(SYS_connect, fd, to, size);
}
inline void close(int fd) noexcept {
    make_or_fail<fallible::close>([fd] { return arch::this_port::system_call(SYS_close, fd); });
}

#endif

/// -EAGAIN: there is nothing to read.
result poll_in(int fd) noexcept;

}  // namespace vole::detail::sys
