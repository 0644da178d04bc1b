// Closing while others use the descriptor, again and again, with numbers of descriptors that are used anew at once. Cites
// NET-8, NET-21, NET-23 and NET-87.
#include "test/net/socket_support.hpp"

#include <memory>

namespace vole::test {

TEST_CASE("NET-21 a hundred readers, a close, and descriptors that are used again",
          "[net][close][stress]") {
    constexpr int readers = 100;
    const int rounds = stress_scaled(60, 6);
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            std::atomic<bool> over{false};
            // Others take each number that becomes free, and have data at once: nobody else may get it.
            wait_group others;
            for (int i = 0; i < 2; ++i) {
                others.go([&, i] {
                    const std::string mine(1, static_cast<char>('A' + i));
                    while (!over) {
                        two_conns ab = i == 0 ? tcp_pair() : unix_pair();
                        net::conn& a = ab.a;
                        net::conn& b = ab.b;
                        ok.equal(write(a, mine), wrote(1));
                        ok.equal(write(b, mine), wrote(1));
                        ok.equal(read(b, 10), got(mine));
                        ok.equal(read(a, 10), got(mine));
                        gosched();
                    }
                });
            }
            dice roll(17);
            for (int i = 0; i < rounds; ++i) {
                two_conns ab = i % 2 == 0 ? tcp_pair() : unix_pair();
                net::conn& a = ab.a;
                wait_group all;
                std::atomic<int> begun{0};
                for (int k = 0; k < readers; ++k) {
                    all.go([&] {
                        ++begun;
                        ok.equal(read(a, 10), closed);
                    });
                }
                const int some = static_cast<int>(roll(readers + 1));
                wait_until([&] { return begun >= some; }, "some readers");
                ok(!close(a));
                all.wait();
            }
            over = true;
            others.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-21 close meets a read, a write and a deadline in every state",
          "[net][close][stress]") {
    const int rounds = stress_scaled(1500, 150);
    const int before = open_sockets();
    findings ok;
    run_on(2, [&] {
        two_conns p;
        int i = 0;
        duel(
            rounds,
            [&] {
                p = tcp_pair();
                ++i;
            },
            [&] { ok(!close(p.a)); },
            [&] {
                if (i % 3 == 0) {
                    ok.equal(read(p.a, 10), closed);
                } else if (i % 3 == 1) {
                    const result r = write(p.a, "x");
                    ok(r == wrote(1) || r == closed);
                } else {
                    const std::error_code ec = read_deadline(p.a, in(1h));
                    ok(!ec || ec == errc::closed);
                    ok.equal(read(p.a, 10), closed);
                }
            });
    });
    CHECK(ok.text() == "");
    CHECK(open_sockets() <= before + 2);  // the last pair's, perhaps: it ends with the case
}

// A deadline's alarm that goes off for a descriptor which is another one by then.
TEST_CASE("NET-8 alarms of closed descriptors do not disturb those that come after",
          "[net][close][stress]") {
    const int rounds = stress_scaled(2000, 200);
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            dice roll(23);
            for (int i = 0; i < rounds; ++i) {
                {
                    two_conns ab = unix_pair();
                    net::conn& a = ab.a;
                    net::conn& b = ab.b;
                    a.set_deadline(in(std::chrono::nanoseconds(roll(40'000))));
                    b.set_deadline(in(std::chrono::nanoseconds(roll(40'000))));
                }
                two_conns ab = unix_pair();
                net::conn& a = ab.a;
                net::conn& b = ab.b;
                background r([&] { return read(a, 10); });
                for (auto n = roll(30); n > 0; --n) gosched();
                ok.equal(write(b, "x"), wrote(1));
                ok.equal(r.get(), got("x"));
            }
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-87 a listener is closed while a connection comes in: nothing is left of it",
          "[net][close][stress]") {
    const int rounds = stress_scaled(600, 60);
    (void)tcp_pair();
    const int before = open_sockets();
    std::atomic<int> accepted{0};
    for (const bool accepting : {false, true}) {
        findings ok;
        run_on(2, [&] {
            std::unique_ptr<net::tcp_listener> l;
            std::unique_ptr<background> server;
            duel(
                rounds,
                [&] {
                    l = std::make_unique<net::tcp_listener>(net::listen_tcp(loopback()));
                    if (accepting)
                        server = std::make_unique<background>([&] { return accept(*l); });
                },
                [&] {
                    ok(!close(*l));
                    if (!server) return;
                    const result r = server->get();
                    if (r == result{1, {}}) {
                        ++accepted;
                    } else {
                        ok.equal(r, closed);
                    }
                },
                [&] {
                    std::error_code ec;
                    net::tcp_conn c = net::dial_tcp(l->local_endpoint(), {}, ec);
                    if (ec) {
                        ok(ec == std::errc::connection_refused ||
                           ec == std::errc::connection_reset);
                        return;
                    }
                    // Accepted and closed, or never accepted: it ends.
                    const result r = read(c, 1);
                    ok(r == end_of_stream || r == failed(std::errc::connection_reset));
                });
        });
        CHECK(ok.text() == "");
    }
    CHECK(open_sockets() == before);
}

}  // namespace vole::test
