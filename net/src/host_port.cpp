// "host:port" into its parts, and back. Go's rules: the port stands behind the last colon, a host with colons in
// brackets. The parts themselves are not looked at: a zone stays in the host, and either may be empty.
//
// Stack: any. No locks.
#include <vole/net/resolve.hpp>

#include "net/src/io_object.hpp"

namespace vole::inline v0::net {
namespace {

/// None if it can be split: at the colon before the port, with or without brackets around the host.
std::error_code find_parts(std::string_view address, std::string_view& host,
                           std::string_view& port) {
    const auto colon = address.rfind(':');
    if (colon == std::string_view::npos) return errc::missing_port;
    port = address.substr(colon + 1);
    if (address.front() != '[') {
        host = address.substr(0, colon);
        if (host.find(':') != std::string_view::npos) return errc::invalid_address;
    } else {
        const auto close = address.find(']');
        if (close == std::string_view::npos) return errc::invalid_address;
        if (close + 1 != colon) {
            // What follows is a colon that is not the last one; else there is no port: "[::1]", "[::1]80".
            const bool colons = close + 1 < address.size() && address[close + 1] == ':';
            return colons ? errc::invalid_address : errc::missing_port;
        }
        host = address.substr(1, close - 1);
    }
    // None but the pair around the host.
    const bool stray = host.find_first_of("[]") != std::string_view::npos ||
                       port.find_first_of("[]") != std::string_view::npos;
    return stray ? errc::invalid_address : std::error_code{};
}

}  // namespace

host_port split_host_port(std::string_view address, std::error_code& ec) {
    std::string_view host;
    std::string_view port;
    ec = find_parts(address, host, port);
    if (ec) return {};
    return {std::string(host), std::string(port)};
}

host_port split_host_port(std::string_view address) {
    std::error_code ec;
    host_port parts = split_host_port(address, ec);
    if (ec) detail::throw_op_error(ec, "parse", "", "", address);
    return parts;
}

std::string join_host_port(std::string_view host, std::string_view port) {
    const bool brackets = host.find(':') != std::string_view::npos;
    std::string s;
    s.reserve(host.size() + port.size() + 3);
    if (brackets) s += '[';
    s += host;
    if (brackets) s += ']';
    s += ':';
    s += port;
    return s;
}

}  // namespace vole::net
