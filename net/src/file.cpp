// Descriptors from elsewhere. See <vole/net/file.hpp>.
#include <vole/net/file.hpp>

#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/src/fresh_fd.hpp"
#include "net/src/os.hpp"
#include "net/src/socket.hpp"

namespace vole::inline v0 {

using namespace detail;

namespace {

struct kind {
    int family = 0;
    int type = 0;  // 0: no socket
    bool listens = false;
};

int option(int fd, int name, int fallback) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return os::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : fallback;
}

kind kind_of(int fd) noexcept {
    return {option(fd, SO_DOMAIN, 0), option(fd, SO_TYPE, 0), option(fd, SO_ACCEPTCONN, 0) != 0};
}

const char* network_of(const kind& k) noexcept {
    if (k.type == 0) return "file";
    const bool local = k.family == AF_UNIX;
    switch (k.type) {
        case SOCK_STREAM: return local ? "unix" : "tcp";
        case SOCK_DGRAM: return local ? "unixgram" : "udp";
        default: return "unixpacket";
    }
}

// What is changed is changed back if fd is not taken over.
socket* adopt(int fd, const kind& k, std::error_code& ec) {
    const int status = os::fcntl(fd, F_GETFL);
    const int flags = os::fcntl(fd, F_GETFD);
    if (status < 0 || flags < 0 || os::fcntl(fd, F_SETFL, status | O_NONBLOCK) != 0) {
        ec = system_error_of(-errno);
        return nullptr;
    }
    socket* s = nullptr;
    try {
        net::endpoint local = k.type != 0 ? local_endpoint_of(fd) : net::endpoint();
        net::endpoint remote = k.type != 0 ? remote_endpoint_of(fd) : net::endpoint();
        s = make_socket(fd, static_cast<std::int16_t>(k.family), static_cast<std::int16_t>(k.type),
                        network_of(k), ec);
        if (s != nullptr) {
            s->local = std::move(local);
            s->remote = std::move(remote);
        }
    } catch (...) {
        os::fcntl(fd, F_SETFL, status);
        throw;
    }
    if (s == nullptr) {
        os::fcntl(fd, F_SETFL, status);
        return nullptr;
    }
    os::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    if (option(fd, SO_PROTOCOL, 0) != IPPROTO_TCP) s->short_is_all = false;
    if (k.type != 0) {
        socket_address peer;
        s->connected = os::getpeername(fd, peer.get(), &peer.size) == 0;
    }
    return s;
}

socket* adopt_if(bool fits, int fd, const kind& k, std::error_code& ec) {
    if (fits) return adopt(fd, k, ec);
    ec = os::fcntl(fd, F_GETFD) < 0 ? system_error_of(-errno)
                                    : std::make_error_code(std::errc::invalid_argument);
    return nullptr;
}

}  // namespace

namespace net {

conn adopt_conn(int fd, std::error_code& ec) {
    const kind k = kind_of(fd);
    return conn(adopt_if(!k.listens && k.type != SOCK_DGRAM && k.type != SOCK_RAW, fd, k, ec));
}
conn adopt_conn(int fd) {
    std::error_code ec;
    conn c = adopt_conn(fd, ec);
    if (ec) throw_op_error(ec, "adopt", "file", {}, {});
    return c;
}

listener adopt_listener(int fd, std::error_code& ec) {
    const kind k = kind_of(fd);
    return listener(adopt_if(k.listens, fd, k, ec));
}
listener adopt_listener(int fd) {
    std::error_code ec;
    listener l = adopt_listener(fd, ec);
    if (ec) throw_op_error(ec, "adopt", "listener", {}, {});
    return l;
}

packet_conn adopt_packet_conn(int fd, std::error_code& ec) {
    const kind k = kind_of(fd);
    return packet_conn(adopt_if(k.type == SOCK_DGRAM || k.type == SOCK_RAW, fd, k, ec));
}
packet_conn adopt_packet_conn(int fd) {
    std::error_code ec;
    packet_conn c = adopt_packet_conn(fd, ec);
    if (ec) throw_op_error(ec, "adopt", "packet", {}, {});
    return c;
}

std::pair<conn, conn> os_pipe(std::error_code& ec) {
    int ends[2];
    if (os::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        ec = system_error_of(-errno);
        return {};
    }
    conn in;
    conn out;
    try {
        in = adopt_conn(ends[0], ec);
        if (!ec) out = adopt_conn(ends[1], ec);
    } catch (...) {
        if (!in) os::close(ends[0]);
        if (!out) os::close(ends[1]);
        throw;
    }
    if (!in) os::close(ends[0]);
    if (!out) os::close(ends[1]);
    if (ec) return {};
    return {std::move(in), std::move(out)};
}
std::pair<conn, conn> os_pipe() {
    std::error_code ec;
    auto ends = os_pipe(ec);
    if (ec) throw_op_error(ec, "pipe", "file", {}, {});
    return ends;
}

}  // namespace net

}  // namespace vole
