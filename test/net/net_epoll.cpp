// What a process has open for the poller. Cites NET-1.
#include "test/net/poll_support.hpp"

#include "test/support/subprocess.hpp"

#include <unistd.h>

using namespace vole::test;
namespace net = vole::net;

namespace {

int count_files(const std::string& link) {
    int n = 0;
    for (const auto& [fd, name] : open_files()) n += name == link ? 1 : 0;
    return n;
}

}  // namespace

TEST_CASE("child: everything but sockets", "[.child]") {
    vole::run({.max_procs = 2}, [] {
        auto [a, b] = net::pipe();
        vole::wait_group all;
        all.go([&a = a] { (void)a.write(bytes_of("abc")); });
        std::byte buffer[3];
        (void)b.read_full(buffer);
        vole::sleep(1ms);
        vole::blocking([] { ::usleep(100); });
        all.wait();
    });
    CHECK(count_files("anon_inode:[eventpoll]") == 0);
    CHECK(count_files("anon_inode:[eventfd]") == 0);
}
TEST_CASE("NET-1 a process without sockets opens nothing for them") {
    const auto r = run_case_in_subprocess("child: everything but sockets");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("child: the first sockets", "[.child]") {
    vole::run({.max_procs = 2}, [] {
        // Several at once: one of them opens it.
        vole::wait_group all;
        for (int i = 0; i < 8; ++i) all.go([] { const auto ends = net::os_pipe(); });
        all.wait();
    });
    int found = 0;
    for (const auto& [fd, name] : open_files()) {
        if (name != "anon_inode:[eventpoll]" && name != "anon_inode:[eventfd]") continue;
        ++found;
        CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    CHECK(found == 2);
    CHECK(count_files("anon_inode:[eventpoll]") == 1);
}
TEST_CASE("NET-1 the first socket opens one epoll descriptor, and that is all there will be") {
    const auto r = run_case_in_subprocess("child: the first sockets");
    INFO(r.text());
    CHECK(r.succeeded());
}
