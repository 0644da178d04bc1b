// See sockaddr.hpp.
#include "net/src/sockaddr.hpp"

#include <cstring>
#include <netinet/in.h>

#include "net/src/os.hpp"

namespace vole::inline v0::detail {

using net::endpoint;
using net::family;

namespace {

void put_ipv4(const endpoint& e, socket_address& out) noexcept {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(e.port());
    std::memcpy(&a.sin_addr, e.address().data(), sizeof a.sin_addr);
    std::memcpy(&out.storage, &a, sizeof a);
    out.size = sizeof a;
}

void put_ipv6(const endpoint& e, socket_address& out) noexcept {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(e.port());
    a.sin6_scope_id = e.zone();
    if (e.family() == family::ipv4) {
        a.sin6_addr.s6_addr[10] = a.sin6_addr.s6_addr[11] = 0xff;
        std::memcpy(&a.sin6_addr.s6_addr[12], e.address().data(), 4);
    } else {
        std::memcpy(&a.sin6_addr, e.address().data(), sizeof a.sin6_addr);
    }
    std::memcpy(&out.storage, &a, sizeof a);
    out.size = sizeof a;
}

// A leading '@' stands for the NUL of an abstract name, which is as long as the size says; a path ends in NUL.
void put_local(const endpoint& e, socket_address& out) noexcept {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    const std::string& path = e.path();
    std::memcpy(a.sun_path, path.data(), path.size());
    const bool abstract = path[0] == '@';
    if (abstract) a.sun_path[0] = '\0';
    std::memcpy(&out.storage, &a, sizeof a);
    out.size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
}

endpoint get_ipv4(const socket_address& from) noexcept {
    sockaddr_in a{};
    std::memcpy(&a, &from.storage, sizeof a);
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &a.sin_addr, bytes.size());
    return endpoint::ipv4(bytes, ntohs(a.sin_port));
}

endpoint get_ipv6(const socket_address& from) noexcept {
    sockaddr_in6 a{};
    std::memcpy(&a, &from.storage, sizeof a);
    if (IN6_IS_ADDR_V4MAPPED(&a.sin6_addr)) {
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &a.sin6_addr.s6_addr[12], bytes.size());
        return endpoint::ipv4(bytes, ntohs(a.sin6_port));
    }
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &a.sin6_addr, bytes.size());
    return endpoint::ipv6(bytes, ntohs(a.sin6_port), a.sin6_scope_id);
}

endpoint get_local(const socket_address& from) {
    constexpr std::size_t head = offsetof(sockaddr_un, sun_path);
    if (from.size <= head) return {};
    sockaddr_un a{};
    const std::size_t room = sizeof a.sun_path;
    std::memcpy(&a, &from.storage, from.size < sizeof a ? from.size : sizeof a);
    std::size_t n = from.size - head < room ? from.size - head : room;
    if (a.sun_path[0] == '\0') {
        a.sun_path[0] = '@';
    } else {
        n = ::strnlen(a.sun_path, n);
    }
    std::error_code ignored;
    // Not parsed: any bytes may be in it. One that no endpoint can hold is no endpoint.
    try {
        return endpoint::local(std::string_view(a.sun_path, n));
    } catch (const std::invalid_argument&) {
        return {};
    }
}

}  // namespace

bool to_sockaddr(const endpoint& e, int af, socket_address& out) noexcept {
    switch (e.family()) {
        case family::ipv4:
            if (af == AF_INET) {
                put_ipv4(e, out);
            } else {
                put_ipv6(e, out);
            }
            return af == AF_INET || af == AF_INET6;
        case family::ipv6: put_ipv6(e, out); return af == AF_INET6;
        case family::local: put_local(e, out); return af == AF_UNIX;
        case family::none: break;
    }
    return false;
}

endpoint from_sockaddr(const socket_address& a) {
    switch (a.storage.ss_family) {
        case AF_INET: return get_ipv4(a);
        case AF_INET6: return get_ipv6(a);
        case AF_UNIX: return get_local(a);
        default: return {};
    }
}

endpoint local_endpoint_of(int fd) {
    socket_address a;
    return os::getsockname(fd, a.get(), &a.size) == 0 ? from_sockaddr(a) : endpoint();
}

endpoint remote_endpoint_of(int fd) {
    socket_address a;
    return os::getpeername(fd, a.get(), &a.size) == 0 ? from_sockaddr(a) : endpoint();
}

}  // namespace vole::detail
