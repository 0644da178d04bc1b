// Reading and writing endpoints.
//
// parse_into() is the one place that knows the syntax. It answers with the reason as a literal, so
// that both public forms (one throws, one does not) say and accept exactly the same.
#include <vole/net/endpoint.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>

#include <arpa/inet.h>
#include <sys/un.h>

namespace vole::inline v0::net {
namespace {

/// The kernel's limit, less the terminating NUL that some readers of the address count on.
constexpr std::size_t max_path = sizeof(sockaddr_un::sun_path) - 1;
static_assert(max_path == 107);

constexpr std::string_view local_prefix = "unix:";

/// A decimal number that fills the whole of `text`, without sign and without spaces.
template <class Number>
std::optional<Number> decimal(std::string_view text) {
    Number value{};
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

/// inet_pton wants a terminated string.
template <std::size_t Bytes>
bool read_address(int af, std::string_view text, std::array<std::uint8_t, Bytes>& out) {
    std::array<char, INET6_ADDRSTRLEN> copy{};
    if (text.size() >= copy.size() || text.find('\0') != std::string_view::npos) return false;
    std::ranges::copy(text, copy.begin());
    return ::inet_pton(af, copy.data(), out.data()) == 1;
}

const char* path_fault(std::string_view path) {
    if (path.empty() || path == "@") return "empty path";
    if (path.size() > max_path) return "path longer than 107 bytes";
    if (path.find('\0') != std::string_view::npos) return "NUL in path";
    return nullptr;
}

bool looks_like_path(std::string_view text) {
    return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
           text.starts_with('@');
}

/// Null on success, else what is wrong.
const char* parse_bracketed(std::string_view text, endpoint& out) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return "missing ']'";
    std::string_view host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return "missing port";
    if (rest.front() != ':') return "expected ':' after ']'";
    const auto port = decimal<std::uint16_t>(rest.substr(1));
    if (!port) return "port is not a number from 0 to 65535";

    std::uint32_t zone = 0;
    if (const auto percent = host.find('%'); percent != std::string_view::npos) {
        const auto number = decimal<std::uint32_t>(host.substr(percent + 1));
        if (!number || *number == 0) return "zone is not a positive number";
        zone = *number;
        host = host.substr(0, percent);
    }
    std::array<std::uint8_t, 16> address{};
    if (!read_address(AF_INET6, host, address)) return "not an IPv6 address in brackets";
    out = endpoint::ipv6(address, *port, zone);
    return nullptr;
}

const char* parse_into(std::string_view text, endpoint& out) {
    if (text.empty()) return "empty";
    if (text.starts_with(local_prefix) || looks_like_path(text)) {
        if (text.starts_with(local_prefix)) text.remove_prefix(local_prefix.size());
        if (const char* fault = path_fault(text)) return fault;
        out = endpoint::local(text);
        return nullptr;
    }
    if (text.front() == '[') return parse_bracketed(text, out);

    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return "missing port";
    const std::string_view host = text.substr(0, colon);
    if (host.find(':') != std::string_view::npos) return "an IPv6 address needs brackets: [::1]:80";
    const auto port = decimal<std::uint16_t>(text.substr(colon + 1));
    if (!port) return "port is not a number from 0 to 65535";
    if (host.empty()) {
        out = endpoint::ipv6({}, *port);
        return nullptr;
    }
    std::array<std::uint8_t, 4> address{};
    if (!read_address(AF_INET, host, address))
        return "not a numeric address (names are not looked up)";
    out = endpoint::ipv4(address, *port);
    return nullptr;
}

/// For a message: a NUL would end it, a line feed would forge a line of somebody's log.
std::string printable(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
            out += c;
        } else {
            out += "\\x";
            out += digits[byte >> 4];
            out += digits[byte & 0xf];
        }
    }
    return out;
}

[[noreturn]] void refuse(std::string_view text, const char* fault) {
    throw std::invalid_argument("vole::net::endpoint: \"" + printable(text) + "\": " + fault);
}

}  // namespace

endpoint endpoint::parse(std::string_view text) {
    endpoint e;
    if (const char* fault = parse_into(text, e)) refuse(text, fault);
    return e;
}

endpoint endpoint::parse(std::string_view text, std::error_code& ec) {
    endpoint e;
    ec = parse_into(text, e) == nullptr ? std::error_code{}
                                        : std::make_error_code(std::errc::invalid_argument);
    return e;
}

endpoint endpoint::ipv4(const std::array<std::uint8_t, 4>& address, std::uint16_t port) noexcept {
    endpoint e;
    e.family_ = net::family::ipv4;
    std::ranges::copy(address, e.address_.begin());
    e.port_ = port;
    return e;
}

endpoint endpoint::ipv6(const std::array<std::uint8_t, 16>& address, std::uint16_t port,
                        std::uint32_t zone) noexcept {
    endpoint e;
    e.family_ = net::family::ipv6;
    e.address_ = address;
    e.port_ = port;
    e.zone_ = zone;
    return e;
}

endpoint endpoint::local(std::string_view path) {
    if (const char* fault = path_fault(path)) refuse(path, fault);
    endpoint e;
    e.family_ = net::family::local;
    e.path_ = path;
    return e;
}

std::span<const std::uint8_t> endpoint::address() const noexcept {
    switch (family_) {
        case net::family::ipv4: return std::span{address_}.first(4);
        case net::family::ipv6: return address_;
        default: return {};
    }
}

std::string endpoint::to_string() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    switch (family_) {
        case net::family::ipv4:
            ::inet_ntop(AF_INET, address_.data(), text.data(), text.size());
            return std::string(text.data()) + ':' + std::to_string(port_);
        case net::family::ipv6: {
            ::inet_ntop(AF_INET6, address_.data(), text.data(), text.size());
            std::string s = "[" + std::string(text.data());
            if (zone_ != 0) s += '%' + std::to_string(zone_);
            return s + "]:" + std::to_string(port_);
        }
        case net::family::local:
            return looks_like_path(path_) ? path_ : std::string(local_prefix) + path_;
        case net::family::none: break;
    }
    return {};
}

}  // namespace vole::net
