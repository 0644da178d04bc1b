// Storms of connections, resets in every state, slow readers. Cites NET-23, NET-31 to NET-35, NET-52 and NET-87.
// Many idle connections are in net_idle.cpp.
#include "test/net/loopback.hpp"

#include "test/support/duel.hpp"

#include <array>
#include <malloc.h>

namespace vole::test {

using namespace loopback;

namespace {

bool is_gone(const std::error_code& ec) {
    return ec == std::errc::connection_reset || ec == std::errc::broken_pipe ||
           ec == std::errc::connection_aborted;
}

// Serves connections until the listener is closed: each gets back what it sends.
void echo_until_closed(net::listener& l, findings& ok) {
    wait_group all;
    for (;;) {
        std::error_code ec;
        net::conn c = l.accept(ec);
        if (ec) {
            ok(ec == errc::closed, ec.message());
            break;
        }
        all.go([c = std::move(c)]() mutable {
            std::array<std::byte, 256> room;
            std::error_code e;
            for (std::size_t n = 0; (n = c.read(room, e)) != 0 && !e;) {
                c.write(std::span(room).first(n), e);
                if (e) break;
            }
        });
    }
    all.wait();
}

// Fills what can be buffered on the way to `c`'s other end; how much that is.
std::size_t fill(net::conn& c) {
    std::size_t sum = 0;
    const std::string piece(64 * 1024, 'x');
    c.set_write_deadline(clock::now() + 50ms);
    for (result r; !r.ec; sum += r.n) r = write_of(c, piece);
    c.set_write_deadline(never);
    return sum;
}

}  // namespace

TEST_CASE("NET-87 a storm of connections, opened and closed", "[net][overload]") {
    const leaves_nothing check;
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            constexpr int clients = 50;
            const int each = scaled(40, 4);
            const temporary_folder folder;
            net::tcp_listener tcp = net::listen_tcp(any_port);
            net::unix_listener local = net::listen_unix(endpoint::local(folder / "l"));
            wait_group servers;
            servers.go([&] { echo_until_closed(tcp, ok); });
            servers.go([&] { echo_until_closed(local, ok); });
            wait_group all;
            for (int i = 0; i < clients; ++i) {
                all.go([&, i] {
                    for (int k = 0; k < each; ++k) {
                        net::conn c = i % 5 == 0 ? net::conn(net::dial_unix(local.local_endpoint()))
                                                 : net::dial_tcp(tcp.local_endpoint());
                        switch (k % 4) {
                            case 0: break;            // closed at once
                            case 1: reset(c); break;  // perhaps before it is accepted
                            default:
                                ok.equal(write_of(c, "hello"), wrote(5));
                                std::array<std::byte, 5> back;
                                std::error_code ec;
                                c.read_full(back, ec);
                                ok(!ec, ec.message());
                                // Those that wait in TIME_WAIT hold their ports.
                                if (k % 4 == 2) reset(c);
                        }
                    }
                });
            }
            all.wait();
            tcp.close();
            local.close();
            servers.wait();
        });
        INFO("on " << procs);
        CHECK(ok.text() == "");
    }
    CHECK(check.text() == "");
}

// ---- resets -----------------------------------------------------------------------------------

TEST_CASE("NET-52 a reset before it is accepted: accept gives it, or passes it over",
          "[net][overload]") {
    const std::string text = everywhere([](findings& ok) {
        const leaves_nothing check;
        {
            net::tcp_listener l = net::listen_tcp(any_port);
            for (int i = 0; i < 10; ++i) {
                net::conn c = net::dial_tcp(l.local_endpoint());
                if (i % 2 == 0) write_of(c, "lost");
                reset(c);
            }
            net::conn last = net::dial_tcp(l.local_endpoint());
            for (bool found = false; !found;) {
                net::conn b = l.accept();
                found = b.remote_endpoint() == last.local_endpoint();
                if (found) {
                    ok.equal(write_of(last, "here"), wrote(4));
                    ok.equal(read_of(b, 10), got("here"));
                } else {
                    const result r = read_of(b, 10);
                    ok(r.ec == std::errc::connection_reset || r.n == 4, r.ec.message());
                }
            }
            l.set_deadline(past);
            ok(error_of_call([&](std::error_code& ec) { (void)l.accept(ec); }) == errc::timeout);
        }
        ok.equal(check.text(), "");
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 a reset while a read waits, and ever after", "[net][overload]") {
    const std::string text = everywhere([](findings& ok) {
        auto [a, b] = tcp_ends();
        blocked r([&, &a = a] { return read_of(a, 10); });
        reset(b);
        ok.equal(r.get(), failed_with(std::errc::connection_reset));
        // The kernel says it once; the end comes behind it.
        ok.equal(read_of(a, 10), end_of_stream);
        ok(is_gone(write_of(a, "x").ec));
        ok(error_of_call([&, &a = a](std::error_code& ec) { a.close_write(ec); }) ==
           std::errc::not_connected);
        ok(!error_of_call([&, &a = a](std::error_code& ec) { a.close(ec); }));
    });
    CHECK(text == "");
}

TEST_CASE("NET-32 a reset while a write waits: it says how much was taken", "[net][overload]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool local : {false, true}) {
            auto [a, b] = local ? local_ends() : tcp_ends();
            const std::string much(std::size_t{32} << 20, 'x');
            blocked w([&, &a = a] { return write_of(a, much); });
            if (local) {
                b.close();
            } else {
                reset(b);
            }
            const result r = w.get();
            ok(is_gone(r.ec), r.ec.message());
            ok(r.n > 0 && r.n < much.size());
            ok(is_gone(write_of(a, "x").ec));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-35 a reset in half a close", "[net][overload]") {
    const std::string text = everywhere([](findings& ok) {
        {
            // This end has said that it is done, and waits for the other's rest.
            auto [a, b] = tcp_ends();
            a.close_write();
            ok.equal(read_of(b, 10), end_of_stream);
            blocked r([&, &a = a] { return read_of(a, 10); });
            reset(b);
            ok.equal(r.get(), failed_with(std::errc::connection_reset));
        }
        {
            // The other end has: it can still reset.
            auto [a, b] = tcp_ends();
            b.close_write();
            ok.equal(read_of(a, 10), end_of_stream);
            const std::string much(std::size_t{32} << 20, 'x');
            blocked w([&, &a = a] { return write_of(a, much); });
            reset(b);
            const result r = w.get();
            ok(is_gone(r.ec), r.ec.message());
        }
        {
            // Both have; nothing is left to be reset.
            auto [a, b] = tcp_ends();
            a.close_write();
            b.close_write();
            ok.equal(read_of(a, 10), end_of_stream);
            ok.equal(read_of(b, 10), end_of_stream);
            reset(b);
            ok.equal(read_of(a, 10), end_of_stream);
        }
        {
            // Closing with data that nobody has read is a reset, too; what came before it can be read.
            auto [a, b] = tcp_ends();
            ok.equal(write_of(a, "unread"), wrote(6));
            wait_until([&, &b = b] {
                return b.control([](int fd) {
                    std::byte one;
                    return ::recv(fd, &one, 1, MSG_PEEK) == 1;
                });
            });
            b.close();
            const result r = read_of(a, 10);
            ok(is_gone(r.ec), r.ec.message());
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-23 resets, closes and reads at nearly the same moment", "[net][overload]") {
    const leaves_nothing check;
    findings ok;
    run_on(4, [&] {
        net::tcp_listener l = net::listen_tcp(any_port);
        net::conn a;
        net::conn b;
        int round = 0;
        result first;
        duel(
            scaled(600, 60),
            [&] {
                ++round;
                a = net::dial_tcp(l.local_endpoint());
                b = l.accept();
            },
            [&] { first = round % 2 == 0 ? read_of(a, 10) : write_of(a, "x"); },
            [&] {
                switch (round % 3) {
                    case 0: reset(b); break;
                    case 1: b.close(); break;
                    default: a.close();
                }
            });
        ok(first.n <= 1);
    });
    CHECK(ok.text() == "");
    CHECK(check.text() == "");
}

// ---- slow readers -----------------------------------------------------------------------------

TEST_CASE("NET-32 who writes to a slow reader waits, and holds nothing but what it was given",
          "[net][overload]") {
    const std::string text = everywhere([](findings& ok) {
        // Pairs that are full to the brim, each with a writer that waits with a megabyte that all have in common.
        constexpr int pairs = 8;
        std::vector<ends> all;
        for (int i = 0; i < pairs; ++i) all.push_back(i % 2 == 0 ? tcp_ends() : local_ends());
        std::size_t sum = 0;
        for (ends& e : all) {
            e.a.set_write_buffer(64 * 1024);
            sum += fill(e.a);
        }
        const std::string much(std::size_t{1} << 20, 'y');
#if defined(__GLIBC__) && !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
        const auto heap = [] {
            const auto m = mallinfo2();
            return m.uordblks + m.hblkhd;
        };
        const std::size_t before = heap();
#endif
        std::vector<std::unique_ptr<blocked>> writers;
        for (ends& e : all) {
            writers.push_back(std::make_unique<blocked>([&] { return write_of(e.a, much); }));
        }
#if defined(__GLIBC__) && !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
        // A goroutine's bookkeeping, and nothing of the megabytes.
        const std::size_t after = heap();
        ok(after < before + pairs * 64 * 1024,
           "heap " + std::to_string(before) + " to " + std::to_string(after));
#endif
        // All of it comes, as slowly as one likes.
        for (std::size_t i = 0; i < all.size(); ++i) {
            std::size_t rest = 0;
            wait_group reading;
            reading.go([&] {
                for (result r; (r = read_of(all[i].b, 64 * 1024)).n != 0; rest += r.n) {
                }
            });
            ok.equal(writers[i]->get(), wrote(much.size()));
            all[i].a.close();
            reading.wait();
            sum -= std::min(sum, rest - std::min(rest, much.size()));
        }
        ok.equal(sum, 0U);
    });
    CHECK(text == "");
}

TEST_CASE("NET-43 a deadline frees who writes to one that never reads", "[net][overload]") {
    const std::string text = everywhere([](findings& ok) {
        auto [a, b] = tcp_ends();
        fill(a);
        a.set_write_deadline(in(20ms));
        // There may be room for a little of it.
        const std::string much(std::size_t{32} << 20, 'x');
        const result r = write_of(a, much);
        ok(r.ec == errc::timeout, r.ec.message());
        ok(r.n < much.size());
        // Reading what the other one sends goes on.
        ok.equal(write_of(b, "hello"), wrote(5));
        ok.equal(read_of(a, 10), got("hello"));
    });
    CHECK(text == "");
}

}  // namespace vole::test
