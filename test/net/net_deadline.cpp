// Deadlines of sockets. Cites NET-40 to NET-48. Those after a short read are in net_drained.cpp, of pipes in memory in
// net_pipe.cpp.
#include "test/net/socket_support.hpp"

#include <limits>

namespace vole::test {

namespace {

constexpr auto five_seconds_ago = [] { return clock::now() - 5s; };

}  // namespace

// ---- the past ---------------------------------------------------------------------------------

TEST_CASE("NET-41 a deadline in the past goes before data; a later one finds the data",
          "[net][deadline]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            ok.equal(write(a, "data"), wrote(4));
            await_edge_at(b);
            for (const time_point t :
                 {five_seconds_ago(), past, clock::now(), time_point(-1ns), time_point::min()}) {
                ok(!read_deadline(b, t));
                ok.equal(read(b, 10), timed_out);
                // Again, without being set again.
                ok.equal(read(b, 10), timed_out);
            }
            ok(!read_deadline(b, in(1h)));
            ok.equal(read(b, 2), got("da"));
            ok(!read_deadline(b, five_seconds_ago()));
            ok.equal(read(b, 10), timed_out);
            ok(!read_deadline(b, never));
            ok.equal(read(b, 10), got("ta"));

            ok(!write_deadline(a, five_seconds_ago()));
            ok.equal(write(a, "x"), timed_out);
            ok.equal(write(a, ""), timed_out);
            ok(!write_deadline(a, in(1h)));
            ok.equal(write(a, "y"), wrote(1));
            ok.equal(read(b, 10), got("y"));
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-41 the past ends what waits, of both directions", "[net][deadline]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool local : {false, true}) {
            two_conns p = local ? unix_pair() : tcp_pair();
            make_narrow(p);
            {
                blocked r([&] { return read(p.a, 10); });
                blocked w([&] { return write(p.a, std::string(too_much, 'x')); });
                ok(!deadline(p.a, five_seconds_ago()));
                ok.equal(r.get(), timed_out);
                const result some = w.get();
                ok.equal(some.ec, make_error_code(errc::timeout));
                ok(some.n > 0 && some.n < too_much);
                // NET-43: it is what the other one gets.
                ok(!close(p.a));
                std::size_t n = 0;
                for (result x = read(p.b, 1 << 20); x.n != 0; x = read(p.b, 1 << 20)) n += x.n;
                ok.equal(n, some.n);
            }
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-42 what a timeout is", "[net][deadline]") {
    two_conns ab = tcp_pair();
    net::conn& a = ab.a;
    net::conn& b = ab.b;
    b.set_deadline(past);
    std::array<std::byte, 1> to;
    try {
        (void)b.read(to);
        FAIL("no error");
    } catch (const net::op_error& e) {
        CHECK(e.timeout());
        CHECK(e.temporary());
        CHECK(e.code() == errc::timeout);
        CHECK(e.code() == std::errc::timed_out);
        CHECK(e.op() == "read");
        CHECK(e.what() == "read tcp " + b.local_endpoint().to_string() + "->" +
                              a.local_endpoint().to_string() + ": i/o timeout");
    }
    CHECK(text_thrown([&, &c = b] { c.write(to); }) ==
          "write tcp " + b.local_endpoint().to_string() + "->" + a.local_endpoint().to_string() +
              ": i/o timeout");
}

// ---- changes while somebody waits -------------------------------------------------------------

TEST_CASE("NET-40 a deadline that is taken away, put off, or brought forward counts at once",
          "[net][deadline]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            // Set, then taken away before it passes: on a machine that has no time for us it may have passed, and
            // it is tried again.
            for (const time_point later : {never, in(1h), time_point::max()}) {
                result r = timed_out;
                for (int tries = 0; tries < 100 && r == timed_out; ++tries) {
                    ok(!read_deadline(b, in(20ms)));
                    background reading([&] { return read(b, 10); });
                    ok(!read_deadline(b, later));
                    // When another's deadline of the same time has passed, so would have this one's.
                    ok(!read_deadline(a, in(20ms)));
                    ok.equal(read(a, 10), timed_out);
                    if (!reading.over()) ok.equal(write(a, "x"), wrote(1));
                    r = reading.get();
                }
                ok.equal(r, got("x"));
            }
            // Put off: it ends, but not before.
            {
                ok(!read_deadline(b, in(1ms)));
                const time_point end = in(30ms);
                background r([&] { return read(b, 10); });
                ok(!read_deadline(b, end));
                const result ended = r.get();
                // The first one may have been faster than we are.
                ok.equal(ended, timed_out);
            }
            // Brought forward.
            for (const time_point first : {never, in(1h)}) {
                ok(!read_deadline(b, first));
                blocked r([&] { return read(b, 10); });
                ok(!read_deadline(b, in(1ms)));
                ok.equal(r.get(), timed_out);
            }
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-45 no deadline of before counts after it has been changed", "[net][deadline]") {
    const int rounds = scaled(400, 40);
    const std::string text = everywhere([&](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        dice roll(3);
        for (int i = 0; i < rounds; ++i) {
            const bool timed =
                read_deadline(b, in(std::chrono::nanoseconds(roll(60'000)))) == std::error_code();
            ok(timed);
            for (auto n = roll(20); n > 0; --n) gosched();
            ok(!read_deadline(b, i % 2 == 0 ? never : in(1h)));
            background r([&] { return read(b, 10); });
            for (auto n = roll(20); n > 0; --n) gosched();
            ok.equal(write(a, "x"), wrote(1));
            if (!ok.equal(r.get(), got("x"))) break;
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-40 nobody is told before his time", "[net][deadline]") {
    const int rounds = scaled(100, 20);
    const std::string text = everywhere([&](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& b = ab.b;
        dice roll(9);
        for (int i = 0; i < rounds; ++i) {
            const time_point end = in(std::chrono::nanoseconds(roll(1'000'000)));
            ok(!read_deadline(b, end));
            ok.equal(read(b, 10), timed_out);
            ok(clock::now() >= end, "early");
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-43 a deadline for reading does not touch writing, nor the other way",
          "[net][deadline]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool local : {false, true}) {
            two_conns p = local ? unix_pair() : tcp_pair();
            ok(!read_deadline(p.a, past));
            ok.equal(write(p.a, "x"), wrote(1));
            ok.equal(read(p.b, 10), got("x"));
            ok.equal(read(p.a, 10), timed_out);
            ok(!read_deadline(p.a, never));
            ok(!write_deadline(p.a, past));
            ok.equal(write(p.b, "y"), wrote(1));
            ok.equal(read(p.a, 10), got("y"));
            ok.equal(write(p.a, "x"), timed_out);
            ok(!write_deadline(p.a, never));

            make_narrow(p);
            blocked w([&] { return write(p.a, std::string(too_much, 'x')); });
            ok(!read_deadline(p.a, in(1ms)));
            ok.equal(read(p.a, 10), timed_out);
            ok(w.waits());
            ok(!read_deadline(p.a, never));
            blocked r([&] { return read(p.a, 10); });
            ok(!write_deadline(p.a, in(1ms)));
            ok.equal(w.get().ec, make_error_code(errc::timeout));
            ok(r.waits());
            ok(!close(p.b));
            (void)r.get();
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-43 a write that times out tells how much went, and can go on from there",
          "[net][deadline]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool local : {false, true}) {
            two_conns p = local ? unix_pair() : tcp_pair();
            make_narrow(p);
            p.b.set_read_buffer(64 * 1024);
            const auto all = stream_of(2'000'000);
            std::size_t done = 0;
            int timeouts = 0;
            chan<void> full = make_chan<void>(0);
            background reader([&] {
                (void)full.recv();
                return result{static_cast<std::size_t>(read_stream(p.b, 5000)), {}};
            });
            while (done < all.size()) {
                std::error_code ec;
                ok(!write_deadline(p.a, in(100us)));
                done += p.a.write(std::span(all).subspan(done), ec);
                if (!ec) break;
                if (++timeouts == 1) full.close();
                if (!ok.equal(ec, make_error_code(errc::timeout))) break;
            }
            ok.equal(done, all.size());
            ok(!close_write(p.a));
            ok.equal(reader.get(), wrote(all.size()));
        }
    });
    CHECK(text == "");
}

// ---- many -------------------------------------------------------------------------------------

TEST_CASE("NET-45 short deadlines of all lengths, each ends a read", "[net][deadline]") {
    const std::string text = everywhere([](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        two_conns cd = unix_pair();
        net::conn& c = cd.a;
        net::conn& d = cd.b;
        for (const auto limit : {1ns, 2ns, 5ns, 50ns, 100ns, 200ns, 500ns, 750ns, 1000ns, 5000ns,
                                 25000ns, 250000ns, 500000ns, 1000000ns, 5000000ns, 25000000ns}) {
            for (int i = 0; i < 3; ++i) {
                ok(!deadline(b, in(limit)));
                ok.equal(read(b, 10), timed_out);
                ok(!read_deadline(c, in(limit)));
                ok.equal(read(c, 10), timed_out);
            }
        }
        (void)a, (void)d;
    });
    CHECK(text == "");
}

TEST_CASE("NET-45 deadlines that many set at once, and the last of them counts",
          "[net][deadline][stress]") {
    const int rounds = stress_scaled(300, 30);
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            std::atomic<bool> over{false};
            background reader([&] {
                for (;;) {
                    const result r = read(b, 10);
                    if (r.text == "x") return r;
                    if (!ok.equal(r, timed_out) || over) return r;
                }
            });
            wait_group all;
            for (int i = 0; i < 6; ++i) {
                all.go([&, i] {
                    dice roll(static_cast<std::uint64_t>(i) + 1);
                    for (int k = 0; k < rounds; ++k) {
                        const auto t = in(std::chrono::nanoseconds(roll(100'000)));
                        switch (i % 3) {
                            case 0: b.set_deadline(t); break;
                            case 1: b.set_read_deadline(roll(2) == 0 ? never : t); break;
                            default: b.set_deadline(roll(2) == 0 ? past : in(1h));
                        }
                        if (roll(4) == 0) gosched();
                    }
                });
            }
            all.wait();
            b.set_deadline(in(1h));
            ok.equal(write(a, "x"), wrote(1));
            over = true;
            // It may have seen the last timeout, and ended then.
            const result last = reader.get();
            if (last == timed_out) ok.equal(read(b, 10), got("x"));
            // And it is one that ends.
            b.set_deadline(in(1ms));
            ok.equal(read(b, 10), timed_out);
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-41 a deadline meets data: the read gets the one or the other, and nothing is lost",
          "[net][deadline][stress]") {
    const int rounds = stress_scaled(2000, 200);
    findings ok;
    run_on(2, [&] {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        int i = 0;
        duel(
            rounds,
            [&] {
                b.set_read_deadline(never);
                ++i;
            },
            [&] {
                ok.equal(write(a, "x"), wrote(1));
                b.set_read_deadline(i % 2 == 0 ? past : in(1us));
            },
            [&] {
                const result r = read(b, 10);
                if (r == got("x")) return;
                ok.equal(r, timed_out);
                // Whoever sets it may not have come to it yet.
                result again = timed_out;
                while (again == timed_out) {
                    b.set_read_deadline(never);
                    again = read(b, 10);
                }
                ok.equal(again, got("x"));
            });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-45 many connections, each with a deadline of its own", "[net][deadline]") {
    const int conns = scaled(150, 30);
    const std::string text = everywhere([&](findings& ok) {
        std::vector<two_conns> all;
        for (int i = 0; i < conns; ++i) all.push_back(unix_pair());
        wait_group readers;
        for (int i = 0; i < conns; ++i) {
            net::conn& c = all[static_cast<std::size_t>(i)].a;
            c.set_read_deadline(in(std::chrono::microseconds(i * 37 % 5000)));
            readers.go([&ok, &c] { ok.equal(read(c, 1), timed_out); });
        }
        readers.wait();
    });
    CHECK(text == "");
}

// ---- the edges --------------------------------------------------------------------------------

TEST_CASE("NET-46 a deadline in the farthest future is none", "[net][deadline]") {
    const std::string text = everywhere([](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        for (const time_point t : {time_point::max(), time_point::max() - 1ns,
                                   clock::now() + std::chrono::hours(24 * 365 * 100)}) {
            ok(!deadline(b, t));
            blocked r([&] { return read(b, 10); });
            ok(r.waits());
            ok.equal(write(a, "x"), wrote(1));
            ok.equal(r.get(), got("x"));
            ok.equal(write(b, "y"), wrote(1));
            ok.equal(read(a, 10), got("y"));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-47 accept has deadlines, too", "[net][deadline]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        ok(!deadline(l, past));
        ok.equal(accept(l), timed_out);
        ok.equal(text_thrown([&] { (void)l.accept(); }),
                 "accept tcp " + l.local_endpoint().to_string() + ": i/o timeout");
        ok(!deadline(l, in(1ms)));
        ok.equal(accept(l), timed_out);
        // A connection that waits does not change that, and is not lost.
        const net::tcp_conn c = net::dial_tcp(l.local_endpoint());
        ok.equal(accept(l), timed_out);
        ok(!deadline(l, never));
        ok.equal(accept(l), result{1, {}});
        {
            blocked waits([&] { return accept(l); });
            ok(!read_deadline(l, in(1ms)));
            ok.equal(waits.get(), timed_out);
        }
        ok(!read_deadline(l, in(1h)));
        blocked waits([&] { return accept(l); });
        const net::tcp_conn other = net::dial_tcp(l.local_endpoint());
        ok.equal(waits.get(), result{1, {}});
    });
    CHECK(text == "");
}

TEST_CASE("NET-48 a socket in a bubble waits in real time, as long as the bubble's clock says",
          "[net][deadline]") {
    std::error_code ec;
    bubble([&] {
        two_conns ab = tcp_pair();
        net::conn& b = ab.b;
        b.set_read_deadline(clock::now() + 1ms);
        std::array<std::byte, 1> to;
        (void)b.read(to, ec);
    });
    CHECK(ec == errc::timeout);
}

}  // namespace vole::test
