// What follows a short read of TCP (net_drained.cpp), with ends, resets, urgent data and deadlines at every moment. Cites
// NET-31 and NET-41.
#include "test/net/socket_support.hpp"

namespace vole::test {

namespace {

/// One byte of urgent data, which a reader of the stream does not see.
bool write_urgent(net::conn& c, char byte) {
    return c.control([&](int fd) { return ::send(fd, &byte, 1, MSG_OOB | MSG_NOSIGNAL); }) == 1;
}

}  // namespace

// One at a time: an older urgent byte becomes part of the stream when a newer one comes.
TEST_CASE("NET-31 urgent data at random places of a stream", "[net][drained]") {
    const int rounds = scaled(3000, 300);
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            std::atomic<std::uint64_t> consumed{0};
            std::atomic<int> urgent{0};
            background writer([&] {
                dice roll(11);
                result all;
                std::vector<std::byte> buffer(300);
                std::size_t last = 0;
                for (int i = 0; (i < rounds || urgent < 10) && !all.ec; ++i) {
                    const auto some = std::span(buffer).first(1 + roll(300));
                    fill_from(all.n, some);
                    all.n += a.write(some, all.ec);
                    if (roll(2) == 0) gosched();
                    if (roll(4) != 0 || consumed <= last) continue;
                    last = all.n;
                    if (write_urgent(a, 'u')) ++urgent;
                }
                if (!all.ec) all.ec = close_write(a);
                return all;
            });
            dice roll(12);
            std::vector<std::byte> buffer(200);
            for (;;) {
                std::error_code ec;
                const auto some = std::span(buffer).first(1 + roll(200));
                const std::size_t n = b.read(some, ec);
                if (!ok(!ec) || n == 0) break;
                if (!ok(are_from(consumed, some.first(n)), "the stream's bytes")) break;
                consumed += n;
            }
            ok.equal(writer.get(), wrote(consumed));
        });
        CHECK(ok.text() == "");
    }
}

// The window: the last bytes, and the end or a reset behind them, come while the reader reads or is about to wait.
TEST_CASE("NET-31 the end meets a reader in every state", "[net][drained][stress]") {
    const int rounds = stress_scaled(2000, 200);
    findings ok;
    run_on(2, [&] {
        two_conns p;
        int i = 0;
        duel(
            rounds, [&] { p = tcp_pair(); },
            [&] {
                std::error_code ignored;
                (void)p.a.write(bytes_of("last"), ignored);
                if (++i % 3 == 0) {
                    reset(p.a);
                } else if (i % 3 == 1) {
                    p.a.close();
                } else {
                    p.a.close_write();
                }
            },
            [&] {
                ok.equal(read_n(p.b, 4).text, std::string("last"));
                const result r = read(p.b, 100);
                ok(r == end_of_stream || r == failed(std::errc::connection_reset));
            });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-31 segments of all sizes, byte by byte, by readers with buffers of all sizes",
          "[net][drained][stress]") {
    constexpr int conns = 6;
    const std::size_t size = stress_scaled<std::size_t>(400'000, 50'000);
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            wait_group all;
            for (int i = 0; i < conns; ++i) {
                all.go([&, i] {
                    two_conns ab = tcp_pair();
                    net::conn& a = ab.a;
                    net::conn& b = ab.b;
                    if (i % 2 == 0) make_narrow(a, b);
                    background writer([&] {
                        dice roll(static_cast<std::uint64_t>(i) + 100);
                        std::vector<std::byte> buffer(5000);
                        result r;
                        while (r.n < size && !r.ec) {
                            const std::uint64_t most = roll(8) == 0 ? 5000 : 20;
                            const auto some = std::span(buffer).first(
                                std::min<std::size_t>(1 + roll(most), size - r.n));
                            fill_from(r.n, some);
                            r.n += a.write(some, r.ec);
                            if (roll(3) == 0) gosched();
                        }
                        if (!r.ec) r.ec = i % 3 == 0 ? close(a) : close_write(a);
                        return r;
                    });
                    const std::size_t most = i < 3 ? 40 : 6000;
                    ok.equal(read_stream(b, most, static_cast<std::uint64_t>(i)),
                             static_cast<std::int64_t>(size));
                    ok.equal(writer.get(), wrote(size));
                });
            }
            all.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-41 a reader whose deadlines pass all the time loses nothing",
          "[net][drained][stress]") {
    const std::size_t size = stress_scaled<std::size_t>(100'000, 20'000);
    for (const int procs : {1, 2}) {
        findings ok;
        std::atomic<int> timeouts{0};
        run_on(procs, [&] {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            background writer([&] {
                dice roll(5);
                std::vector<std::byte> buffer(100);
                result r;
                while (r.n < size && !r.ec) {
                    const auto some =
                        std::span(buffer).first(std::min<std::size_t>(1 + roll(100), size - r.n));
                    fill_from(r.n, some);
                    r.n += a.write(some, r.ec);
                    for (auto n = roll(20); n > 0; --n) gosched();
                }
                r.ec = close_write(a);
                return r;
            });
            dice roll(6);
            std::uint64_t n = 0;
            std::vector<std::byte> buffer(200);
            for (;;) {
                std::error_code ec;
                const auto some = std::span(buffer).first(1 + roll(200));
                b.set_read_deadline(in(std::chrono::nanoseconds(roll(30'000))));
                const std::size_t r = b.read(some, ec);
                if (ec == errc::timeout) {
                    ok.equal(r, std::size_t{0});
                    ++timeouts;
                    continue;
                }
                if (!ok(!ec) || r == 0) break;
                if (!ok(are_from(n, some.first(r)))) break;
                n += r;
            }
            ok.equal(n, std::uint64_t{size});
            ok.equal(writer.get(), wrote(size));
        });
        CHECK(ok.text() == "");
        CHECK(timeouts > 0);
    }
}

}  // namespace vole::test
