// See sys.hpp.
#include "net/src/sys.hpp"

#include <cerrno>
#include <ctime>
#include <poll.h>
#include <unistd.h>

#include "net/src/os.hpp"
#include "runtime/internal/deep.hpp"

namespace vole::inline v0::detail::sys {

VOLE_FITS_SMALL_STACK;

result poll_in(int fd) noexcept {
    pollfd p{fd, POLLIN, 0};
    const timespec now{};
    const result r = call<fallible::poll_look>(SYS_ppoll, &p, 1, &now);
    return r != 0 ? r : -result{EAGAIN};
}

#if defined(VOLE_TSAN)

namespace {

template <fallible Row, class F, class... Args>
result made(F* f, Args... args) noexcept {
    const result r = may_fail<Row>(f, args...);
    return r >= 0 ? r : -result{errno};
}

}  // namespace

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

#endif

}  // namespace vole::detail::sys
