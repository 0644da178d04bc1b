// The system's resolver, getaddrinfo(3): it knows the hosts file, DNS, and whatever else the machine is set up for, and
// orders what it finds by RFC 6724.
//
// Rejected: a DNS client of our own. It would know less than the system does (multicast DNS, directories, what an
// administrator has plugged in), for the sake of some threads.
//
// Stack: a thread's own. No locks.
#include "net/src/os.hpp"
#include "net/src/resolve.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <vole/net/error.hpp>

namespace vole::inline v0::detail {
namespace {

void append(std::vector<net::endpoint>& to, const sockaddr* address) {
    if (address->sa_family == AF_INET) {
        sockaddr_in in;
        std::memcpy(&in, address, sizeof in);
        std::array<std::uint8_t, 4> bytes;
        std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
        to.push_back(net::endpoint::ipv4(bytes, 0));
    } else if (address->sa_family == AF_INET6) {
        sockaddr_in6 in;
        std::memcpy(&in, address, sizeof in);
        std::array<std::uint8_t, 16> bytes;
        std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
        to.push_back(net::endpoint::ipv6(bytes, 0, in.sin6_scope_id));
    }
}

}  // namespace

std::error_code error_of_lookup(int code, int error) noexcept {
    switch (code) {
        case EAI_MEMORY: return std::make_error_code(std::errc::not_enough_memory);
        case EAI_SYSTEM:
            // The C library forgets errno where it ran out of descriptors.
            return {error != 0 ? error : EMFILE, std::system_category()};
        case EAI_NONAME:
#if defined(EAI_NODATA)
        case EAI_NODATA:
#endif
#if defined(EAI_ADDRFAMILY)
        case EAI_ADDRFAMILY:
#endif
            return net::errc::no_such_host;
        default: return net::errc::name_server_failure;  // EAI_AGAIN, EAI_FAIL
    }
}

host_answer ask_system(const char* host, int family) {
    addrinfo hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;  // else each address comes once for each type
    // Not AI_ADDRCONFIG: a machine that has nothing but its loopback device could not even look itself up.
    addrinfo* found = nullptr;
    errno = 0;
    const int code = os::getaddrinfo(host, nullptr, &hints, &found);
    const int error = errno;
    if (code != 0) return {{}, error_of_lookup(code, error)};

    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
    host_answer answer;
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        append(answer.addresses, one->ai_addr);
    }
    return answer;
}

}  // namespace vole::detail
