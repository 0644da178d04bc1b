// Sockets used from ordinary threads, by many at once, and by a server of the usual kind. Cites NET-83, NET-84 and NET-86 to
// NET-89.
#include "test/net/socket_support.hpp"

#include "test/support/subprocess.hpp"

#include <thread>

namespace vole::test {

namespace {

/// Gives back what it reads, until the end.
void echo(net::conn& c) {
    std::array<std::byte, 3000> buffer;
    for (;;) {
        std::error_code ec;
        const std::size_t n = c.read(buffer, ec);
        if (ec || n == 0) return;
        c.write(std::span(buffer).first(n), ec);
        if (ec) return;
    }
}

/// Until it is closed, a goroutine for each connection.
class echo_server {
  public:
    explicit echo_server(net::listener l) : l_(std::move(l)) {
        all_.go([this] {
            for (;;) {
                std::error_code ec;
                net::conn c = l_.accept(ec);
                if (ec) return;
                all_.go([c = std::move(c)]() mutable { echo(c); });
            }
        });
    }
    ~echo_server() {
        l_.close();
        all_.wait();
    }
    echo_server(const echo_server&) = delete;
    echo_server& operator=(const echo_server&) = delete;
    net::conn dial() const {
        return net::dial(*l_.local_endpoint().to_string().data() == '@' ? "unix" : "tcp",
                         l_.local_endpoint().to_string());
    }

  private:
    net::listener l_;
    wait_group all_;
};

/// Round trips of many sizes, with some that leave in between.
void talk(findings& ok, const echo_server& server, int rounds, std::uint64_t seed) {
    dice roll(seed);
    net::conn c = server.dial();
    for (int i = 0; i < rounds; ++i) {
        const std::string text(1 + roll(roll(10) == 0 ? 20'000 : 200),
                               static_cast<char>('a' + roll(26)));
        if (!ok.equal(write(c, text), wrote(text.size()))) return;
        if (!ok(read_n(c, text.size()) == got(text), "the echo")) return;
        if (roll(20) == 0) {
            if (roll(2) == 0) reset(c);
            c = server.dial();
        }
    }
    ok(!close_write(c));
    ok.equal(read(c, 1), end_of_stream);
}

}  // namespace

TEST_CASE("NET-84 an ordinary thread waits as a thread, and is woken by everything",
          "[net][threads]") {
    two_conns ab = tcp_pair();
    net::conn& a = ab.a;
    net::conn& b = ab.b;
    net::tcp_listener l = net::listen_tcp(loopback());
    const auto in_thread = [&](auto&& operation, auto&& wake) {
        std::atomic<int> tid{0};
        result r;
        std::thread t([&] {
            tid = thread_id();
            r = operation();
        });
        wait_until([&] { return tid != 0; }, "a thread");
        wait_asleep(tid);
        wake();
        t.join();
        return r;
    };
    const auto reading = [&, &c = b] { return read(c, 10); };
    CHECK(in_thread(reading, [&, &c = a] { write(c, "x"); }) == got("x"));
    CHECK(in_thread(reading, [&, &c = b] { c.set_read_deadline(past); }) == timed_out);
    b.set_read_deadline(never);
    CHECK(in_thread(reading, [&, &c = b] { c.close(); }) == closed);
    CHECK(in_thread([&] { return accept(l); }, [&] { (void)net::dial_tcp(l.local_endpoint()); }) ==
          result{1, {}});
    CHECK(in_thread([&] { return accept(l); }, [&] { l.close(); }) == closed);
}

TEST_CASE("NET-84 threads and goroutines share connections", "[net][threads]") {
    const int rounds = scaled(300, 30);
    findings ok;
    two_conns ab = tcp_pair();
    net::conn& a = ab.a;
    net::conn& b = ab.b;
    make_narrow(a, b);
    const std::size_t size = 1000;
    std::atomic<std::size_t> left{size * static_cast<std::size_t>(rounds) * 4};
    const auto writing = [&, &c = a] {
        const std::string text(size, 'x');
        for (int i = 0; i < rounds; ++i) ok.equal(write(c, text), wrote(size));
    };
    const auto reading = [&, &c = b] {
        while (left > 0) {
            const result r = read(c, 777);
            if (r.ec == errc::closed) return;
            if (!ok(!r.ec && r.n > 0)) return;
            // Whoever reads the last byte lets the others go.
            if (left.fetch_sub(r.n) == r.n) c.close();
        }
    };
    wait_group all;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        all.go(writing);
        all.go(reading);
        threads.emplace_back(writing);
        threads.emplace_back(reading);
    }
    for (auto& t : threads) t.join();
    all.wait();
    CHECK(ok.text() == "");
    CHECK(left == 0);
}

TEST_CASE("NET-83 a server and many clients", "[net][threads][stress]") {
    const int clients = 20;
    const int rounds = stress_scaled(60, 10);
    (void)tcp_pair();
    const int before = open_sockets();
    for (const char* where : {"tcp", "unix"}) {
        for (const int procs : {1, 2, 4}) {
            findings ok;
            run_on(procs, [&] {
                const bool tcp = *where == 't';
                const echo_server server(
                    net::listen(where, tcp ? "127.0.0.1:0" : "@vole-test-echo"));
                wait_group all;
                for (int i = 0; i < clients; ++i) {
                    all.go([&, i] {
                        // A reset is not for local sockets.
                        if (tcp) {
                            talk(ok, server, rounds, static_cast<std::uint64_t>(i) + 1);
                        } else {
                            net::conn c = server.dial();
                            for (int k = 0; k < rounds; ++k) {
                                ok.equal(write(c, "hello"), wrote(5));
                                ok.equal(read_n(c, 5), got("hello"));
                            }
                        }
                    });
                }
                std::thread other([&] {
                    if (tcp) talk(ok, server, rounds, 99);
                });
                blocking([&] { other.join(); });
                all.wait();
            });
            CHECK(ok.text() == "");
        }
    }
    CHECK(open_sockets() == before);
}

TEST_CASE("NET-86 everything may be called on one connection at once", "[net][threads][stress]") {
    const int rounds = stress_scaled(300, 30);
    findings ok;
    run_on(2, [&] {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        std::atomic<bool> over{false};
        wait_group all;
        const auto often = [&](auto f) {
            all.go([&over, f] {
                while (!over) {
                    f();
                    gosched();
                }
            });
        };
        const std::string local = a.local_endpoint().to_string();
        const std::string remote = a.remote_endpoint().to_string();
        often([&, &c = a] { ok(fd_of(c) >= 0); });
        often([&, &c = a] { ok(c.local_endpoint().to_string() == local); });
        often([&, &c = a] { ok(c.remote_endpoint().to_string() == remote); });
        often([&, &c = a] { c.set_no_delay(true); });
        often([&, &c = a] { c.set_keep_alive({}); });
        often([&, &c = a] { c.set_deadline(in(1h)); });
        often([&, &c = a] { c.set_write_buffer(100'000); });
        often([&, &c = a] { ::close(c.dup()); });
        often([&, &c = a] { ok.equal(write(c, ""), wrote(0)); });
        for (int i = 0; i < rounds; ++i) {
            ok.equal(write(a, "ping"), wrote(4));
            ok.equal(read_n(b, 4), got("ping"));
            ok.equal(write(b, "pong"), wrote(4));
            ok.equal(read_n(a, 4), got("pong"));
        }
        over = true;
        all.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-88 buffers are not touched after a call has returned", "[net][threads]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool local : {false, true}) {
            two_conns p = local ? unix_pair() : tcp_pair();
            make_narrow(p);
            // A read that has timed out.
            std::array<std::byte, 100> to{};
            std::error_code ec;
            p.b.set_read_deadline(in(1ms));
            ok.equal(p.b.read(to, ec), std::size_t{0});
            ok.equal(write(p.a, "late"), wrote(4));
            await_edge_at(p.b);
            ok(to == std::array<std::byte, 100>{});
            p.b.set_read_deadline(never);
            ok.equal(p.b.read(to, ec), std::size_t{4});
            ok(to[4] == std::byte{});
            // A write that has timed out: the caller may put something else there.
            auto all = stream_of(too_much);
            p.a.set_write_deadline(in(5ms));
            const std::size_t n = p.a.write(all, ec);
            ok.equal(ec, make_error_code(errc::timeout));
            std::ranges::fill(all, std::byte{0});
            ok(!close(p.a));
            ok.equal(read_stream(p.b, 5000), static_cast<std::int64_t>(n));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-89 no socket is inherited by a program that is started", "[net][threads]") {
    const two_conns tcp = tcp_pair();
    const two_conns local = unix_pair();
    const net::tcp_listener l = net::listen_tcp(loopback());
    const auto r = run_in_subprocess({"/bin/ls", "-l", "/proc/self/fd"}, false);
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("socket:") == std::string::npos);
    CHECK(r.out.find("eventpoll") == std::string::npos);
    CHECK(r.out.find("eventfd") == std::string::npos);
}

}  // namespace vole::test
