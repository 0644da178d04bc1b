// See sys.hpp.
#include "net/src/sys.hpp"

#include <cerrno>
#include <ctime>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/src/os.hpp"
#include "runtime/internal/deep.hpp"

namespace vole::inline v0::detail::sys {

VOLE_FITS_SMALL_STACK;

namespace {

template <fallible Row, class F, class... Args>
result made(F* f, Args... args) noexcept {
    const result r = may_fail<Row>(f, args...);
    return r >= 0 ? r : -result{errno};
}

}  // namespace

result poll_in(int fd) noexcept {
    pollfd p{fd, POLLIN, 0};
    const timespec now{};
    const result r = made<fallible::poll_look>(::syscall, SYS_ppoll, &p, 1, &now, nullptr, 0);
    return r != 0 ? r : -result{EAGAIN};
}

#if defined(VOLE_TSAN)

result read(int fd, void* to, std::size_t n) noexcept {
    return made<fallible::read>(::read, fd, to, n);
}
result write(int fd, const void* from, std::size_t n) noexcept {
    return made<fallible::write>(::write, fd, from, n);
}
result writev(int fd, const iovec* from, int n) noexcept {
    return made<fallible::writev>(::writev, fd, from, n);
}
result send(int fd, const void* from, std::size_t n) noexcept {
    return made<fallible::send>(::send, fd, from, n, MSG_NOSIGNAL);
}
result send(int fd, const msghdr* m) noexcept {
    return made<fallible::send>(::sendmsg, fd, m, MSG_NOSIGNAL);
}
result recv(int fd, void* to, std::size_t n) noexcept {
    return made<fallible::recv>(::recv, fd, to, n, 0);
}
result recv(int fd, msghdr* m) noexcept { return made<fallible::recv>(::recvmsg, fd, m, 0); }
result accept(int fd, sockaddr* from, socklen_t* size) noexcept {
    return made<fallible::accept>(::accept4, fd, from, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
result connect(int fd, const sockaddr* to, socklen_t size) noexcept {
    return made<fallible::connect>(::connect, fd, to, size);
}
void close(int fd) noexcept { os::close(fd); }

#else

result read(int fd, void* to, std::size_t n) noexcept {
    return made<fallible::read>(::syscall, SYS_read, fd, to, n);
}
result write(int fd, const void* from, std::size_t n) noexcept {
    return made<fallible::write>(::syscall, SYS_write, fd, from, n);
}
result writev(int fd, const iovec* from, int n) noexcept {
    return made<fallible::writev>(::syscall, SYS_writev, fd, from, n);
}
result send(int fd, const void* from, std::size_t n) noexcept {
    return made<fallible::send>(::syscall, SYS_sendto, fd, from, n, MSG_NOSIGNAL, nullptr, 0);
}
result send(int fd, const msghdr* m) noexcept {
    return made<fallible::send>(::syscall, SYS_sendmsg, fd, m, MSG_NOSIGNAL);
}
result recv(int fd, void* to, std::size_t n) noexcept {
    return made<fallible::recv>(::syscall, SYS_recvfrom, fd, to, n, 0, nullptr, nullptr);
}
result recv(int fd, msghdr* m) noexcept {
    return made<fallible::recv>(::syscall, SYS_recvmsg, fd, m, 0);
}
result accept(int fd, sockaddr* from, socklen_t* size) noexcept {
    return made<fallible::accept>(::syscall, SYS_accept4, fd, from, size,
                                  SOCK_NONBLOCK | SOCK_CLOEXEC);
}
result connect(int fd, const sockaddr* to, socklen_t size) noexcept {
    return made<fallible::connect>(::syscall, SYS_connect, fd, to, size);
}
void close(int fd) noexcept { may_fail<fallible::close>(::syscall, SYS_close, fd); }

#endif

}  // namespace vole::detail::sys
