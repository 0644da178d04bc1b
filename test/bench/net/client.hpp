// The client's connections, and what it can see of the server's process.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace net_bench {

[[noreturn]] inline void give_up(const char* what) {
    std::fprintf(stderr, "net-load: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

inline std::uint64_t ns_of(clockid_t clock) {
    timespec t{};
    if (clock_gettime(clock, &t) != 0) give_up("clock_gettime");
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(t.tv_nsec);
}

/// User and system time of all threads of a process, those that have ended included.
inline std::uint64_t cpu_of(pid_t pid) {
    clockid_t clock{};
    if (const int e = clock_getcpuclockid(pid, &clock); e != 0) {
        errno = e;
        give_up("the server's CPU clock");
    }
    return ns_of(clock);
}

/// A process's memory in RAM and its page tables, in bytes; the kernel's socket buffers are not in it.
inline double resident(pid_t pid) {
    std::FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/status").c_str(), "re");
    if (file == nullptr) give_up("the server's memory");
    char line[256];
    double sum = 0;
    while (std::fgets(line, sizeof line, file) != nullptr) {
        if (std::strncmp(line, "VmRSS:", 6) == 0 || std::strncmp(line, "VmPTE:", 6) == 0) {
            sum += std::strtod(line + 6, nullptr) * 1024;
        }
    }
    std::fclose(file);
    return sum;
}

inline constexpr unsigned per_address = 5000;

/// The n-th connection to 127.0.0.1:port. Each 5,000 come from an address of their own, or the ports
/// would not suffice. Closing it resets it, so that no port lies idle for a minute afterwards.
inline int connect_to(std::uint16_t port, unsigned n) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) give_up("socket");
    const int on = 1;
    const linger reset{1, 0};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + n / per_address);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
        connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
        give_up("connect");
    }
    return fd;
}

}  // namespace net_bench
