// The same for sockets and pipes: whoever reads may park on a stack of 2 KiB. Cites STK-2, STK-3.
#include <catch2/catch.hpp>

#include <vole/net.hpp>

#include "test/growth/red_zone.hpp"

#include <array>
#include <chrono>
#include <vector>

using namespace vole::test;
using namespace std::chrono_literals;

namespace net = vole::net;

namespace {

void check(const char* what, std::size_t left) {
    INFO(what);
    CHECK(left >= least_left);
}

// Sends back what comes, one byte at a time.
void echo(net::conn& c) {
    std::byte b[1];
    while (c.read(b) != 0) c.write(b);
}

void round_trip(net::conn& c) {
    std::byte b[1] = {};
    c.write(b);
    (void)c.read(b);
}

}  // namespace

TEST_CASE("STK-3 sockets fit below the guard of a small segment", "[growth][net]") {
    vole::run([] {
        net::tcp_listener l = net::listen_tcp(net::endpoint::ipv4({127, 0, 0, 1}, 0));
        net::conn mine = net::dial_tcp(l.local_endpoint());
        vole::wait_group peers;
        peers.go([c = net::conn(l.accept())]() mutable { echo(c); });
        check("write, read", least_untouched([&] { round_trip(mine); }));
        check("wait, then read", least_untouched([&] {
                  std::byte b[1] = {};
                  mine.write(b);
                  mine.wait_readable();
                  (void)mine.read(b);
              }));
        check("deadlines", least_untouched([&] {
                  mine.set_deadline(vole::clock::now() + 1h);
                  round_trip(mine);
                  mine.set_deadline({});
              }));
        check("a deadline that has passed", least_untouched([&] {
                  std::byte b[1] = {};
                  mine.set_read_deadline(vole::clock::now());
                  try {
                      (void)mine.read(b);
                  } catch (const net::op_error&) {
                  }
                  mine.set_read_deadline({});
              }));
        check("gathered writes", least_untouched([&] {
                  static const std::array<std::byte, 3> bytes{};
                  static const std::vector<std::span<const std::byte>> three(
                      3, std::span(bytes).first(1));
                  static const std::vector<std::span<const std::byte>> many(
                      100, std::span(bytes).first(0));
                  std::byte back[3];
                  mine.write_v(three);
                  mine.write_v(many);
                  mine.read_full(back);
              }));
        peers.go([&l] {
            std::error_code ec;
            while (!ec) (void)l.accept(ec);
        });
        check("dialling, closing", least_untouched([&] {
                  std::byte b[1] = {};
                  net::conn c = net::dial_tcp(l.local_endpoint());
                  (void)c.read(b);
                  c.close();
              }));
        mine.close();
        l.close();
        peers.wait();
    });
}

TEST_CASE("STK-3 datagrams and pipes fit below the guard of a small segment", "[growth][net]") {
    vole::run([] {
        net::udp_conn a = net::listen_udp(net::endpoint::ipv4({127, 0, 0, 1}, 0));
        net::udp_conn b = net::dial_udp(a.local_endpoint());
        check("datagrams", least_untouched([&] {
                  std::byte some[8] = {};
                  b.write(some);
                  const net::datagram d = a.read_from(some);
                  a.write_to(some, d.from);
                  (void)b.read(some);
              }));
        auto [mine, theirs] = net::pipe();
        vole::wait_group peer;
        peer.go([c = std::move(theirs)]() mutable { echo(c); });
        check("pipe", least_untouched([&, c = &mine] { round_trip(*c); }));
        mine.close();
        peer.wait();
    });
}
