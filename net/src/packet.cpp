// Datagrams. See <vole/net/packet.hpp>.
//
// Stack: goroutine or thread; what reads and writes may park on a stack of 2 KiB.
#include <vole/net/packet.hpp>

#include <cerrno>
#include <netinet/in.h>

#include "net/src/socket.hpp"
#include "net/src/sys.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/never_destroyed.hpp"

namespace vole::inline v0 {

using namespace detail;

VOLE_FITS_SMALL_STACK;

namespace {

using net::datagram;
using net::endpoint;

// One try. In a frame of its own, which is gone while the caller waits: addresses of sockets are large.
sys::result receive_once(const socket* s, std::span<std::byte> to, datagram& d, bool wants_sender) {
    socket_address from;
    iovec room{to.data(), to.size() < most_at_once ? to.size() : most_at_once};
    msghdr m{};
    m.msg_iov = &room;
    m.msg_iovlen = 1;
    m.msg_name = from.get();
    m.msg_namelen = wants_sender ? sizeof from.storage : 0;
    const sys::result n = sys::recv(s->fd, &m);
    if (n < 0) return n;
    from.size = m.msg_namelen;
    d.size = static_cast<std::size_t>(n);
    d.truncated = (m.msg_flags & MSG_TRUNC) != 0;
    if (wants_sender) d.from = from_sockaddr(from);
    return n;
}

void receive(io_object* it, std::span<std::byte> to, datagram& d, bool wants_sender,
             std::error_code& ec) {
    if (it == nullptr) {
        ec = std::make_error_code(std::errc::invalid_argument);
        return;
    }
    socket* s = as_socket(it);
    const runtime_entry entry;
    const socket_use turn(s, io_dir::read);
    if (!turn.good()) {
        ec = net::errc::closed;
        return;
    }
    if (to.empty() && !wants_sender) {  // takes none, as a stream's does (NET-30)
        ec.clear();
        return;
    }
    (void)until_ready(s, io_dir::read, ec, [&] {
        sys::result n = 0;
        stack::ensure(throw_bytes, [&] { n = receive_once(s, to, d, wants_sender); });
        return n;
    });
}

// The same; `to` empty: where the socket is connected.
sys::result send_once(const socket* s, std::span<const std::byte> bytes, const endpoint& to) {
    socket_address address;
    iovec from{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr m{};
    m.msg_iov = &from;
    m.msg_iovlen = 1;
    if (!to.empty()) {
        if (!to_sockaddr(to, s->family, address)) return -EAFNOSUPPORT;
        m.msg_name = address.get();
        m.msg_namelen = address.size;
    }
    return sys::send(s->fd, &m);
}

std::size_t send_message(socket* s, std::span<const std::byte> bytes, const endpoint& to,
                         std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(s, io_dir::write);
    if (!turn.good()) {
        ec = net::errc::closed;
        return 0;
    }
    const std::int64_t sent = until_ready(s, io_dir::write, ec, [&] {
        sys::result n = 0;
        deep([&] { n = send_once(s, bytes, to); });
        return n;
    });
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

// A local receiver whose queue is full: the sender's socket is writable all the time, and no event ever says that there is
// room again. So whoever sends without being connected has to ask.
std::size_t send_local(socket* s, std::span<const std::byte> bytes, const endpoint& to,
                       std::error_code& ec) {
    constexpr std::int64_t first_pause_ns = 100'000;
    constexpr std::int64_t last_pause_ns = 10'000'000;
    for (std::int64_t pause = first_pause_ns;; pause = std::min(2 * pause, last_pause_ns)) {
        {
            const runtime_entry entry;
            const socket_use turn(s, io_dir::write);
            io_status st = turn.good() ? prepare(s->pd, io_dir::write) : io_status::closed;
            if (st != io_status::ready) {
                ec = error_of(st);
                return 0;
            }
            sys::result n = 0;
            deep([&] { n = send_once(s, bytes, to); });
            if (n >= 0) {
                ec.clear();
                return static_cast<std::size_t>(n);
            }
            if (n != -EAGAIN && n != -EINTR) {
                ec = system_error_of(n);
                return 0;
            }
        }
        sleep(std::chrono::nanoseconds(pause));
    }
}

}  // namespace

namespace net {

datagram packet_conn::read_from(std::span<std::byte> to, std::error_code& ec) {
    datagram d;
    receive(it_, to, d, true, ec);
    return d;
}
datagram packet_conn::read_from(std::span<std::byte> to) {
    std::error_code ec;
    datagram d = read_from(to, ec);
    check(ec, "read", it_);
    return d;
}

std::size_t packet_conn::read(std::span<std::byte> to, std::error_code& ec) {
    datagram d;
    receive(it_, to, d, false, ec);
    return d.size;
}
std::size_t packet_conn::read(std::span<std::byte> to) {
    std::error_code ec;
    const std::size_t n = read(to, ec);
    check(ec, "read", it_);
    return n;
}

std::size_t packet_conn::write_to(std::span<const std::byte> from, const endpoint& to,
                                  std::error_code& ec) {
    socket* s = as_socket(it_);
    if (s == nullptr) {
        ec = std::make_error_code(std::errc::invalid_argument);
    } else if (s->lock.is_closed()) {
        ec = errc::closed;
    } else if (s->connected) {
        ec = errc::write_to_connected;
    } else if (to.empty()) {
        ec = errc::missing_address;
    } else if (s->family == AF_UNIX) {
        return send_local(s, from, to, ec);
    } else {
        return send_message(s, from, to, ec);
    }
    return 0;
}
std::size_t packet_conn::write_to(std::span<const std::byte> from, const endpoint& to) {
    std::error_code ec;
    const std::size_t n = write_to(from, to, ec);
    if (ec) [[unlikely]] {
        if (it_ == nullptr) throw_op_error(ec, "write", it_);
        throw_op_error(ec, "write", it_->network, it_->local.to_string(), to.to_string());
    }
    return n;
}

std::size_t packet_conn::write(std::span<const std::byte> from, std::error_code& ec) {
    socket* s = as_socket(it_);
    if (s == nullptr) {
        ec = std::make_error_code(std::errc::invalid_argument);
    } else if (s->lock.is_closed()) {
        ec = errc::closed;
    } else if (!s->connected) {
        ec = std::make_error_code(std::errc::destination_address_required);
    } else {
        return send_message(s, from, {}, ec);
    }
    return 0;
}
std::size_t packet_conn::write(std::span<const std::byte> from) {
    std::error_code ec;
    const std::size_t n = write(from, ec);
    check(ec, "write", it_);
    return n;
}

const endpoint& packet_conn::remote_endpoint() const noexcept {
    return it_ != nullptr ? it_->remote : detail::never_destroyed<const endpoint>();
}

void packet_conn::set_read_buffer(int bytes, std::error_code& ec) noexcept {
    ec = std::make_error_code(std::errc::invalid_argument);
    if (it_ != nullptr) {
        socket_option(as_socket(it_), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes, ec);
    }
}
void packet_conn::set_read_buffer(int bytes) {
    std::error_code ec;
    set_read_buffer(bytes, ec);
    check(ec, "set", it_);
}
void packet_conn::set_write_buffer(int bytes, std::error_code& ec) noexcept {
    ec = std::make_error_code(std::errc::invalid_argument);
    if (it_ != nullptr) {
        socket_option(as_socket(it_), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes, ec);
    }
}
void packet_conn::set_write_buffer(int bytes) {
    std::error_code ec;
    set_write_buffer(bytes, ec);
    check(ec, "set", it_);
}

}  // namespace net

}  // namespace vole
