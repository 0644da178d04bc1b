// The life of a socket, and what is done with it at any time. See socket.hpp.
#include "net/src/socket.hpp"

#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "net/src/os.hpp"
#include "net/src/sys.hpp"
#include "runtime/internal/bubble.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/timers.hpp"

namespace vole::inline v0::detail {

std::error_code error_of(io_status s) noexcept {
    switch (s) {
        case io_status::closed: return net::errc::closed;
        case io_status::timeout: return net::errc::timeout;
        case io_status::not_pollable: return net::errc::not_pollable;
        case io_status::ready: break;
    }
    return {};
}

std::error_code system_error_of(std::int64_t negative) noexcept {
    return {static_cast<int>(-negative), std::system_category()};
}

// ---- making -----------------------------------------------------------------------------------

int make_fd(int family, int type, int protocol, std::error_code& ec) noexcept {
    const int fd = os::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        ec = system_error_of(-errno);
    } else {
        ec.clear();
    }
    return fd;
}

socket* make_socket(int fd, std::int16_t family, std::int16_t type, const char* network,
                    std::error_code& ec) {
    auto* s = new socket;
    s->fd = fd;
    s->family = family;
    s->type = type;
    s->network = network;
    s->tcp = type == SOCK_STREAM && (family == AF_INET || family == AF_INET6);
    s->short_is_all = s->tcp;
    int e = 0;
    try {
        const runtime_entry entry;
        e = open_poll_desc(fd, &s->pd);
    } catch (...) {
        delete s;
        throw;
    }
    if (e == 0) {
        ec.clear();
        return s;
    }
    delete s;
    ec = e == EPERM ? make_error_code(net::errc::not_pollable) : system_error_of(-e);
    return nullptr;
}

// ---- closing ----------------------------------------------------------------------------------

void end_descriptor(socket* s) noexcept {
    close_poll_desc(s->pd, s->fd);
    if (!s->released) sys::close(s->fd);
    s->lock.ended();
}

namespace {
void unlink_path(const socket* s) noexcept {
    if (s->unlink_on_close && s->local.family() == net::family::local &&
        s->local.path()[0] != '@') {
        os::unlink(s->local.path().c_str());
    }
}

// False: it was closed. What only one of several who close it may do: `then`, while the descriptor is still open.
template <class Then>
bool close_and_wait(socket* s, Then then) noexcept {
    const runtime_pin pin;
    if (!s->lock.close()) return false;
    then();
    evict(s->pd);
    if (s->lock.let_go()) end_descriptor(s);
    s->lock.await_end();
    return true;
}
}  // namespace

void socket_let_go(socket* s) noexcept {
    if (s->lock.let_go()) end_descriptor(s);
}

void socket_close(socket* s, std::error_code& ec) noexcept {
    // The path goes before the descriptor: afterwards it may be somebody else's.
    if (close_and_wait(s, [s] { unlink_path(s); })) {
        ec.clear();
    } else {
        ec = net::errc::closed;
    }
}

void socket_destroy(socket* s) noexcept {
    std::error_code ignored;
    socket_close(s, ignored);
    delete s;
}

int socket_release(socket* s, std::error_code& ec) noexcept {
    if (!close_and_wait(s, [s] { s->released = true; })) {
        ec = net::errc::closed;
        return -1;
    }
    ec.clear();
    const int fd = s->fd;
    delete s;
    return fd;
}

// ---- at any time ------------------------------------------------------------------------------

namespace {
// By the runtime's clock. In a bubble the delay counts.
std::int64_t real_time(clock::time_point t) noexcept {
    const std::int64_t when = t.time_since_epoch().count();
    if (when == 0) return poll_desc::none;
    const bubble* b = current_bubble();
    if (b == nullptr) return when < 0 ? poll_desc::passed : when;
    const std::int64_t delay = when - b->now.load(memory_order_relaxed);
    if (delay <= 0) return poll_desc::passed;
    const std::int64_t now = timer_now();
    return delay < no_deadline - now ? now + delay : no_deadline - 1;
}
}  // namespace

void socket_set_deadline(socket* s, unsigned directions, clock::time_point t, std::error_code& ec) {
    const runtime_entry entry;
    const socket_use use(s);
    if (!use.good()) {
        ec = net::errc::closed;
        return;
    }
    set_deadlines(s->pd, directions, real_time(t));
    ec.clear();
}

void socket_shutdown(socket* s, int how, std::error_code& ec) noexcept {
    const runtime_pin pin;
    const socket_use use(s);
    if (!use.good()) {
        ec = net::errc::closed;
    } else if (os::shutdown(s->fd, how) != 0) {
        ec = system_error_of(-errno);
    } else {
        ec.clear();
    }
}

void socket_option(socket* s, int level, int name, const void* value, unsigned size,
                   std::error_code& ec) noexcept {
    const runtime_pin pin;
    const socket_use use(s);
    if (!use.good()) {
        ec = net::errc::closed;
    } else if (os::setsockopt(s->fd, level, name, value, size) != 0) {
        ec = system_error_of(-errno);
    } else {
        ec.clear();
    }
}

namespace {
constexpr int default_idle_s = 15;
constexpr int default_interval_s = 15;
constexpr int default_count = 9;

struct int_option {
    int level, name, value;
};

// Zero: the default; negative: not to be set.
std::size_t keep_alive_options(const net::conn::keep_alive& k, int_option* out) noexcept {
    std::size_t n = 0;
    out[n++] = {SOL_SOCKET, SO_KEEPALIVE, k.on ? 1 : 0};
    if (!k.on) return n;
    const auto add = [&](int name, std::int64_t given, int fallback) {
        if (given >= 0)
            out[n++] = {IPPROTO_TCP, name, given == 0 ? fallback : static_cast<int>(given)};
    };
    add(TCP_KEEPIDLE, k.idle.count(), default_idle_s);
    add(TCP_KEEPINTVL, k.interval.count(), default_interval_s);
    add(TCP_KEEPCNT, k.count, default_count);
    return n;
}
}  // namespace

// What fails here is a kernel without the option: the connection works all the same.
void set_tcp_defaults(int fd, const net::conn::keep_alive& k) noexcept {
    const int on = 1;
    os::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int_option options[4];
    const std::size_t n = keep_alive_options(k, options);
    for (std::size_t i = 0; i < n; ++i) {
        os::setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    }
}

void apply_keep_alive(socket* s, const net::conn::keep_alive& k, std::error_code& ec) noexcept {
    int_option options[4];
    const std::size_t n = keep_alive_options(k, options);
    ec.clear();
    for (std::size_t i = 0; i < n && !ec; ++i) {
        socket_option(s, options[i].level, options[i].name, &options[i].value, sizeof(int), ec);
    }
}

}  // namespace vole::detail
