// net-load idle: opens connections to an echo server and says how much each adds to its memory: as
// accepted and never heard of, and after one echo. It is the process's memory, goroutine and buffer
// included; what the kernel keeps for a socket is the same for all sides, and not in it.
#include <array>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include <sys/resource.h>

#include "test/bench/net/client.hpp"
#include "test/bench/net/load.hpp"

namespace net_bench {
namespace {

std::size_t open_files(pid_t pid) {
    using list = std::filesystem::directory_iterator;
    return static_cast<std::size_t>(
        std::distance(list("/proc/" + std::to_string(pid) + "/fd"), list()));
}

void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(500)); }

bool echoes(int fd) {
    std::array<char, 64> text{};
    return send(fd, text.data(), text.size(), MSG_NOSIGNAL) == std::ssize(text) &&
           recv(fd, text.data(), text.size(), MSG_WAITALL) == std::ssize(text);
}

}  // namespace

int idle(const options& o) {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    settle();
    const double before = resident(o.pid);
    const std::size_t files_before = open_files(o.pid);
    std::vector<int> fds;
    for (unsigned i = 0; i < o.conns; ++i) fds.push_back(connect_to(o.port, i));
    for (int tries = 0; open_files(o.pid) < files_before + o.conns; ++tries) {
        if (tries == 60) {
            std::fputs("net-load: the server does not accept all connections\n", stderr);
            return 1;
        }
        settle();
    }
    settle();
    const double accepted = resident(o.pid);
    std::size_t errors = 0;
    for (const int fd : fds) errors += !echoes(fd);
    settle();
    const double used = resident(o.pid);
    std::printf(
        "{\"connections\": %u, \"bytes_each\": %.0f, \"bytes_used\": %.0f, \"errors\": %zu}\n",
        o.conns, (accepted - before) / o.conns, (used - before) / o.conns, errors);
    return 0;
}

}  // namespace net_bench
