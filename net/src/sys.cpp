// See sys.hpp.
#include "net/src/sys.hpp"

#include <cerrno>
#include <ctime>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/internal/deep.hpp"

namespace vole::inline v0::detail::sys {

VOLE_FITS_SMALL_STACK;

namespace {

result value_or_error(std::int64_t r) noexcept { return r >= 0 ? r : -result{errno}; }

}  // namespace

result poll_in(int fd) noexcept {
    pollfd p{fd, POLLIN, 0};
    const timespec now{};
    const result r = value_or_error(syscall(SYS_ppoll, &p, 1, &now, nullptr, 0));
    return r != 0 ? r : -result{EAGAIN};
}

#if defined(VOLE_TSAN)

result read(int fd, void* to, std::size_t n) noexcept { return value_or_error(::read(fd, to, n)); }
result write(int fd, const void* from, std::size_t n) noexcept {
    return value_or_error(::write(fd, from, n));
}
result writev(int fd, const iovec* from, int n) noexcept {
    return value_or_error(::writev(fd, from, n));
}
result send(int fd, const void* from, std::size_t n) noexcept {
    return value_or_error(::send(fd, from, n, MSG_NOSIGNAL));
}
result send(int fd, const msghdr* m) noexcept {
    return value_or_error(::sendmsg(fd, m, MSG_NOSIGNAL));
}
result recv(int fd, void* to, std::size_t n) noexcept {
    return value_or_error(::recv(fd, to, n, 0));
}
result recv(int fd, msghdr* m) noexcept { return value_or_error(::recvmsg(fd, m, 0)); }
result accept(int fd, sockaddr* from, socklen_t* size) noexcept {
    return value_or_error(::accept4(fd, from, size, SOCK_NONBLOCK | SOCK_CLOEXEC));
}
result connect(int fd, const sockaddr* to, socklen_t size) noexcept {
    return value_or_error(::connect(fd, to, size));
}
void close(int fd) noexcept { ::close(fd); }

#else

result read(int fd, void* to, std::size_t n) noexcept {
    return value_or_error(syscall(SYS_read, fd, to, n));
}
result write(int fd, const void* from, std::size_t n) noexcept {
    return value_or_error(syscall(SYS_write, fd, from, n));
}
result writev(int fd, const iovec* from, int n) noexcept {
    return value_or_error(syscall(SYS_writev, fd, from, n));
}
result send(int fd, const void* from, std::size_t n) noexcept {
    return value_or_error(syscall(SYS_sendto, fd, from, n, MSG_NOSIGNAL, nullptr, 0));
}
result send(int fd, const msghdr* m) noexcept {
    return value_or_error(syscall(SYS_sendmsg, fd, m, MSG_NOSIGNAL));
}
result recv(int fd, void* to, std::size_t n) noexcept {
    return value_or_error(syscall(SYS_recvfrom, fd, to, n, 0, nullptr, nullptr));
}
result recv(int fd, msghdr* m) noexcept { return value_or_error(syscall(SYS_recvmsg, fd, m, 0)); }
result accept(int fd, sockaddr* from, socklen_t* size) noexcept {
    return value_or_error(syscall(SYS_accept4, fd, from, size, SOCK_NONBLOCK | SOCK_CLOEXEC));
}
result connect(int fd, const sockaddr* to, socklen_t size) noexcept {
    return value_or_error(syscall(SYS_connect, fd, to, size));
}
void close(int fd) noexcept { syscall(SYS_close, fd); }

#endif

}  // namespace vole::detail::sys
