// Connecting one socket: see socket.hpp.
#include <cerrno>

#include "net/src/os.hpp"
#include "net/src/socket.hpp"
#include "net/src/sys.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"

namespace vole::inline v0::detail {

namespace {

enum class progress : std::uint8_t { connected, wait, failed };

// After the socket has become writable.
progress look_at(const socket* s, std::error_code& ec) noexcept {
    int error = 0;
    socklen_t size = sizeof error;
    if (os::getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    switch (error) {
        case EINPROGRESS:
        case EALREADY:
        case EINTR: return progress::wait;
        case EISCONN: return progress::connected;
        case 0: break;
        default: ec = system_error_of(-error); return progress::failed;
    }
    // Writable, and no error: a spurious event, unless there is somebody at the other end.
    socket_address peer;
    if (os::getpeername(s->fd, peer.get(), &peer.size) == 0) return progress::connected;
    if (errno == ENOTCONN) return progress::wait;
    ec = system_error_of(-errno);
    return progress::failed;
}

void wait_for_it(socket* s, std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(s, io_dir::write);
    ec.clear();
    for (;;) {
        const io_status st = wait_ready(s->pd, io_dir::write);
        if (st != io_status::ready) {
            ec = error_of(st);
            return;
        }
        if (look_at(s, ec) != progress::wait) return;
    }
}

}  // namespace

bool begin_connect(int fd, const socket_address& to, std::error_code& ec) noexcept {
    const runtime_pin pin;
    const sys::result r = sys::connect(fd, to.get(), to.size);
    ec.clear();
    if (r == 0 || r == -EISCONN) return true;
    if (r == -EINPROGRESS || r == -EALREADY || r == -EINTR) return false;
    ec = system_error_of(r);
    return false;
}

// The end of the context poisons the socket, which nobody but us knows: it moves the deadline for writing into the past.
// So if that has begun, the dial fails, even if the connection was made at the same moment (NET-62).
void await_connected(socket* s, const context& ctx, std::error_code& ec) {
    chan<void> poisoned = make_chan<void>(0);
    stop_func spare = after_func(ctx, [s, poisoned]() mutable {
        {
            const runtime_entry entry;
            set_deadlines(s->pd, dir_write, poll_desc::passed);
        }
        poisoned.close();
    });
    wait_for_it(s, ec);
    if (spare()) return;
    (void)poisoned.recv();
    if (!ec) ec = net::errc::timeout;
}

}  // namespace vole::detail
