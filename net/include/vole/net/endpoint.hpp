// Network endpoints: an address and a port, or a path of the local machine, as one value.
//
// Only numeric addresses are read here. Looking up names takes time and may fail for reasons of its
// own, so that is a separate, blocking operation; parsing never leaves the process.
//
// Invariant: to_string() of a non-empty endpoint, given to parse(), yields an equal endpoint.
// Stack: any; less than 1 KiB. No locks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <vole/config.hpp>

namespace vole::inline v0::net {

enum class family : std::uint8_t {
    none,   ///< a default-constructed endpoint
    ipv4,   ///< 4 address bytes and a port
    ipv6,   ///< 16 address bytes, a port, perhaps a zone
    local,  ///< a path, or an abstract name that begins with '@' (AF_UNIX)
};

class endpoint {
  public:
    endpoint() noexcept = default;

    /// Reads "192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%2]:80" (the zone as a number), ":80"
    /// (any address, which is the unspecified IPv6 one), "/run/x.sock", "./x.sock", "@abstract" or,
    /// for a path of any other look, "unix:x.sock". Throws std::invalid_argument, whose text names
    /// what was given and what is wrong with it.
    [[nodiscard]] static endpoint parse(std::string_view text);

    /// The same; what parse(text) throws becomes std::errc::invalid_argument and an empty endpoint.
    [[nodiscard]] static endpoint parse(std::string_view text, std::error_code& ec);

    /// From parts, in network byte order where there is more than one byte.
    [[nodiscard]] static endpoint ipv4(const std::array<std::uint8_t, 4>& address,
                                       std::uint16_t port) noexcept;
    [[nodiscard]] static endpoint ipv6(const std::array<std::uint8_t, 16>& address,
                                       std::uint16_t port, std::uint32_t zone = 0) noexcept;
    /// Throws std::invalid_argument for an empty path, one of more than 107 bytes (what the kernel
    /// takes) or one with a NUL in it.
    [[nodiscard]] static endpoint local(std::string_view path);

    [[nodiscard]] net::family family() const noexcept { return family_; }
    [[nodiscard]] bool empty() const noexcept { return family_ == net::family::none; }

    /// 4 or 16 bytes in network order; none for the other families.
    [[nodiscard]] std::span<const std::uint8_t> address() const noexcept;
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] std::uint32_t zone() const noexcept { return zone_; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

    /// What can be dialled again; "" when empty. IPv6 is written as RFC 5952 wants it.
    [[nodiscard]] std::string to_string() const;

    friend bool operator==(const endpoint&, const endpoint&) = default;

  private:
    std::string path_;
    std::array<std::uint8_t, 16> address_{};  // unused bytes are zero: == compares all of them
    std::uint32_t zone_ = 0;
    std::uint16_t port_ = 0;
    net::family family_ = net::family::none;
};

}  // namespace vole::net
