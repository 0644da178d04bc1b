// Numeric addresses of hosts. inet_pton(3) knows them; what is added here is the zone of an IPv6 address.
//
// A zone that is a number is that interface, as endpoint::parse() has it; any other text is an interface's name.
//
// Stack: any; less than 1 KiB. No locks.
#include "net/src/resolve.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <arpa/inet.h>
#include <net/if.h>

namespace vole::inline v0::detail {
namespace {

/// The text with a NUL behind it, as C wants it; false: it does not fit, or has one inside.
template <std::size_t Bytes>
bool terminate(std::string_view text, std::array<char, Bytes>& out) {
    if (text.size() >= out.size() || text.find('\0') != std::string_view::npos) return false;
    *std::ranges::copy(text, out.begin()).out = '\0';
    return true;
}

/// 0: no such interface.
std::uint32_t zone_number(std::string_view zone) {
    std::uint32_t number = 0;
    const char* end = zone.data() + zone.size();
    const auto [stop, error] = std::from_chars(zone.data(), end, number);
    if (error == std::errc{} && stop == end && number != 0) return number;
    std::array<char, IF_NAMESIZE> name;
    return terminate(zone, name) ? ::if_nametoindex(name.data()) : 0;
}

}  // namespace

std::optional<net::endpoint> parse_literal(std::string_view host) {
    std::array<char, INET6_ADDRSTRLEN> text;
    std::array<std::uint8_t, 4> four{};
    if (terminate(host, text) && ::inet_pton(AF_INET, text.data(), four.data()) == 1)
        return net::endpoint::ipv4(four, 0);

    const auto percent = host.find('%');
    std::array<std::uint8_t, 16> sixteen{};
    if (!terminate(host.substr(0, percent), text) ||
        ::inet_pton(AF_INET6, text.data(), sixteen.data()) != 1)
        return std::nullopt;
    std::uint32_t zone = 0;
    if (percent != std::string_view::npos) {
        zone = zone_number(host.substr(percent + 1));
        if (zone == 0) return std::nullopt;
    }
    return net::endpoint::ipv6(sixteen, 0, zone);
}

}  // namespace vole::detail
