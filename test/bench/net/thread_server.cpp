// A thread for each connection, which blocks in recv and send: no readiness, no scheduler but the kernel's.
// `net-threads echo|hello`.
//
// With one connection nothing that sleeps in the kernel can take less: each request is one call that waits and one
// that wakes the other end.
#include <array>
#include <cstdio>
#include <string_view>
#include <system_error>
#include <thread>

#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/bench/net/wire.hpp"

namespace {

using namespace net_bench;

bool send_all(int fd, const char* from, std::size_t n) {
    while (n != 0) {
        const ssize_t sent = send(fd, from, n, MSG_NOSIGNAL);
        if (sent < 0) return false;
        from += sent;
        n -= static_cast<std::size_t>(sent);
    }
    return true;
}

void echo(int fd) {
    std::array<char, buffer_bytes> buffer;
    for (;;) {
        const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
        if (n <= 0 || !send_all(fd, buffer.data(), static_cast<std::size_t>(n))) return;
    }
}

void say_hello(int fd) {
    std::array<char, buffer_bytes> buffer;
    std::size_t have = 0;
    while (have < buffer.size()) {
        const ssize_t n = recv(fd, buffer.data() + have, buffer.size() - have, 0);
        if (n <= 0) return;
        have += static_cast<std::size_t>(n);
        const requests found = find_requests(buffer.data(), have);
        if (!send_all(fd, all_answers().data(), found.count * hello.size())) return;
        have -= found.bytes;
        std::memmove(buffer.data(), buffer.data() + found.bytes, have);
    }
}

int failed(const char* what) {
    std::perror(what);
    return 1;
}

int serve(void (*one)(int)) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof here;
    auto* address = reinterpret_cast<sockaddr*>(&here);
    if (listener < 0 || bind(listener, address, size) != 0 || listen(listener, SOMAXCONN) != 0 ||
        getsockname(listener, address, &size) != 0) {
        return failed("listen");
    }
    say_port(ntohs(here.sin_port));
    for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return failed("accept");
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        try {
            std::thread([one, fd] {
                one(fd);
                close(fd);
            }).detach();
        } catch (const std::system_error&) {
            return failed("thread");
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const auto one = wants_echo(argc, argv) ? echo : say_hello;
    std::thread(end_with_input).detach();
    return serve(one);
}
