// SIGPIPE: whatever is written to whoever is gone, it is not raised. Cites NET-33.
//
// The disposition is the default here, and a signal that is raised ends the process: all of it runs in one of its own.
#include "test/net/loopback.hpp"

#include <array>
#include <csignal>
#include <pthread.h>
#include <sys/mman.h>

namespace vole::test {

using namespace loopback;

namespace {

const std::error_condition broken = std::errc::broken_pipe;

void put_default() {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &action, nullptr);
}

// A connection whose other end is gone, and which knows it.
net::conn broken_tcp() {
    auto [a, b] = tcp_ends();
    reset(b);
    wait_until([&, &a = a] { return bool(write_of(a, "x").ec); }, "the reset to arrive");
    return std::move(a);
}
net::conn broken_local() { return local_ends().a; }
net::conn broken_pipe() { return net::os_pipe().second; }

int file_with_bytes() {
    const int fd = ::memfd_create("file", MFD_CLOEXEC);
    if (::write(fd, "bytes", 5) != 5) std::abort();
    ::lseek(fd, 0, SEEK_SET);
    return fd;
}

void write_all_ways(findings& ok) {
    for (const auto make : {broken_tcp, broken_local, broken_pipe}) {
        net::conn c = make();
        ok(write_of(c, "x").ec == broken);
        const std::array pieces{bytes_of("a"), bytes_of("b")};
        ok(error_of_call([&](std::error_code& ec) { c.write_v(pieces, ec); }) == broken);
        auto [from, other] = tcp_ends();
        write_of(other, "spliced");
        ok(error_of_call([&, &from = from](std::error_code& ec) {
               net::copy(c, from, net::copy_all, ec);
           }) == broken);
        auto [in, out] = net::os_pipe();
        write_of(out, "copied");
        ok(error_of_call([&, &in = in](std::error_code& ec) {
               net::copy(c, in, net::copy_all, ec);
           }) == broken);
        const int file = file_with_bytes();
        ok(error_of_call(
               [&](std::error_code& ec) { net::send_file(c, file, net::copy_all, ec); }) == broken);
        ::close(file);
    }
    // Packets.
    auto [a, b] = local_ends(SOCK_SEQPACKET);
    b.close();
    ok(write_of(a, "x").ec == broken);
}

}  // namespace

TEST_CASE("child: write to whoever is gone", "[.child]") {
    put_default();
    CHECK(everywhere(write_all_ways) == "");
    struct sigaction action {};
    ::sigaction(SIGPIPE, nullptr, &action);
    CHECK(action.sa_handler == SIG_DFL);
    sigset_t pending;
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE) == 0);
}
TEST_CASE("NET-33 nothing that writes raises SIGPIPE", "[net][sigpipe]") {
    const auto r = run_case_in_subprocess("child: write to whoever is gone");
    INFO(r.text());
    CHECK(r.succeeded());
}

// One that is pending for this thread, since somebody blocks it, is his.
TEST_CASE("child: a SIGPIPE of somebody else", "[.child]") {
    put_default();
    (void)net::os_pipe();
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    const auto is_pending = [&] {
        sigpending(&pending);
        return sigismember(&pending, SIGPIPE) == 1;
    };
    CHECK(sigismember(&before, SIGPIPE) == 0);
    findings ok;
    write_all_ways(ok);
    CHECK(ok.text() == "");
    CHECK(!is_pending());
    pthread_kill(pthread_self(), SIGPIPE);
    REQUIRE(is_pending());
    write_all_ways(ok);
    CHECK(ok.text() == "");
    CHECK(is_pending());
    const timespec now{};
    CHECK(sigtimedwait(&pipe, nullptr, &now) == SIGPIPE);
    CHECK(!is_pending());
    // The mask is as it was.
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, &before, &after);
    CHECK(sigismember(&after, SIGPIPE) == 1);
    write_all_ways(ok);
    CHECK(ok.text() == "");
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    CHECK(sigismember(&after, SIGPIPE) == 0);
}
TEST_CASE("NET-33 a SIGPIPE that was pending before stays so", "[net][sigpipe]") {
    const auto r = run_case_in_subprocess("child: a SIGPIPE of somebody else");
    INFO(r.text());
    CHECK(r.succeeded());
}

}  // namespace vole::test
