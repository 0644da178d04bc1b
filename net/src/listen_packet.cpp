// Packet sockets that are bound and not connected. See <vole/net/packet.hpp>.
#include <vole/net/packet.hpp>

#include <netinet/in.h>
#include <unistd.h>

#include <vole/net/resolve.hpp>

#include "net/src/fresh_fd.hpp"
#include "net/src/socket.hpp"

namespace vole::inline v0 {

using namespace detail;

namespace {

using namespace net;

socket* bind_udp(const endpoint& at, bool both, const char* network, const packet_config& config,
                 std::error_code& ec) {
    const int af = at.family() == family::ipv4 ? AF_INET : AF_INET6;
    fresh_fd fd(af, SOCK_DGRAM, ec);
    if (ec) return nullptr;
    if (af == AF_INET6) fd.set(IPPROTO_IPV6, IPV6_V6ONLY, both ? 0 : 1, ec);
    fd.set(SOL_SOCKET, SO_BROADCAST, 1, ec);
    if (config.reuse_port) fd.set(SOL_SOCKET, SO_REUSEPORT, 1, ec);
    fd.let_user(config.control, ec);
    fd.bind(af, at, ec);
    socket* s = fd.become_socket(af, SOCK_DGRAM, network, ec);
    if (s != nullptr) s->local = local_endpoint_of(s->fd);
    return s;
}

socket* bind_local(const endpoint& at, const packet_config& config, std::error_code& ec) {
    fresh_fd fd(AF_UNIX, SOCK_DGRAM, ec);
    if (ec) return nullptr;
    fd.let_user(config.control, ec);
    fd.bind(AF_UNIX, at, ec);
    if (ec) return nullptr;
    return fd.become_bound(at, SOCK_DGRAM, "unixgram", ec);
}

socket* bind_udp_any(const endpoint& at, bool both, const char* network,
                     const packet_config& config, std::error_code& ec) {
    const bool any = both && at == endpoint::ipv6({}, at.port());
    socket* s = bind_udp(at, any, network, config, ec);
    // A system without IPv6: all there is.
    if (s == nullptr && any && ec == std::errc::address_family_not_supported) {
        s = bind_udp(endpoint::ipv4({}, at.port()), false, network, config, ec);
    }
    return s;
}

}  // namespace

namespace net {

udp_conn listen_udp(const endpoint& at, const packet_config& config, std::error_code& ec) {
    if (at.address().empty()) {
        ec = errc::invalid_address;
        return {};
    }
    return udp_conn(bind_udp_any(at, true, "udp", config, ec));
}
udp_conn listen_udp(const endpoint& at, const packet_config& config) {
    std::error_code ec;
    udp_conn c = listen_udp(at, config, ec);
    if (ec) throw_op_error(ec, "listen", "udp", {}, at.to_string());
    return c;
}

unix_packet_conn listen_unixgram(const endpoint& at, const packet_config& config,
                                 std::error_code& ec) {
    if (at.family() != family::local) {
        ec = errc::invalid_address;
        return {};
    }
    return unix_packet_conn(bind_local(at, config, ec));
}
unix_packet_conn listen_unixgram(const endpoint& at, const packet_config& config) {
    std::error_code ec;
    unix_packet_conn c = listen_unixgram(at, config, ec);
    if (ec) throw_op_error(ec, "listen", "unixgram", {}, at.to_string());
    return c;
}

packet_conn listen_packet(std::string_view network, std::string_view address,
                          const packet_config& config, std::error_code& ec) {
    if (!network.starts_with("udp") && network != "unixgram") {
        ec = errc::unknown_network;
        return {};
    }
    const auto found = resolve(network, address, context::background(), ec);
    if (ec) return {};
    if (network == "unixgram") return listen_unixgram(found.front(), config, ec);
    return packet_conn(
        bind_udp_any(found.front(), network == "udp", network_literal(network), config, ec));
}
packet_conn listen_packet(std::string_view network, std::string_view address,
                          const packet_config& config) {
    std::error_code ec;
    packet_conn c = listen_packet(network, address, config, ec);
    if (ec) throw_op_error(ec, "listen", std::string(network).c_str(), {}, address);
    return c;
}

}  // namespace net

}  // namespace vole
