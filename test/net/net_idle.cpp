// Connections that do nothing, by the thousand. Cites NET-13 and NET-8.
//
// A server with one goroutine for each, which waits in a read. The other ends are raw descriptors of child processes, so that
// what this process has more of is what the server's side costs.
#include "test/net/loopback.hpp"

#include <array>
#include <cstdio>
#include <fstream>
#include <sys/resource.h>
#include <thread>

namespace vole::test {

using namespace loopback;

namespace {

constexpr int wanted = 20'000;

// What the process may have open, as many as it is allowed to ask for.
int descriptor_limit(rlim_t enough) {
    rlimit l{};
    ::getrlimit(RLIMIT_NOFILE, &l);
    if (l.rlim_cur < enough) {
        rlimit more{enough, std::max<rlim_t>(l.rlim_max, enough)};
        if (::setrlimit(RLIMIT_NOFILE, &more) != 0) {
            more = {l.rlim_max, l.rlim_max};
            ::setrlimit(RLIMIT_NOFILE, &more);
        }
        ::getrlimit(RLIMIT_NOFILE, &l);
    }
    return static_cast<int>(std::min<rlim_t>(l.rlim_cur, 1 << 20));
}

long resident_bytes() {
    long pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

// For the child: argument by environment.
long from_environment(const char* name) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::atol(text) : 0;
}

int raw_dial(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) std::abort();
    return fd;
}

}  // namespace

// Dials, waits for a byte on each connection, sends one, expects it back, and closes all.
TEST_CASE("child: clients that do nothing", "[.child]") {
    const long n = from_environment("VOLE_TEST_CLIENTS");
    descriptor_limit(static_cast<rlim_t>(n) + 50);
    std::vector<int> all;
    for (long i = 0; i < n; ++i) {
        all.push_back(raw_dial(static_cast<std::uint16_t>(from_environment("VOLE_TEST_PORT"))));
    }
    char byte = 0;
    for (const int fd : all) REQUIRE(::read(fd, &byte, 1) == 1);
    for (const int fd : all) REQUIRE(::write(fd, "x", 1) == 1);
    for (const int fd : all) REQUIRE(::read(fd, &byte, 1) == 1);
    // Without TIME_WAIT: a thousand of them hold a thousand ports.
    const linger now{1, 0};
    for (const int fd : all) {
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        ::close(fd);
    }
}

TEST_CASE("child: a server with idle connections", "[.child]") {
    const long children = from_environment("VOLE_TEST_CHILDREN");
    const long each = from_environment("VOLE_TEST_CLIENTS");
    const long n = children * each;
    descriptor_limit(static_cast<rlim_t>(n) + 100);
    const leaves_nothing check;
    findings ok;
    std::vector<std::thread> clients;
    run_on(2, [&] {
        net::tcp_listener l = net::listen_tcp(any_port);
        const std::vector<std::string> env{"VOLE_TEST_CLIENTS=" + std::to_string(each),
                                           "VOLE_TEST_PORT=" +
                                               std::to_string(l.local_endpoint().port())};
        // The first connections pay for caches, threads and the poller.
        std::vector<ends> first;
        for (int i = 0; i < 20; ++i) {
            net::conn a = net::dial_tcp(l.local_endpoint());
            first.push_back({std::move(a), l.accept()});
        }
        first.clear();
        for (long i = 0; i < children; ++i) {
            clients.emplace_back([&ok, env] {
                const auto r =
                    run_case_in_subprocess("child: clients that do nothing", {.env = env});
                ok(r.succeeded(), r.text());
            });
        }
        wait_group all;
        std::vector<net::conn> conns;
        conns.reserve(static_cast<std::size_t>(n));
        const long before = resident_bytes();
        for (long i = 0; i < n; ++i) {
            conns.push_back(l.accept());
            all.go([&c = conns.back()] {
                std::array<std::byte, 16> room;
                std::error_code ec;
                while (c.read(room, ec) == 1 && !ec) c.write(std::span(room).first(1), ec);
            });
        }
        wait_until([&] { return detail::io_waiters() == n; }, "all to wait");
        const long after = resident_bytes();
        std::printf("%ld idle connections: %ld bytes each, goroutine included\n", n,
                    (after - before) / n);
        // They are alive: each answers, when its client has been told to ask.
        for (net::conn& c : conns) ok.equal(write_of(c, "g"), wrote(1));
        all.wait();
    });
    for (std::thread& t : clients) t.join();
    CHECK(ok.text() == "");
    CHECK(check.text() == "");
}

TEST_CASE("NET-13 twenty thousand idle connections", "[net][overload][idle]") {
    // Both sides are processes of their own, with descriptors to spare.
    const int limit = descriptor_limit(wanted + 100);
    int n = scaled(wanted, 500);
    if (n > limit - 100) {
        n = limit - 100;
        std::printf("no more than %d descriptors here: %d connections\n", limit, n);
    }
    constexpr int children = 2;
    const auto r =
        run_case_in_subprocess("child: a server with idle connections",
                               {.env = {"VOLE_TEST_CHILDREN=" + std::to_string(children),
                                        "VOLE_TEST_CLIENTS=" + std::to_string(n / children)}});
    INFO(r.text());
    CHECK(r.succeeded());
    const auto at = r.out.find(" idle connections: ");
    REQUIRE(at != std::string::npos);
    const auto start = r.out.rfind('\n', at) + 1;
    std::printf("%s", r.out.substr(start, r.out.find('\n', at) - start + 1).c_str());
}

// ---- what is used again ---------------------------------------------------------------------

TEST_CASE("NET-8 descriptors in the poller are used again", "[net][overload]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener l = net::listen_tcp(any_port);
        const auto round = [&] {
            net::conn a = net::dial_tcp(l.local_endpoint());
            net::conn b = l.accept();
            ok.equal(write_of(a, "x"), wrote(1));
            ok.equal(read_of(b, 1), got("x"));
            b.set_deadline(in(1h));
            reset(a);
            // An event on its way for one that was closed is nothing to the next one.
            b.close();
        };
        for (int i = 0; i < 10; ++i) round();
        const long before = resident_bytes();
        for (int i = 0; i < scaled(2000, 200); ++i) round();
            // They are 256 bytes, and never given back: two for each round would be a megabyte.
#if !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
        ok(resident_bytes() - before < 700 * 1024,
           std::to_string(resident_bytes() - before) + " bytes more");
#else
        (void)before;
#endif
    });
    CHECK(text == "");
}

}  // namespace vole::test
