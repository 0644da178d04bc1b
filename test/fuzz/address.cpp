// Addresses of the network as text: endpoints, literals of hosts, "host:port", and ports.
#include "test/fuzz/target.hpp"

#include <vole/net/endpoint.hpp>
#include <vole/net/resolve.hpp>

#include "net/src/resolve.hpp"

#include <netdb.h>
#include <stdexcept>

namespace net = vole::net;
using vole::fuzz::must_hold;

/// The machine's services would make outcomes depend on it, and take long to read.
extern "C" int getservbyname_r(const char*, const char*, servent*, char*, std::size_t,
                               servent** result) {
    *result = nullptr;
    return 0;
}

namespace {

void check_endpoint(std::string_view text) {
    std::error_code ec;
    const net::endpoint e = net::endpoint::parse(text, ec);
    must_hold(e.empty() == static_cast<bool>(ec), "there is an endpoint, or an error");
    bool thrown = false;
    try {
        must_hold(net::endpoint::parse(text) == e, "both forms read the same");
    } catch (const std::invalid_argument& error) {
        thrown = true;
        must_hold(std::string_view(error.what()).starts_with("vole::net::endpoint: \""),
                  "an error says where it comes from");
        for (const char c : std::string_view(error.what()))
            must_hold(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "an error is one line");
    }
    must_hold(thrown == static_cast<bool>(ec), "both forms refuse the same");
    if (e.empty()) return;
    must_hold(net::endpoint::parse(e.to_string(), ec) == e, "what is written is read again");
    must_hold(e.family() == net::family::local || e.path().empty(), "a path has no address");
    must_hold(e.path().size() <= 107, "the kernel takes the path");
}

void check_literal(std::string_view text) {
    const auto e = vole::detail::parse_literal(text);
    if (!e) return;
    must_hold(e->family() == net::family::ipv4 || e->family() == net::family::ipv6,
              "a literal is an address");
    must_hold(e->port() == 0, "a literal has no port");
    const auto parts = net::split_host_port(e->to_string());
    must_hold(vole::detail::parse_literal(parts.host) == e, "a literal is read again");
}

void check_host_port(std::string_view text) {
    std::error_code ec;
    const auto parts = net::split_host_port(text, ec);
    if (ec) {
        must_hold(parts.host.empty() && parts.port.empty(), "an error, and nothing else");
        return;
    }
    const auto again = net::split_host_port(net::join_host_port(parts.host, parts.port), ec);
    must_hold(!ec && again.host == parts.host && again.port == parts.port,
              "what is joined is split the same");
    must_hold(text.size() >= parts.host.size() + parts.port.size() + 1, "nothing is made up");
}

void check_port(std::string_view text) {
    for (const char* network : {"tcp", "udp6", "what"}) {
        std::error_code ec;
        const std::uint16_t port = net::lookup_port(network, text, ec);
        must_hold(!ec || port == 0, "no port with an error");
        if (ec || text.empty() || text.find_first_not_of("0123456789") != text.npos) continue;
        must_hold(std::strtoull(std::string(text).c_str(), nullptr, 10) == port,
                  "a number is itself");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // A copy of just this size: reading beyond it is seen.
    const std::string text(vole::fuzz::text_of(data, size));
    check_endpoint(text);
    check_literal(text);
    check_host_port(text);
    check_port(text);
    return 0;
}
