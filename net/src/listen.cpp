// Listeners. See <vole/net/listen.hpp>.
//
// Options of TCP are set once, on the listener: Linux passes them on to each connection that it accepts.
#include <vole/net/listen.hpp>

#include <cerrno>
#include <cstdio>
#include <netinet/in.h>
#include <unistd.h>

#include <vole/net/resolve.hpp>
#include <vole/runtime.hpp>

#include "net/src/fresh_fd.hpp"
#include "net/src/os.hpp"
#include "net/src/socket.hpp"
#include "net/src/sys.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"

namespace vole::inline v0 {

using namespace detail;

// ---- accepting --------------------------------------------------------------------------------

namespace {

// The descriptor, and who it comes from. -1: ec says why not. Parks on whatever stack it is called on.
int accept_fd(socket* s, socket_address& from, std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(s, io_dir::read);
    if (!turn.good()) {
        ec = net::errc::closed;
        return -1;
    }
    return static_cast<int>(until_ready(s, io_dir::read, ec, [&]() -> sys::result {
        from.size = sizeof from.storage;
        const sys::result r = sys::accept(s->fd, from.get(), &from.size);
        return r == -ECONNABORTED ? -EINTR : r;  // it has gone: the next one
    }));
}

}  // namespace

socket* detail::socket_accept(socket* s, std::error_code& ec) {
    socket_address from;
    const int fd = accept_fd(s, from, ec);
    if (fd < 0) return nullptr;
    socket* made = nullptr;
    try {
        made = make_socket(fd, s->family, s->type, s->network, ec);
    } catch (...) {
        sys::close(fd);
        throw;
    }
    if (made == nullptr) {
        sys::close(fd);
        return nullptr;
    }
    socket_owner mine{made};
    made->short_is_all = s->short_is_all;
    made->remote = from_sockaddr(from);
    made->local = local_endpoint_of(fd);
    return mine.give();
}

namespace net {

io_object* listener::accept_object(std::error_code& ec) {
    if (it_ == nullptr) {
        ec = std::make_error_code(std::errc::invalid_argument);
        return nullptr;
    }
    return socket_accept(as_socket(it_), ec);
}

io_object* listener::accept_object() {
    std::error_code ec;
    io_object* o = accept_object(ec);
    if (ec) throw_op_error(ec, "accept", it_);
    return o;
}

conn listener::accept() { return conn(accept_object()); }
conn listener::accept(std::error_code& ec) { return conn(accept_object(ec)); }

void listener::set_unlink_on_close(bool on) noexcept {
    if (it_ != nullptr) as_socket(it_)->unlink_on_close = on;
}

}  // namespace net

// ---- listening --------------------------------------------------------------------------------

namespace {

using net::endpoint;
using net::family;
using net::listen_config;

// What the system allows: its listen() cuts a larger one.
int system_backlog() noexcept {
    int n = 0;
    if (std::FILE* f = may_fail<fallible::open>(std::fopen, "/proc/sys/net/core/somaxconn", "re");
        f != nullptr) {
        if (std::fscanf(f, "%d", &n) != 1) n = 0;
        std::fclose(f);
    }
    return n > 0 ? n : 128;
}

void start_listening(int fd, const listen_config& config, std::error_code& ec) {
    if (ec) return;
    const int backlog = config.backlog > 0 ? config.backlog : system_backlog();
    if (os::listen(fd, backlog) != 0) ec = system_error_of(-errno);
}

// "both": an IPv6 socket takes IPv4 as well.
socket* listen_tcp_at(const endpoint& at, bool both, const char* network,
                      const listen_config& config, std::error_code& ec) {
    const int af = at.family() == family::ipv4 ? AF_INET : AF_INET6;
    fresh_fd fd(af, config.multipath, ec);
    if (ec) return nullptr;
    if (af == AF_INET6) fd.set(IPPROTO_IPV6, IPV6_V6ONLY, both ? 0 : 1, ec);
    fd.set(SOL_SOCKET, SO_REUSEADDR, 1, ec);
    if (config.reuse_port) fd.set(SOL_SOCKET, SO_REUSEPORT, 1, ec);
    set_tcp_defaults(fd.get(), config.keep_alive);
    fd.let_user(config.control, ec);
    fd.bind(af, at, ec);
    start_listening(fd.get(), config, ec);
    socket* s = fd.become_socket(af, SOCK_STREAM, network, ec);
    if (s != nullptr) s->local = local_endpoint_of(s->fd);
    return s;
}

// The unspecified address of IPv6 means all; on a system without IPv6, all there are.
socket* listen_tcp_any(const endpoint& at, bool both, const char* network,
                       const listen_config& config, std::error_code& ec) {
    const bool any = both && at == endpoint::ipv6({}, at.port());
    socket* s = listen_tcp_at(at, any, network, config, ec);
    if (s == nullptr && any && ec == std::errc::address_family_not_supported) {
        s = listen_tcp_at(endpoint::ipv4({}, at.port()), false, network, config, ec);
    }
    return s;
}

socket* listen_local(const endpoint& at, int type, const char* network, const listen_config& config,
                     std::error_code& ec) {
    fresh_fd fd(AF_UNIX, type, ec);
    fd.let_user(config.control, ec);
    fd.bind(AF_UNIX, at, ec);
    if (ec) return nullptr;
    start_listening(fd.get(), config, ec);
    return fd.become_bound(at, type, network, ec);
}

}  // namespace

namespace net {

tcp_listener listen_tcp(const endpoint& at, const listen_config& config, std::error_code& ec) {
    if (at.family() != family::ipv4 && at.family() != family::ipv6) {
        ec = errc::invalid_address;
        return {};
    }
    return tcp_listener(listen_tcp_any(at, true, "tcp", config, ec));
}
tcp_listener listen_tcp(const endpoint& at, const listen_config& config) {
    std::error_code ec;
    tcp_listener l = listen_tcp(at, config, ec);
    if (ec) throw_op_error(ec, "listen", "tcp", {}, at.to_string());
    return l;
}

unix_listener listen_unix(const endpoint& at, const listen_config& config, std::error_code& ec) {
    if (at.family() != family::local) {
        ec = errc::invalid_address;
        return {};
    }
    return unix_listener(listen_local(at, SOCK_STREAM, "unix", config, ec));
}
unix_listener listen_unix(const endpoint& at, const listen_config& config) {
    std::error_code ec;
    unix_listener l = listen_unix(at, config, ec);
    if (ec) throw_op_error(ec, "listen", "unix", {}, at.to_string());
    return l;
}

namespace {

// Of several addresses: the first of IPv4, as Go does; a listener has one.
const endpoint& pick(const std::vector<endpoint>& all) {
    for (const endpoint& e : all) {
        if (e.family() == family::ipv4) return e;
    }
    return all.front();
}

}  // namespace

listener listen(std::string_view network, std::string_view address, const listen_config& config,
                std::error_code& ec) {
    if (network.starts_with("udp") || network == "unixgram") {
        ec = errc::unknown_network;
        return {};
    }
    const std::vector<endpoint> found = resolve(network, address, context::background(), ec);
    if (ec) return {};
    const char* name = network_literal(network);
    if (network.starts_with("unix")) {
        const int type = network == "unix" ? SOCK_STREAM : SOCK_SEQPACKET;
        return listener(listen_local(found.front(), type, name, config, ec));
    }
    return listener(listen_tcp_any(pick(found), network == "tcp", name, config, ec));
}
listener listen(std::string_view network, std::string_view address, std::error_code& ec) {
    return listen(network, address, listen_config{}, ec);
}
listener listen(std::string_view network, std::string_view address, const listen_config& config) {
    std::error_code ec;
    listener l = listen(network, address, config, ec);
    if (ec) throw_op_error(ec, "listen", std::string(network).c_str(), {}, address);
    return l;
}

}  // namespace net

}  // namespace vole
