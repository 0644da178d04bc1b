// Streams of sockets: bytes in and out, ends, resets. Cites NET-30 to NET-36.
// Closing is in net_close.cpp, what comes after a short read in net_drained.cpp.
#include "test/net/socket_support.hpp"

#include <csignal>
#include <thread>

namespace vole::test {

namespace {

/// Writes the stream in pieces of many sizes, and ends it.
result write_stream(net::conn& c, std::size_t n, std::size_t most, std::uint64_t seed) {
    dice roll(seed);
    std::vector<std::byte> buffer(most);
    result all;
    while (all.n < n) {
        const auto some = std::span(buffer).first(std::min<std::size_t>(1 + roll(most), n - all.n));
        fill_from(all.n, some);
        const std::size_t wrote = c.write(some, all.ec);
        all.n += wrote;
        if (all.ec || wrote != some.size()) return all;
    }
    all.ec = close_write(c);
    return all;
}

}  // namespace

// ---- reading ----------------------------------------------------------------------------------

TEST_CASE("NET-31 a read gets what is there, and waits only where there is nothing",
          "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            ok.equal(write(a, "0123456789"), wrote(10));
            ok.equal(read(b, 4), got("0123"));
            ok.equal(read(b, 100), got("456789"));
            {
                blocked r([&] { return read(b, 100); });
                ok(r.waits());
                ok.equal(write(a, "x"), wrote(1));
                ok.equal(r.get(), got("x"));
            }
            // And the other way.
            blocked r([&] { return read(a, 1); });
            ok.equal(write(b, "yz"), wrote(2));
            ok.equal(r.get(), got("y"));
            ok.equal(read(a, 5), got("z"));
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 after an orderly end all is read, then the end, again and again",
          "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            ok.equal(write(a, "last words"), wrote(10));
            ok(!close(a));
            ok.equal(read(b, 5), got("last "));
            ok.equal(read(b, 100), got("words"));
            for (int i = 0; i < 3; ++i) ok.equal(read(b, 100), end_of_stream);
        });
        with_streams([&](net::conn& a, net::conn& b) {
            blocked r([&] { return read(b, 100); });
            ok(!close(a));
            ok.equal(r.get(), end_of_stream);
            ok.equal(read(b, 100), end_of_stream);
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 a reset is an error; what came before it is read first", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            ok.equal(write(a, "before"), wrote(6));
            reset(a);
            ok.equal(read(b, 3), got("bef"));
            ok.equal(read(b, 3), got("ore"));
            ok.equal(read(b, 3), failed(std::errc::connection_reset));
        }
        {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            blocked r([&] { return read(b, 3); });
            reset(a);
            ok.equal(r.get(), failed(std::errc::connection_reset));
        }
        {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_narrow(a, b);
            blocked w([&] { return write(b, std::string(too_much, 'x')); });
            reset(a);
            const result r = w.get();
            ok(r.ec == std::errc::connection_reset || r.ec == std::errc::broken_pipe);
            ok(r.n < too_much);
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-30 a read of no bytes does not wait, whatever there is", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            ok.equal(read(b, 0), got(""));
            ok.equal(write(a, "x"), wrote(1));
            ok.equal(read(b, 0), got(""));
            ok.equal(read(b, 10), got("x"));
            ok.equal(read(b, 0), got(""));
            ok(!close(a));
            ok.equal(read(b, 0), got(""));
            ok.equal(read(b, 1), end_of_stream);
            ok(!close(b));
            ok.equal(read(b, 0), closed);
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 read_full fills all of it, or says how much there was", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            const auto full = [&](std::size_t most) {
                result r{.ec = rubbish()};
                std::vector<std::byte> to(most);
                r.n = b.read_full(to, r.ec);
                r.text.assign(reinterpret_cast<const char*>(to.data()), std::min(r.n, most));
                return r;
            };
            ok.equal(write(a, "abc"), wrote(3));
            {
                blocked r([&] { return full(5); });
                ok.equal(write(a, "defg"), wrote(4));
                ok.equal(r.get(), got("abcde"));
            }
            ok.equal(full(0), got(""));
            ok(!close(a));
            ok.equal(full(5), result{2, make_error_code(errc::unexpected_eof), "fg"});
            ok.equal(full(5), failed(errc::unexpected_eof));
        });
    });
    CHECK(text == "");
}

// ---- writing ----------------------------------------------------------------------------------

TEST_CASE("NET-32 a write waits until all has been taken", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool local : {false, true}) {
            two_conns p = local ? unix_pair() : tcp_pair();
            make_narrow(p);
            const auto all = stream_of(1 << 20);
            blocked w([&] {
                result r{.ec = rubbish()};
                r.n = p.a.write(all, r.ec);
                if (!r.ec) r.ec = close_write(p.a);
                return r;
            });
            ok.equal(read_stream(p.b, 10000), std::int64_t{1 << 20});
            ok.equal(w.get(), wrote(1 << 20));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-32 a write of no bytes", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            ok.equal(write(a, ""), wrote(0));
            ok.equal(write(a, "x"), wrote(1));
            ok.equal(read(b, 10), got("x"));
            ok(!close(a));
            ok.equal(write(a, ""), closed);
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-32 writes do not mix", "[net][stream]") {
    constexpr int writers = 8;
    constexpr std::uint32_t length = 20000;
    const int rounds = scaled(20);
    const std::string text = everywhere([&](findings& ok) {
        two_conns p = tcp_pair();
        make_narrow(p);
        wait_group all;
        for (int i = 0; i < writers; ++i) {
            all.go([&, i] {
                const std::string mine(length, static_cast<char>('a' + i));
                for (int k = 0; k < rounds; ++k) ok.equal(write(p.a, mine), wrote(length));
            });
        }
        for (int k = 0; k < rounds * writers; ++k) {
            const result r = read_n(p.b, length);
            if (!ok.equal(r.n, std::size_t{length})) break;
            ok(r.text.find_first_not_of(r.text[0]) == std::string::npos, "a write by itself");
        }
        all.wait();
    });
    CHECK(text == "");
}

TEST_CASE("NET-32 an error tells how much was taken before it", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        two_conns p = tcp_pair();
        make_narrow(p);
        blocked w([&] { return write(p.a, std::string(too_much, 'x')); });
        constexpr std::size_t taken = 500000;
        ok.equal(read_n(p.b, taken).n, taken);
        reset(p.b);
        const result r = w.get();
        ok(r.ec == std::errc::connection_reset || r.ec == std::errc::broken_pipe);
        ok(r.n >= taken && r.n < too_much);
    });
    CHECK(text == "");
}

TEST_CASE("NET-33 writing to one who has gone gives EPIPE, and no signal", "[net][stream]") {
    const auto handled_as_before = [] {
        struct sigaction now {};
        ::sigaction(SIGPIPE, nullptr, &now);
        sigset_t pending;
        ::sigpending(&pending);
        return now.sa_handler == SIG_DFL && ::sigismember(&pending, SIGPIPE) == 0;
    };
    struct sigaction before {};
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &standard, &before);
    const std::string text = everywhere([&](findings& ok) {
        const std::array pieces{bytes_of("a"), bytes_of("b")};
        const auto write_both = [&](net::conn& c) {
            result r{.ec = rubbish()};
            r.n = c.write_v(pieces, r.ec);
            return r;
        };
        with_streams([&](net::conn& a, net::conn& b) {
            ok(!close(b));
            // TCP learns of it by the answer to what it sends.
            wait_until([&] { return write(a, "x").ec == std::errc::broken_pipe; }, "EPIPE");
            ok.equal(write(a, "x"), failed(std::errc::broken_pipe));
            ok.equal(write_both(a), failed(std::errc::broken_pipe));
        });
        auto [in, out] = net::os_pipe();
        ok(!close(in));
        ok.equal(write(out, "x"), failed(std::errc::broken_pipe));
        ok.equal(write_both(out), failed(std::errc::broken_pipe));
        ok(handled_as_before());
    });
    ::sigaction(SIGPIPE, &before, nullptr);
    CHECK(text == "");
}

// ---- half a close -----------------------------------------------------------------------------

TEST_CASE("NET-35 who has said that he writes no more can still read", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            ok.equal(write(a, "question"), wrote(8));
            ok(!close_write(a));
            ok.equal(read(b, 100), got("question"));
            ok.equal(read(b, 100), end_of_stream);
            ok.equal(write(a, "more"), failed(std::errc::broken_pipe));
            ok.equal(write(b, "answer"), wrote(6));
            ok.equal(read(a, 100), got("answer"));
            blocked r([&] { return read(a, 100); });
            ok(!close_write(b));
            ok.equal(r.get(), end_of_stream);
            ok(!close(a));
            ok.equal(make_error_code(errc::closed), close_write(a));
            ok.equal(make_error_code(errc::closed), close_read(a));
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-35 close_read ends the read that waits, and those that come", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            blocked r([&] { return read(b, 100); });
            ok(!close_read(b));
            ok.equal(r.get(), end_of_stream);
            ok.equal(read(b, 100), end_of_stream);
            ok.equal(write(b, "writes go on"), wrote(12));
            ok.equal(read(a, 100), got("writes go on"));
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-35 half a close of what is not connected: ENOTCONN", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        net::conn c = net::adopt_conn(fd);
        ok(close_write(c) == std::errc::not_connected);
        ok(close_read(c) == std::errc::not_connected);
        ok.equal(text_thrown([&] { c.close_write(); }),
                 std::string("close tcp 0.0.0.0:0: transport endpoint is not connected"));
    });
    CHECK(text == "");
}

// ---- several pieces ---------------------------------------------------------------------------

TEST_CASE("NET-36 pieces come out one behind the other: none, empty ones, many", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            for (const std::size_t n :
                 {0U, 1U, 2U, 15U, 16U, 17U, 255U, 256U, 257U, 1025U, 5000U}) {
                std::vector<std::span<const std::byte>> pieces;
                const auto all = stream_of(n * 3);
                std::size_t at = 0;
                for (std::size_t i = 0; i < n; ++i) {
                    const std::size_t size = i % 7;
                    pieces.push_back(std::span(all).subspan(at, size));
                    at += size;
                }
                background w([&] {
                    result r{.ec = rubbish()};
                    r.n = a.write_v(pieces, r.ec);
                    return r;
                });
                const result r = read_n(b, at);
                ok.equal(r.n, at);
                ok(are_from(0, bytes_of(r.text)));
                ok.equal(w.get(), wrote(at));
            }
            // A write of nothing but nothing.
            const std::array<std::span<const std::byte>, 3> empty{};
            result r{.ec = rubbish()};
            r.n = a.write_v(empty, r.ec);
            ok.equal(r, wrote(0));
            ok(!close(a));
            ok.equal(read(b, 1), end_of_stream);
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-36 pieces that do not fit at once go on where they stopped", "[net][stream]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool local : {false, true}) {
            two_conns p = local ? unix_pair() : tcp_pair();
            make_narrow(p);
            const auto all = stream_of(scaled<std::size_t>(3'000'000, 300'000));
            std::vector<std::span<const std::byte>> pieces;
            dice roll(7);
            for (std::size_t at = 0; at < all.size();) {
                const std::uint64_t most = roll(10) == 0 ? 100'000 : 3000;
                const auto size = std::min<std::size_t>(roll(most), all.size() - at);
                pieces.push_back(std::span(all).subspan(at, size));
                at += size;
            }
            blocked w([&] {
                result r{.ec = rubbish()};
                r.n = p.a.write_v(pieces, r.ec);
                if (!r.ec) r.ec = close_write(p.a);
                return r;
            });
            ok.equal(read_stream(p.b, 5000), static_cast<std::int64_t>(all.size()));
            ok.equal(w.get(), wrote(all.size()));
        }
    });
    CHECK(text == "");
}

// ---- much of it -------------------------------------------------------------------------------

TEST_CASE("NET-31 NET-32 long streams in both directions at once, byte by byte", "[net][stream]") {
    const std::size_t size = scaled<std::size_t>(20'000'000, 1'000'000);
    const std::string text = everywhere([&](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            background there([&] { return write_stream(a, size, 100'000, 1); });
            background back([&] { return write_stream(b, size, 3'000, 2); });
            background read_there([&] {
                return result{static_cast<std::size_t>(read_stream(b, 70'000, 3)), {}};
            });
            ok.equal(read_stream(a, 200'000, 4), static_cast<std::int64_t>(size));
            ok.equal(read_there.get(), wrote(size));
            ok.equal(there.get(), wrote(size));
            ok.equal(back.get(), wrote(size));
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-34 signals do not disturb reads and writes", "[net][stream]") {
    static std::atomic<int> caught;
    caught = 0;
    struct sigaction before {};
    struct sigaction mine {};
    mine.sa_handler = [](int) { ++caught; };  // without SA_RESTART
    mine.sa_flags = SA_ONSTACK;
    ::sigaction(SIGUSR2, &mine, &before);
    // Two ordinary threads read and write, and get the signals.
    two_conns p = tcp_pair();
    make_narrow(p);
    findings ok;
    std::atomic<bool> over{false};
    std::atomic<std::int64_t> written{0};
    std::thread writer([&] {
        std::vector<std::byte> some(50'000);
        while (caught < 500) {
            fill_from(static_cast<std::uint64_t>(written.load()), some);
            std::error_code ec;
            written += static_cast<std::int64_t>(p.a.write(some, ec));
            if (!ok(!ec, ec.message())) break;
        }
        ok(!close_write(p.a));
    });
    std::int64_t n = 0;
    std::thread reader([&] { n = read_stream(p.b, 9'000); });
    std::thread pest([&] {
        while (!over) {
            ::pthread_kill(writer.native_handle(), SIGUSR2);
            ::pthread_kill(reader.native_handle(), SIGUSR2);
            std::this_thread::yield();
        }
    });
    // Joined after the one who sends to them.
    wait_until([&] { return caught >= 500; }, "signals");
    over = true;
    pest.join();
    writer.join();
    reader.join();
    CHECK(n == written);
    ::sigaction(SIGUSR2, &before, nullptr);
    CHECK(ok.text() == "");
}

}  // namespace vole::test
