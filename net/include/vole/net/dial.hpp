// Dialling: connections to where others listen.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>
#include <system_error>

#include <vole/context.hpp>
#include <vole/net/conn.hpp>
#include <vole/net/packet.hpp>
#include <vole/time.hpp>

namespace vole::inline v0::net {

/// How to dial; its defaults are those of dial().
struct dialer {
    /// For all of it, the look-up of names included. 0: no limit but the system's; negative: it is over. What comes first
    /// of this, of `deadline` and of the context's counts. Of several addresses, each gets an equal share of what is left, 2 s at least.
    clock::duration timeout{0};
    clock::time_point deadline{};
    /// How long the first family of addresses may try alone before the other one is tried at the same time (RFC 8305).
    /// 0: 300 ms. Negative: never at the same time.
    clock::duration fallback_delay{0};
    /// Where from. Empty: the system picks.
    endpoint local{};
    conn::keep_alive keep_alive{};
    /// Multipath TCP, where the kernel has it.
    bool multipath = false;
    /// Called between the making of the socket and its connecting. An error it gives fails that address.
    std::function<std::error_code(int fd)> control{};

    /// See vole::net::dial.
    [[nodiscard]] conn dial(std::string_view network, std::string_view address) const;
    [[nodiscard]] conn dial(std::string_view network, std::string_view address,
                            std::error_code& ec) const;
    [[nodiscard]] conn dial(std::string_view network, std::string_view address,
                            const context& ctx) const;
    [[nodiscard]] conn dial(std::string_view network, std::string_view address, const context& ctx,
                            std::error_code& ec) const;
};

/// network: "tcp", "tcp4", "tcp6", "unix" or "unixpacket". An address of TCP is "host:port", where a host may be a name and
/// a port one of /etc/services; no host: this machine. Waits until it is connected. A name with addresses of both
/// families: both are tried, see dialer. The error is the first address's. `ctx` ends the dialling (errc::canceled
/// or errc::timeout), and has no influence on the connection afterwards.
[[nodiscard]] conn dial(std::string_view network, std::string_view address);
[[nodiscard]] conn dial(std::string_view network, std::string_view address, std::error_code& ec);
[[nodiscard]] conn dial(std::string_view network, std::string_view address, const context& ctx);
[[nodiscard]] conn dial(std::string_view network, std::string_view address, const context& ctx,
                        std::error_code& ec);

/// network: "udp", "udp4", "udp6" or "unixgram".
[[nodiscard]] packet_conn dial_packet(std::string_view network, std::string_view address);
[[nodiscard]] packet_conn dial_packet(std::string_view network, std::string_view address,
                                      std::error_code& ec);

/// Without names: one address.
[[nodiscard]] tcp_conn dial_tcp(const endpoint& to, const dialer& how = {});
[[nodiscard]] tcp_conn dial_tcp(const endpoint& to, const dialer& how, std::error_code& ec);
[[nodiscard]] unix_conn dial_unix(const endpoint& to, const dialer& how = {});
[[nodiscard]] unix_conn dial_unix(const endpoint& to, const dialer& how, std::error_code& ec);

}  // namespace vole::net
