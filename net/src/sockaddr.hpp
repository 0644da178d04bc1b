// Endpoints as the kernel writes them.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <vole/net/endpoint.hpp>

namespace vole::inline v0::detail {

struct socket_address {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;

    sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// `af`: the socket's: an IPv4 address is mapped for AF_INET6. False: an endpoint that this family cannot reach, or an
/// empty one.
bool to_sockaddr(const net::endpoint& e, int af, socket_address& out) noexcept;
/// Mapped IPv4 addresses are IPv4 ones again. Empty: unnamed, or of an unknown family.
net::endpoint from_sockaddr(const socket_address& a);

net::endpoint local_endpoint_of(int fd);
net::endpoint remote_endpoint_of(int fd);

}  // namespace vole::detail
