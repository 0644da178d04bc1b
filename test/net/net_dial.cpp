// Dialling one address: contexts, time limits, errors, options. Cites NET-60 to NET-69 and NET-81. Several addresses are in
// net_dial_race.cpp.
#include "test/net/dial_support.hpp"

#include <limits>

namespace vole::test {

// ---- contexts and limits ----------------------------------------------------------------------

TEST_CASE("NET-60 a context that has ended: no socket is made", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        const net::tcp_listener l = net::listen_tcp(loopback());
        const std::string at = l.local_endpoint().to_string();
        auto [canceled, cancel] = with_cancel(context::background());
        cancel();
        auto [late, cancel_late] = with_timeout(context::background(), -1s);
        for (const char* network : {"tcp", "unix"}) {
            const std::string to = *network == 't' ? at : "@nobody";
            counted_dialer how;
            ok.equal(how.dial(network, to, canceled), make_error_code(errc::canceled));
            ok.equal(how.dial(network, to, late), make_error_code(errc::timeout));
            ok.equal(how.sockets(), 0);
        }
        ok.equal(text_thrown([&, &c = canceled] { (void)net::dial("tcp", at, c); }),
                 "dial tcp " + at + ": operation was canceled");
        ok.equal(text_thrown([&, &c = late] { (void)net::dial("tcp", at, c); }),
                 "dial tcp " + at + ": i/o timeout");
        cancel_late();
        ok.throws<runtime_error>("use of nil context",
                                 [&] { (void)net::dial("tcp", at, context()); });
    });
    CHECK(text == "");
}

TEST_CASE("NET-61 a port where nobody listens refuses at once", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        const net::endpoint to = refusing();
        counted_dialer how;
        how.timeout = 1h;
        ok(how.dial("tcp", to.to_string()) == std::errc::connection_refused);
        ok.equal(how.sockets(), 1);
        ok.equal(text_thrown([&] { (void)net::dial("tcp", to.to_string()); }),
                 "dial tcp " + to.to_string() + ": connection refused");
        ok.equal(text_thrown([&] { (void)net::dial_tcp(to); }),
                 "dial tcp " + to.to_string() + ": connection refused");
        ok.equal(text_thrown([&] { (void)net::dial("unix", "@vole-test-nobody"); }),
                 std::string("dial unix @vole-test-nobody: connection refused"));
        ok.equal(text_thrown([&] { (void)net::dial("unix", "/no/such/path"); }),
                 std::string("dial unix /no/such/path: no such file or directory"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-62 a context that ends while connecting ends the dial", "[net][dial]") {
    (void)tcp_pair();
    const int before = open_sockets();
    const std::string text = everywhere([](findings& ok) {
        const silent_listener l(loopback());
        const std::string to = l.at().to_string();
        {
            auto [ctx, cancel] = with_cancel(context::background());
            counted_dialer how;
            blocked d([&, &c = ctx] { return result{0, how.dial("tcp", to, c)}; });
            ok(d.waits());
            cancel();
            ok.equal(d.get(), failed(errc::canceled));
            ok.equal(how.sockets(), 1);
        }
        auto [ctx, cancel] = with_timeout(context::background(), 5ms);
        counted_dialer how;
        const time_point end = *ctx.deadline();
        ok.equal(how.dial("tcp", to, ctx), make_error_code(errc::timeout));
        ok(clock::now() >= end);
        cancel();
    });
    CHECK(text == "");
    CHECK(open_sockets() == before);
}

TEST_CASE("NET-62 a context has no influence on what has been dialled", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        auto [ctx, cancel] = with_timeout(context::background(), 1h);
        net::dialer how;
        how.timeout = 1h;
        how.deadline = in(1h);
        net::conn a = how.dial("tcp", l.local_endpoint().to_string(), ctx);
        net::conn b = l.accept();
        cancel();
        ok.equal(write(a, "x"), wrote(1));
        ok.equal(read(b, 10), got("x"));
        blocked r([&] { return read(a, 10); });
        ok(r.waits());
        ok.equal(write(b, "y"), wrote(1));
        ok.equal(r.get(), got("y"));
        // Of a short one, too, after it has passed.
        auto [brief, cancel_brief] = with_timeout(context::background(), 50ms);
        std::error_code ec;
        net::conn c = net::dial("tcp", l.local_endpoint().to_string(), brief, ec);
        (void)brief.done().recv();
        if (!ec) {
            ok.equal(write(c, "z"), wrote(1));
        } else {
            ok.equal(ec, make_error_code(errc::timeout));
        }
        cancel_brief();
    });
    CHECK(text == "");
}

TEST_CASE("NET-62 a cancellation meets a connection: it works, or there is none",
          "[net][dial][stress]") {
    const int rounds = stress_scaled(600, 60);
    (void)tcp_pair();
    const int before = open_sockets();
    findings ok;
    std::atomic<int> connected{0};
    std::atomic<int> canceled{0};
    run_on(2, [&] {
        net::tcp_listener l = net::listen_tcp(loopback());
        const std::string to = l.local_endpoint().to_string();
        context ctx;
        cancel_func cancel;
        duel(
            rounds, [&] { std::tie(ctx, cancel) = with_cancel(context::background()); },
            [&] { cancel(); },
            [&] {
                std::error_code ec;
                net::conn c = net::dial("tcp", to, ctx, ec);
                if (ec) {
                    ++canceled;
                    ok.equal(ec, make_error_code(errc::canceled));
                    return;
                }
                ++connected;
                ok.equal(write(c, "x"), wrote(1));
                // Those that were given up may be in the queue before it.
                for (;;) {
                    net::conn s = l.accept();
                    if (read(s, 10) == got("x")) break;
                }
            });
    });
    CHECK(ok.text() == "");
    CHECK(connected + canceled == rounds);
    CHECK(open_sockets() == before);
}

TEST_CASE("NET-63 the earliest of three limits counts", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        const silent_listener l(loopback());
        const std::string to = l.at().to_string();
        for (const int first : {0, 1, 2}) {
            counted_dialer how;
            how.timeout = first == 0 ? clock::duration(5ms) : 1h;
            how.deadline = in(first == 1 ? clock::duration(5ms) : 1h);
            auto [ctx, cancel] =
                with_timeout(context::background(), first == 2 ? clock::duration(5ms) : 1h);
            ok.equal(how.dial("tcp", to, ctx), make_error_code(errc::timeout));
            ok.equal(how.sockets(), 1);
            cancel();
        }
        // In the past: no socket is made.
        for (const bool relative : {false, true}) {
            counted_dialer how;
            if (relative) {
                how.timeout = -5s;
            } else {
                how.deadline = in(-5s);
            }
            ok.equal(how.dial("tcp", to), make_error_code(errc::timeout));
            how.timeout = relative ? how.timeout : 5s;
            how.deadline = relative ? in(5s) : how.deadline;
            ok.equal(how.dial("tcp", to), make_error_code(errc::timeout));
            ok.equal(how.sockets(), 0);
        }
        net::dialer how;
        how.timeout = 2ms;
        std::error_code ec;
        (void)net::dial_tcp(l.at(), how, ec);
        ok.equal(ec, make_error_code(errc::timeout));
    });
    CHECK(text == "");
}

TEST_CASE("NET-67 limits in the farthest future are none", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        for (const bool relative : {false, true}) {
            counted_dialer how;
            if (relative) {
                how.timeout = clock::duration::max();
            } else {
                how.deadline = time_point::max();
            }
            ok.equal(how.dial("tcp", l.local_endpoint().to_string()), fine);
            ok.equal(accept(l), result{1, {}});
        }
        const silent_listener silent(loopback());
        net::dialer how;
        how.timeout = clock::duration::max();
        auto [ctx, cancel] = with_cancel(context::background());
        blocked d([&, &c = ctx] {
            std::error_code ec;
            (void)how.dial("tcp", silent.at().to_string(), c, ec);
            return result{0, ec};
        });
        ok(d.waits());
        cancel();
        ok.equal(d.get(), failed(errc::canceled));
    });
    CHECK(text == "");
}

// ---- where from -------------------------------------------------------------------------------

TEST_CASE("NET-68 an address of one's own", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        const std::string to = l.local_endpoint().to_string();
        net::dialer how;
        how.local = net::endpoint::ipv4({127, 0, 0, 2}, 0);
        {
            const net::conn c = how.dial("tcp", to);
            const net::conn s = l.accept();
            ok.equal(c.local_endpoint().address()[3], std::uint8_t{2});
            ok.equal(s.remote_endpoint().to_string(), c.local_endpoint().to_string());
        }
        // With a port of one's own: taken as it is, and an error names it.
        how.local = refusing(how.local);
        {
            const net::conn c = how.dial("tcp", to);
            ok.equal(c.local_endpoint().to_string(), how.local.to_string());
            ok.equal(text_thrown([&] { (void)how.dial("tcp", to); }),
                     "dial tcp " + how.local.to_string() + "->" + to + ": address already in use");
            (void)l.accept();
        }
        // Without a host: this machine.
        how.local = {};
        for (const char* network : {"tcp", "tcp4"}) {
            const net::conn c = how.dial(network, ":" + std::to_string(l.local_endpoint().port()));
            ok.equal(accept(l), result{1, {}});
        }
        const net::conn c = how.dial("tcp", "0.0.0.0:" + std::to_string(l.local_endpoint().port()));
        ok.equal(accept(l), result{1, {}});
        how.local = loopback();
        const net::conn d = how.dial("tcp", ":" + std::to_string(l.local_endpoint().port()));
        ok.equal(accept(l), result{1, {}});
        std::error_code ec;
        net::tcp_listener six = net::listen_tcp(loopback6(), {}, ec);
        if (ec) return;
        how.local = loopback6();
        const net::conn e = how.dial("tcp", ":" + std::to_string(six.local_endpoint().port()));
        ok.equal(accept(six), result{1, {}});
    });
    CHECK(text == "");
}

TEST_CASE("NET-68 an address of one's own that does not fit", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        const std::string to = refusing().to_string();
        const auto mismatch = make_error_code(errc::address_mismatch);
        for (const auto& local : {loopback6(), net::endpoint::local("@vole-test-local")}) {
            counted_dialer how;
            how.local = local;
            ok.equal(how.dial("tcp", to), mismatch);
            ok.equal(how.sockets(), 0);
        }
        counted_dialer how;
        how.local = loopback();
        ok.equal(how.dial("unix", "@nobody"), mismatch);
        ok.equal(how.dial("tcp6", "[::1]:1"), mismatch);
        net::dialer plain;
        plain.local = loopback6();
        ok.equal(text_thrown([&] { (void)plain.dial("tcp", to); }),
                 "dial tcp [::1]:0->" + to + ": mismatched local address type");
        // One that this machine does not have.
        plain.local = net::endpoint::ipv4({192, 0, 2, 1}, 0);
        std::error_code ec;
        (void)plain.dial("tcp", to, ec);
        ok(ec == std::errc::address_not_available);
    });
    CHECK(text == "");
}

// ---- odd connections --------------------------------------------------------------------------

namespace {
constexpr int local_port_range =
    51;  // IP_LOCAL_PORT_RANGE, which kernels have known for longer than C libraries

// The port that the system will pick.
bool pick_port(int fd, std::uint16_t port) {
    const std::uint32_t range = std::uint32_t{port} << 16 | port;
    return ::setsockopt(fd, IPPROTO_IP, local_port_range, &range, sizeof range) == 0;
}
}  // namespace

// Where nobody listens on a port of the system's own range, the kernel may pick that very port for the dialler, who is
// then connected with himself.
TEST_CASE("NET-66 who has dialled himself tries again", "[net][dial]") {
    bool can = true;
    const std::string text = everywhere([&](findings& ok) {
        const net::endpoint to = refusing();
        counted_dialer how([&](int fd, int n) {
            if (n == 1) can = pick_port(fd, to.port()) && can;
        });
        const std::error_code ec = how.dial("tcp", to.to_string());
        if (!can) return;
        ok(ec == std::errc::connection_refused, ec.message());
        ok.equal(how.sockets(), 2);
    });
    if (!can) WARN("this kernel has no IP_LOCAL_PORT_RANGE: skipped");
    CHECK(text == "");
}

TEST_CASE("NET-66 an address that is not available is tried at most three times", "[net][dial]") {
    bool can = true;
    const std::string text = everywhere([&](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        const std::string to = l.local_endpoint().to_string();
        const net::tcp_conn first = net::dial_tcp(l.local_endpoint());
        const std::uint16_t taken = first.local_endpoint().port();
        counted_dialer twice([&](int fd, int n) {
            if (n <= 2) can = pick_port(fd, taken) && can;
        });
        counted_dialer always([&](int fd, int) { can = pick_port(fd, taken) && can; });
        const std::error_code good = twice.dial("tcp", to);
        const std::error_code bad = always.dial("tcp", to);
        if (!can) return;
        ok.equal(good, fine);
        ok.equal(twice.sockets(), 3);
        ok(bad == std::errc::address_not_available, bad.message());
        ok.equal(always.sockets(), 3);
    });
    if (!can) WARN("this kernel has no IP_LOCAL_PORT_RANGE: skipped");
    CHECK(text == "");
}

// ---- what cannot be dialled -------------------------------------------------------------------

TEST_CASE("NET-69 what cannot be dialled, in words", "[net][dial]") {
    const auto error = [](const char* network, const char* address) {
        return text_thrown([&] { (void)net::dial(network, address); });
    };
    CHECK(error("foo", "127.0.0.1:1") == "dial foo 127.0.0.1:1: unknown network");
    CHECK(error("udp", "127.0.0.1:1") == "dial udp 127.0.0.1:1: unknown network");
    CHECK(error("", "127.0.0.1:1") == "dial 127.0.0.1:1: unknown network");
    CHECK(error("tcp", "127.0.0.1") == "dial tcp 127.0.0.1: missing port in address");
    CHECK(error("tcp", "") == "dial tcp: missing address");
    CHECK(error("unix", "") == "dial unix: missing address");
    CHECK(error("tcp", "127.0.0.1:65536") == "dial tcp 127.0.0.1:65536: invalid port");
    CHECK(error("tcp", "127.0.0.1:-1") == "dial tcp 127.0.0.1:-1: invalid port");
    CHECK(error("tcp", "127.0.0.1:no-such-port") ==
          "dial tcp 127.0.0.1:no-such-port: unknown port");
    CHECK(error("tcp", "::1:80") == "dial tcp ::1:80: invalid address");
    CHECK(error("tcp4", "[::1]:80") == "dial tcp4 [::1]:80: no such host");
    CHECK(error("tcp6", "127.0.0.1:80") == "dial tcp6 127.0.0.1:80: no such host");
    std::error_code ec;
    (void)net::dial_packet("tcp", "127.0.0.1:1", ec);
    CHECK(ec == errc::unknown_network);
    (void)net::dial_tcp(net::endpoint::local("@x"), {}, ec);
    CHECK(ec == errc::invalid_address);
    (void)net::dial_tcp({}, {}, ec);
    CHECK(ec == errc::invalid_address);
    (void)net::dial_unix(loopback(1), {}, ec);
    CHECK(ec == errc::invalid_address);
}

TEST_CASE("NET-69 a zone in the address of an interface", "[net][dial]") {
    std::error_code ec;
    net::tcp_listener l = net::listen_tcp(loopback6(), {}, ec);
    if (ec) {
        WARN("no IPv6 here: skipped");
        return;
    }
    const std::string port = std::to_string(l.local_endpoint().port());
    const net::conn c = net::dial("tcp", "[::1%lo]:" + port);
    CHECK(l.accept().remote_endpoint() == c.local_endpoint());
}

// ---- options ----------------------------------------------------------------------------------

TEST_CASE("NET-55 a control function of the dialler may refuse the socket", "[net][dial]") {
    (void)tcp_pair();
    const int before = open_sockets();
    const std::string text = everywhere([](findings& ok) {
        const net::tcp_listener l = net::listen_tcp(loopback());
        const std::string to = l.local_endpoint().to_string();
        net::dialer how;
        how.control = [](int) { return std::make_error_code(std::errc::owner_dead); };
        std::error_code ec;
        ok(!how.dial("tcp", to, ec));
        ok(ec == std::errc::owner_dead);
        how.control = [](int) -> std::error_code { throw 7; };
        try {
            (void)how.dial("tcp", to);
            ok(false);
        } catch (int thrown) {
            ok.equal(thrown, 7);
        }
    });
    CHECK(text == "");
    CHECK(open_sockets() == before);
}

TEST_CASE("NET-81 an error of a connection names both ends", "[net][dial]") {
    two_conns ab = tcp_pair();
    net::conn& a = ab.a;
    net::conn& b = ab.b;
    reset(a);
    std::array<std::byte, 1> to;
    try {
        (void)b.read(to);
        FAIL("no error");
    } catch (const std::system_error& e) {
        const auto& op = dynamic_cast<const net::op_error&>(e);
        CHECK(op.code() == std::errc::connection_reset);
        CHECK(op.code().value() == ECONNRESET);
        CHECK(op.network() == "tcp");
        CHECK(op.source() == b.local_endpoint().to_string());
        CHECK(op.address() == b.remote_endpoint().to_string());
        CHECK(!op.timeout());
        CHECK(std::string(op.what()) ==
              "read tcp " + op.source() + "->" + op.address() + ": connection reset by peer");
    }
    two_conns cd = unix_pair();
    net::conn& c = cd.a;
    net::conn& d = cd.b;
    d.close();
    CHECK(text_thrown([&, &u = c] { u.write(bytes_of("x")); }) ==
          "write unix " + c.remote_endpoint().to_string() + ": broken pipe");
}

}  // namespace vole::test
