// Connections over the kqueue back end, on an emulation of it: a program of its own. Cites NET-21, NET-31..35, NET-41, NET-52,
// NET-61.
//
// A selection; what sockets do is tested over epoll. net_poller.cpp is of this program, too. kevent_emulation.hpp says what
// this cannot show.
#include "test/net/poll_support.hpp"

#include "test/support/duel.hpp"

#include <vole/net/dial.hpp>
#include <vole/net/listen.hpp>

using namespace vole::test;
namespace net = vole::net;

namespace {

// Before anything can have been opened.
[[maybe_unused]] const bool installed = (inner::set_poll_back_end(&inner::kqueue_back_end), true);

}  // namespace

TEST_CASE("NET-31 echo over kqueue, small and large, on any number of Ps") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            net::tcp_listener at = net::listen_tcp(loopback());
            vole::wait_group server;
            server.go([&] {
                net::conn c = at.accept();
                std::vector<std::byte> buffer(100'000);
                std::error_code ec;
                while (const std::size_t n = c.read(buffer, ec)) {
                    if (c.write(std::span(buffer).first(n), ec) != n) return;
                }
            });
            net::conn c = net::dial_tcp(at.local_endpoint());
            for (const std::size_t size : {1u, 64u, 5000u, 3'000'000u}) {
                const std::string text(size, static_cast<char>('a' + size % 26));
                // At the same time: none of the two fits into the kernel's buffers.
                background writer([&] { return write(c, text); });
                ok(read_n(c, size) == got(text));
                ok.equal(writer.get(), wrote(size));
            }
            c.close_write();
            ok.equal(read(c, 1), end_of_stream);
            server.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-35 half closed over kqueue: the other half goes on") {
    findings ok;
    run_on(2, [&] {
        two_conns c = tcp_conns();
        background reader([&] { return read(c.b, 10); });
        reader.parked();
        c.a.close_write();
        ok.equal(reader.get(), end_of_stream);
        ok.equal(read(c.b, 10), end_of_stream);
        for (int i = 0; i < 3; ++i) {
            ok.equal(write(c.b, "abc"), wrote(3));
            ok.equal(read(c.a, 10), got("abc"));
        }
        ok(write(c.a, "x").ec == std::errc::broken_pipe);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-41 deadlines over kqueue") {
    CHECK(everywhere([](findings& ok) {
              two_conns c = tcp_conns();
              c.a.set_read_deadline(in(2ms));
              ok.equal(read(c.a, 10), failed(errc::timeout));
              ok.equal(read(c.a, 10), failed(errc::timeout));
              ok.equal(write(c.b, "abc"), wrote(3));
              ok.equal(read(c.a, 10), failed(errc::timeout));
              c.a.set_read_deadline(in(1h));
              ok.equal(read(c.a, 10), got("abc"));
              background reader([&] { return read(c.a, 10); });
              reader.parked();
              c.a.set_read_deadline(past);
              ok.equal(reader.get(), failed(errc::timeout));
              // Of a write that has filled all buffers.
              background writer([&] { return write(c.b, std::string(50'000'000, 'x')); });
              writer.parked();
              c.b.set_write_deadline(in(1ms));
              const result r = writer.get();
              ok(r.ec == net::errc::timeout, r.ec.message());
              ok(r.n > 0 && r.n < 50'000'000);
          }) == "");
}

TEST_CASE("NET-21 a close over kqueue wakes all who wait") {
    CHECK(everywhere([](findings& ok) {
              two_conns c = tcp_conns();
              background one([&] { return read(c.a, 10); });
              background two([&] { return read(c.a, 10); });
              background three([&] { return write(c.a, std::string(50'000'000, 'x')); });
              one.parked();
              two.parked();
              three.parked();
              ok(!close(c.a));
              ok.equal(one.get(), failed(errc::closed));
              ok.equal(two.get(), failed(errc::closed));
              ok(three.get().ec == net::errc::closed);
              ok(close(c.a) == net::errc::closed);

              net::tcp_listener at = net::listen_tcp(loopback());
              background accepting([&] {
                  std::error_code ec;
                  (void)at.accept(ec);
                  return result{0, ec};
              });
              accepting.parked();
              at.close();
              ok.equal(accepting.get(), failed(errc::closed));
          }) == "");
}

TEST_CASE("NET-21 a close over kqueue at the moment of reading, and the number used again") {
    findings ok;
    run_on(2, [&] {
        two_conns c;
        duel(
            scaled(2000),
            [&] {
                c = tcp_conns();
                ok.equal(write(c.b, "x"), wrote(1));
                ok.equal(read(c.a, 10), got("x"));
            },
            [&] { ok.equal(read(c.a, 10), failed(errc::closed)); }, [&] { ok(!close(c.a)); });
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-61 a refused connection over kqueue fails at once") {
    CHECK(everywhere([](findings& ok) {
              net::endpoint at;
              {
                  const net::tcp_listener taken = net::listen_tcp(loopback());
                  at = taken.local_endpoint();
              }
              std::error_code ec;
              const net::conn c = net::dial_tcp(at, {}, ec);
              ok(!c);
              ok(ec == std::errc::connection_refused, ec.message());
          }) == "");
}

TEST_CASE("NET-52 many connections over kqueue, accepted by several") {
    for (const int procs : {1, 4}) {
        findings ok;
        run_on(procs, [&] {
            constexpr int many = 150;
            net::tcp_listener at = net::listen_tcp(loopback());
            vole::wait_group servers;
            std::atomic<int> accepted{0};
            for (int i = 0; i < 4; ++i) {
                servers.go([&] {
                    std::error_code ec;
                    for (;;) {
                        net::conn c = at.accept(ec);
                        if (ec) break;
                        ++accepted;
                        servers.go([c = std::move(c)]() mutable {
                            std::byte buffer[64];
                            std::error_code e;
                            while (const std::size_t n = c.read(buffer, e)) {
                                (void)c.write(std::span(buffer).first(n), e);
                            }
                        });
                    }
                    ok(ec == net::errc::closed, ec.message());
                });
            }
            vole::wait_group clients;
            for (int i = 0; i < many; ++i) {
                clients.go([&] {
                    net::conn c = net::dial_tcp(at.local_endpoint());
                    for (int k = 0; k < scaled(20); ++k) {
                        const std::string text = std::to_string(k);
                        ok.equal(write(c, text), wrote(text.size()));
                        ok.equal(read_n(c, text.size()), got(text));
                    }
                });
            }
            clients.wait();
            at.close();
            servers.wait();
            ok.equal(accepted.load(), many);
            ok(nobody_waits());
        });
        CHECK(ok.text() == "");
    }
}
