// Names to addresses.
//
// The system's resolver (getaddrinfo: hosts file, DNS, whatever it is set up for) runs on threads of a pool, so that
// no P is lost to it: as many at once as the limit on descriptors suggests, 500 at most. Those who ask for the same at
// the same time share one look-up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <vole/context.hpp>
#include <vole/net/endpoint.hpp>
#include <vole/net/error.hpp>

namespace vole::inline v0::net {

/// The addresses of a host, in the order in which they should be tried (RFC 6724), with port 0. A numeric one is given back
/// as it is. errc::no_such_host; errc::name_server_failure (temporary); when ctx ends, errc::canceled or errc::timeout
/// at once, while the look-up goes on for the others.
[[nodiscard]] std::vector<endpoint> lookup_host(std::string_view host);
[[nodiscard]] std::vector<endpoint> lookup_host(std::string_view host, std::error_code& ec);
[[nodiscard]] std::vector<endpoint> lookup_host(std::string_view host, const context& ctx);
[[nodiscard]] std::vector<endpoint> lookup_host(std::string_view host, const context& ctx,
                                                std::error_code& ec);

/// The port of a service ("http"), or a number between 0 and 65535. network: "tcp" or "udp", with or without "4", "6".
/// No text at all is 0. Names are looked for as they are, then in small letters. errc::unknown_network, errc::invalid_port (a
/// number beyond that), errc::unknown_port.
[[nodiscard]] std::uint16_t lookup_port(std::string_view network, std::string_view service);
[[nodiscard]] std::uint16_t lookup_port(std::string_view network, std::string_view service,
                                        std::error_code& ec) noexcept;

/// The endpoints that dial() would try for an address. network: as for dial() and dial_packet(); those with a "4" or "6"
/// give one family only. Without a host: the unspecified address. An IPv4 address in an IPv6 one ("::ffff:192.0.2.1") is an
/// IPv4 address here. What the parts can fail with, and errc::unknown_network, errc::missing_address ("").
[[nodiscard]] std::vector<endpoint> resolve(std::string_view network, std::string_view address);
[[nodiscard]] std::vector<endpoint> resolve(std::string_view network, std::string_view address,
                                            const context& ctx, std::error_code& ec);

/// "host:port", "[host%zone]:port". Throws op_error: errc::missing_port, errc::invalid_address.
struct host_port {
    std::string host;
    std::string port;
};
[[nodiscard]] host_port split_host_port(std::string_view address);
[[nodiscard]] host_port split_host_port(std::string_view address, std::error_code& ec);
[[nodiscard]] std::string join_host_port(std::string_view host, std::string_view port);

}  // namespace vole::net
