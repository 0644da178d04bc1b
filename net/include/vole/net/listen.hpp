// Listeners: they accept connections.
#pragma once

#include <functional>
#include <string_view>
#include <system_error>

#include <vole/net/conn.hpp>

namespace vole::inline v0::net {

struct listen_config {
    /// Several listeners may share the address; the kernel deals connections out to them (SO_REUSEPORT).
    bool reuse_port = false;
    /// Multipath TCP, where the kernel has it.
    bool multipath = false;
    /// How many connections may wait to be accepted. 0: as many as the system allows (somaxconn).
    int backlog = 0;
    /// For accepted connections.
    conn::keep_alive keep_alive{};
    /// Called between the making of the socket and its binding. An error it gives fails the call.
    std::function<std::error_code(int fd)> control{};
};

class listener : public open_object {
  public:
    listener() noexcept = default;
    explicit listener(detail::io_object* it) noexcept : open_object(it) {}

    /// Waits for a connection. Those that were given up before they could be accepted are passed over. Out of descriptors
    /// (std::errc::too_many_files_open) is an error that is_temporary(): the connection stays in the queue,
    /// and the next accept() tries again; wait a little before it. Each connection goes to one caller only.
    [[nodiscard]] conn accept();
    [[nodiscard]] conn accept(std::error_code& ec);

    /// Whether close() removes the path of a local listener. On unless the descriptor was adopted.
    void set_unlink_on_close(bool on) noexcept;

  protected:
    detail::io_object* accept_object(std::error_code& ec);
    detail::io_object* accept_object();
};

class tcp_listener : public listener {
  public:
    tcp_listener() noexcept = default;
    explicit tcp_listener(detail::io_object* it) noexcept : listener(it) {}

    [[nodiscard]] tcp_conn accept() { return tcp_conn(accept_object()); }
    [[nodiscard]] tcp_conn accept(std::error_code& ec) { return tcp_conn(accept_object(ec)); }
};

class unix_listener : public listener {
  public:
    unix_listener() noexcept = default;
    explicit unix_listener(detail::io_object* it) noexcept : listener(it) {}

    [[nodiscard]] unix_conn accept() { return unix_conn(accept_object()); }
    [[nodiscard]] unix_conn accept(std::error_code& ec) { return unix_conn(accept_object(ec)); }
};

/// network: "tcp", "tcp4", "tcp6", "unix" or "unixpacket". An address of TCP is "host:port"; no host: all addresses,
/// by IPv6 and IPv4 alike if the system has both ("tcp"); port 0: the system picks one, see local_endpoint(). May
/// wait for names to be resolved.
[[nodiscard]] listener listen(std::string_view network, std::string_view address,
                              const listen_config& config = {});
[[nodiscard]] listener listen(std::string_view network, std::string_view address,
                              const listen_config& config, std::error_code& ec);
[[nodiscard]] listener listen(std::string_view network, std::string_view address,
                              std::error_code& ec);

/// Without names. An IPv6 one that is unspecified takes IPv4 as well.
[[nodiscard]] tcp_listener listen_tcp(const endpoint& at, const listen_config& config = {});
[[nodiscard]] tcp_listener listen_tcp(const endpoint& at, const listen_config& config,
                                      std::error_code& ec);
[[nodiscard]] unix_listener listen_unix(const endpoint& at, const listen_config& config = {});
[[nodiscard]] unix_listener listen_unix(const endpoint& at, const listen_config& config,
                                        std::error_code& ec);

}  // namespace vole::net
