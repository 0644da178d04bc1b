// Names and addresses as people write them, to endpoints: what lookup_host() and resolve() add to a look-up.
//
// An IPv4 address inside an IPv6 one ("::ffff:192.0.2.1") counts as IPv4 in resolve(), as in Go: a socket of that family
// reaches it, and "tcp6" does not mean it.
//
// Stack: goroutine, or an ordinary thread's. No locks.
#include <vole/net/resolve.hpp>

#include <algorithm>
#include <array>
#include <utility>

#include <netdb.h>
#include <sys/socket.h>

#include "net/src/io_object.hpp"
#include "net/src/resolve.hpp"

namespace vole::inline v0::net {
namespace {

/// Whether it is worth asking for. What has a colon is an address, and was one that cannot be read.
bool may_be_name(std::string_view host) {
    using namespace std::literals;
    return !host.empty() && host.size() < NI_MAXHOST &&
           host.find_first_of(":\0"sv) == std::string_view::npos;
}

std::vector<endpoint> addresses_of(std::string_view host, int family, const context& ctx,
                                   std::error_code& ec) {
    ec.clear();
    if (const auto literal = detail::parse_literal(host)) return {*literal};
    if (!may_be_name(host)) {
        ec = errc::no_such_host;
        return {};
    }
    detail::host_answer answer = detail::look_up_shared(host, family, ctx);
    ec = answer.error;
    return std::move(answer.addresses);
}

/// What a name of a network means.
struct meaning {
    bool known = false;
    bool local = false;
    int family = AF_UNSPEC;
};

meaning meaning_of(std::string_view network) {
    if (network == "unix" || network == "unixgram" || network == "unixpacket")
        return {true, true, AF_UNIX};
    int family = AF_UNSPEC;
    if (network.ends_with('4')) family = AF_INET;
    if (network.ends_with('6')) family = AF_INET6;
    if (family != AF_UNSPEC) network.remove_suffix(1);
    return {network == "tcp" || network == "udp", false, family};
}

bool mapped(std::span<const std::uint8_t> address) {
    static constexpr std::array<std::uint8_t, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return address.size() == 16 && std::ranges::equal(address.first(12), prefix);
}

endpoint with_port(const endpoint& host, std::uint16_t port) {
    const std::span<const std::uint8_t> address = host.address();
    std::array<std::uint8_t, 4> four{};
    std::array<std::uint8_t, 16> sixteen{};
    if (host.family() == family::ipv4 || mapped(address)) {
        std::ranges::copy(address.last(4), four.begin());
        return endpoint::ipv4(four, port);
    }
    std::ranges::copy(address, sixteen.begin());
    return endpoint::ipv6(sixteen, port, host.zone());
}

std::vector<endpoint> resolve_local(std::string_view path, std::error_code& ec) {
    try {
        return {endpoint::local(path)};
    } catch (const std::invalid_argument&) {
        ec = errc::invalid_address;
        return {};
    }
}

std::vector<endpoint> resolve_internet(std::string_view network, int only, std::string_view address,
                                       const context& ctx, std::error_code& ec) {
    const host_port parts = split_host_port(address, ec);
    if (ec) return {};
    const std::uint16_t port = lookup_port(network, parts.port, ec);
    if (ec) return {};
    if (parts.host.empty())
        return {only == AF_INET ? endpoint::ipv4({}, port) : endpoint::ipv6({}, port)};

    std::vector<endpoint> found = addresses_of(parts.host, only, ctx, ec);
    if (ec) return {};
    for (endpoint& one : found) one = with_port(one, port);
    std::erase_if(found, [only](const endpoint& one) {
        return only != AF_UNSPEC && (only == AF_INET) != (one.family() == family::ipv4);
    });
    if (found.empty()) ec = errc::no_such_host;
    return found;
}

}  // namespace

std::vector<endpoint> lookup_host(std::string_view host, const context& ctx, std::error_code& ec) {
    return addresses_of(host, AF_UNSPEC, ctx, ec);
}

std::vector<endpoint> lookup_host(std::string_view host, std::error_code& ec) {
    return lookup_host(host, context::background(), ec);
}

std::vector<endpoint> lookup_host(std::string_view host, const context& ctx) {
    std::error_code ec;
    auto found = lookup_host(host, ctx, ec);
    if (ec) detail::throw_op_error(ec, "lookup", "", "", host);
    return found;
}

std::vector<endpoint> lookup_host(std::string_view host) {
    return lookup_host(host, context::background());
}

std::vector<endpoint> resolve(std::string_view network, std::string_view address,
                              const context& ctx, std::error_code& ec) {
    ec.clear();
    const meaning m = meaning_of(network);
    if (!m.known) {
        ec = errc::unknown_network;
    } else if (address.empty()) {
        ec = errc::missing_address;
    } else if (m.local) {
        return resolve_local(address, ec);
    } else {
        return resolve_internet(network, m.family, address, ctx, ec);
    }
    return {};
}

std::vector<endpoint> resolve(std::string_view network, std::string_view address) {
    std::error_code ec;
    auto found = resolve(network, address, context::background(), ec);
    if (ec) detail::throw_op_error(ec, "lookup", std::string(network).c_str(), "", address);
    return found;
}

}  // namespace vole::net
