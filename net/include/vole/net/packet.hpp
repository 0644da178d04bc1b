// Datagrams: UDP and local ones. One read takes one datagram.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <system_error>

#include <vole/net/conn.hpp>

namespace vole::inline v0::net {

/// What read_from() got.
struct datagram {
    std::size_t size = 0;    ///< bytes that were put into the buffer; 0 is a datagram, too
    bool truncated = false;  ///< there were more, and they are lost
    endpoint from;           ///< empty: a local sender without a name
};

class packet_conn : public open_object {
  public:
    packet_conn() noexcept = default;
    explicit packet_conn(detail::io_object* it) noexcept : open_object(it) {}

    /// Waits for a datagram. One that is longer than `to` is cut.
    [[nodiscard]] datagram read_from(std::span<std::byte> to);
    [[nodiscard]] datagram read_from(std::span<std::byte> to, std::error_code& ec);
    /// The same without the sender. 0 is a datagram of no bytes, never an end; or `to` is empty: that takes none, and
    /// does not wait.
    [[nodiscard]] std::size_t read(std::span<std::byte> to);
    [[nodiscard]] std::size_t read(std::span<std::byte> to, std::error_code& ec);

    /// Sends one datagram; one of no bytes as well. On a connected socket: errc::write_to_connected.
    std::size_t write_to(std::span<const std::byte> from, const endpoint& to);
    std::size_t write_to(std::span<const std::byte> from, const endpoint& to, std::error_code& ec);
    /// To the end that the socket is connected with; std::errc::destination_address_required if there is none.
    std::size_t write(std::span<const std::byte> from);
    std::size_t write(std::span<const std::byte> from, std::error_code& ec);

    /// Empty unless connected.
    [[nodiscard]] const endpoint& remote_endpoint() const noexcept;

    void set_read_buffer(int bytes);
    void set_read_buffer(int bytes, std::error_code& ec) noexcept;
    void set_write_buffer(int bytes);
    void set_write_buffer(int bytes, std::error_code& ec) noexcept;
};

class udp_conn : public packet_conn {
  public:
    udp_conn() noexcept = default;
    explicit udp_conn(detail::io_object* it) noexcept : packet_conn(it) {}
};

/// Local datagrams ("unixgram").
class unix_packet_conn : public packet_conn {
  public:
    unix_packet_conn() noexcept = default;
    explicit unix_packet_conn(detail::io_object* it) noexcept : packet_conn(it) {}
};

struct packet_config {
    bool reuse_port = false;
    std::function<std::error_code(int fd)> control{};
};

/// network: "udp", "udp4", "udp6" or "unixgram". Not connected: read_from() and write_to().
[[nodiscard]] packet_conn listen_packet(std::string_view network, std::string_view address,
                                        const packet_config& config = {});
[[nodiscard]] packet_conn listen_packet(std::string_view network, std::string_view address,
                                        const packet_config& config, std::error_code& ec);

[[nodiscard]] udp_conn listen_udp(const endpoint& at, const packet_config& config = {});
[[nodiscard]] udp_conn listen_udp(const endpoint& at, const packet_config& config,
                                  std::error_code& ec);
/// Connected: read() and write(). An empty `from`: the system picks.
[[nodiscard]] udp_conn dial_udp(const endpoint& to, const endpoint& from = {});
[[nodiscard]] udp_conn dial_udp(const endpoint& to, const endpoint& from, std::error_code& ec);

[[nodiscard]] unix_packet_conn listen_unixgram(const endpoint& at,
                                               const packet_config& config = {});
[[nodiscard]] unix_packet_conn listen_unixgram(const endpoint& at, const packet_config& config,
                                               std::error_code& ec);
/// `from`: a name for this end; empty: none, so nobody can answer.
[[nodiscard]] unix_packet_conn dial_unixgram(const endpoint& to, const endpoint& from = {});
[[nodiscard]] unix_packet_conn dial_unixgram(const endpoint& to, const endpoint& from,
                                             std::error_code& ec);

}  // namespace vole::net
