// Dialling names with several addresses: their order, their shares of the time, two families at once. Cites NET-56 and
// NET-62 to NET-65.
//
// Names are answered by a fake resolver. An address that answers is a listener; one that refuses is a port without one;
// one that never answers is a listener whose queue is full.
#include "test/net/dial_support.hpp"

#include "net/src/share.hpp"
#include "test/net/fake_resolver.hpp"

#include <optional>

namespace vole::test {

namespace {

enum class peer { answers, refuses, silent };

bool has_ipv6() {
    std::error_code ec;
    (void)net::listen_tcp(loopback6(), {}, ec);
    return !ec;
}

/// One port on this machine, of two families that behave differently.
class two_families {
  public:
    two_families(peer four, peer six) {
        // A port that is free in one family may be taken in the other.
        wait_until(
            [&] {
                port_ = refusing().port();
                return make(four, loopback(port_), four_) && make(six, loopback6(port_), six_);
            },
            "a port that is free in both families");
    }
    two_families(const two_families&) = delete;
    two_families& operator=(const two_families&) = delete;

    std::string name() const { return "both.test:" + std::to_string(port_); }
    net::tcp_listener& four() { return *four_.listener(); }
    net::tcp_listener& six() { return *six_.listener(); }

  private:
    struct side {
        std::optional<net::tcp_listener> open;
        std::optional<silent_listener> full;
        net::tcp_listener* listener() { return full ? &full->get() : &*open; }
    };
    static bool make(peer how, const net::endpoint& at, side& out) {
        out.open.reset();
        out.full.reset();
        try {
            if (how != peer::silent) out.open = net::listen_tcp(at);
            if (how == peer::silent) out.full.emplace(at);
        } catch (const net::op_error&) {
            return false;
        }
        if (how == peer::refuses) out.open.reset();
        return true;
    }

    std::uint16_t port_ = 0;
    side four_;
    side six_;
};

using answer = fake_resolver::answer;

/// Answers with both families, in this order.
fake_resolver resolver_of(bool six_first) {
    return fake_resolver([six_first](const std::string&, int family) {
        answer a;
        if (family != AF_INET6) a.addresses.push_back(loopback());
        if (family != AF_INET)
            a.addresses.insert(six_first ? a.addresses.begin() : a.addresses.end(), loopback6());
        return a;
    });
}

net::family family_of(net::conn& c) { return c.remote_endpoint().family(); }

}  // namespace

// ---- one after the other ----------------------------------------------------------------------

TEST_CASE("NET-63 each address gets an equal share of the time, but two seconds at least",
          "[net][dial]") {
    using detail::share_of;
    CHECK(share_of(12s, 1) == 12s);
    CHECK(share_of(12s, 2) == 6s);
    CHECK(share_of(12s, 3) == 4s);
    CHECK(share_of(12s, 999) == 2s);
    CHECK(share_of(1900ms, 999) == 1900ms);
    CHECK(share_of(1900ms, 1) == 1900ms);
    CHECK(share_of(2s, 2) == 2s);
    CHECK(share_of(1ns, 3) == 1ns);
    CHECK(share_of(0ns, 3) == 0ns);
    CHECK(share_of(-1s, 3) < 0s);
    CHECK(share_of(clock::duration::max(), 1) == clock::duration::max());
}

TEST_CASE("NET-64 addresses are tried in their order; the error is the first one's",
          "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        const std::string port = std::to_string(l.local_endpoint().port());
        std::vector<net::endpoint> answers;
        const fake_resolver names([&](const std::string&, int) { return answer{answers, {}}; });
        const auto host = [](std::uint8_t last) {
            return net::endpoint::ipv4({127, 0, 0, last}, 0);
        };
        {
            answers = {host(2), host(3), host(1), host(4)};
            counted_dialer how;
            ok.equal(how.dial("tcp", "names.test:" + port), fine);
            ok.equal(how.sockets(), 3);
            ok.equal(accept(l), result{1, {}});
        }
        {
            // There are no streams to many at once.
            answers = {net::endpoint::ipv4({224, 0, 0, 1}, 0), host(2)};
            counted_dialer how;
            const std::error_code first = how.dial("tcp", "names.test:" + port);
            answers = {host(2), net::endpoint::ipv4({224, 0, 0, 1}, 0)};
            const std::error_code second = how.dial("tcp", "names.test:" + port);
            ok(first != second);
            ok(second == std::errc::connection_refused);
        }
        answers = {};
        counted_dialer how;
        ok(bool(how.dial("tcp", "names.test:" + port)));
        ok.equal(how.sockets(), 0);
    });
    CHECK(text == "");
}

TEST_CASE("NET-64 the time is over: no more addresses are tried", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        const silent_listener l(loopback());
        const fake_resolver names([&](const std::string&, int) {
            return answer{{loopback(), loopback(), loopback()}, {}};
        });
        counted_dialer how;
        how.timeout = 5ms;
        ok.equal(how.dial("tcp", "names.test:" + std::to_string(l.at().port())),
                 make_error_code(errc::timeout));
        ok.equal(how.sockets(), 1);
    });
    CHECK(text == "");
}

TEST_CASE("NET-62 a context that ends during the look-up of the name", "[net][dial]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        auto [ctx, cancel] = with_cancel(context::background());
        counted_dialer how;
        {
            background d([&, &c = ctx] { return result{0, how.dial("tcp", "held.test:1", c)}; });
            await_callers(1, "held.test");
            cancel();
            ok.equal(d.get(), failed(errc::canceled));
        }
        how.timeout = 2ms;
        ok.equal(how.dial("tcp", "held.test:1"), make_error_code(errc::timeout));
        ok.equal(how.sockets(), 0);
        names.let_go();
    });
    CHECK(text == "");
}

// ---- two families -----------------------------------------------------------------------------

TEST_CASE("NET-65 who answers wins, and the fallback comes in time", "[net][dial]") {
    if (!has_ipv6()) {
        WARN("no IPv6 here: skipped");
        return;
    }
    struct row {
        const char* name;
        peer first;
        peer second;
        clock::duration delay;
        std::optional<bool> wins;  // the second one; nothing: neither
        int sockets;
    };
    const std::array rows{
        row{"both answer: the first", peer::answers, peer::answers, 1h, false, 1},
        row{"the first answers alone", peer::answers, peer::refuses, 1h, false, 1},
        row{"the second is silent", peer::answers, peer::silent, 1h, false, 1},
        row{"the first refuses: the second at once", peer::refuses, peer::answers, 1h, true, 2},
        row{"the first is silent: the second after the delay", peer::silent, peer::answers, 2ms,
            true, 2},
        row{"both refuse", peer::refuses, peer::refuses, 1h, std::nullopt, 2},
        row{"one after the other", peer::refuses, peer::answers, -1ns, true, 2},
        row{"one after the other, both refuse", peer::refuses, peer::refuses, -1ns, std::nullopt,
            2},
    };
    (void)tcp_pair();
    const int before = open_sockets();
    for (const bool six_first : {false, true}) {
        for (const row& r : rows) {
            INFO(r.name << (six_first ? ", IPv6 first" : ", IPv4 first"));
            const fake_resolver names = resolver_of(six_first);
            two_families peers(six_first ? r.second : r.first, six_first ? r.first : r.second);
            const std::string text = everywhere([&](findings& ok) {
                counted_dialer how;
                how.fallback_delay = r.delay;
                const std::error_code ec = how.dial("tcp", peers.name());
                ok.equal(how.sockets(), r.sockets);
                if (!r.wins) {
                    ok(ec == std::errc::connection_refused, ec.message());
                    return;
                }
                if (!ok.equal(ec, fine)) return;
                const bool six = *r.wins != six_first;
                ok(family_of(how.conn()) == (six ? net::family::ipv6 : net::family::ipv4));
                ok.equal(write(how.conn(), "x"), wrote(1));
                net::conn s = (six ? peers.six() : peers.four()).accept();
                ok.equal(read(s, 1), got("x"));
            });
            CHECK(text == "");
        }
    }
    CHECK(open_sockets() == before);
}

TEST_CASE("NET-65 the fallback does not begin before its time", "[net][dial]") {
    if (!has_ipv6()) {
        WARN("no IPv6 here: skipped");
        return;
    }
    const fake_resolver names = resolver_of(true);
    two_families peers(peer::answers, peer::silent);
    const std::string text = everywhere([&](findings& ok) {
        for (const clock::duration delay : {clock::duration(1h), clock::duration(-1ns)}) {
            counted_dialer how;
            how.fallback_delay = delay;
            how.timeout = 5ms;
            ok.equal(how.dial("tcp", peers.name()), make_error_code(errc::timeout));
            ok.equal(how.sockets(), how.sockets_of_ipv6());
        }
        // The usual delay is 300 ms.
        counted_dialer how;
        const time_point end = in(300ms);
        ok.equal(how.dial("tcp", peers.name()), fine);
        ok(clock::now() >= end);
        ok.equal(how.sockets(), 2);
        ok.equal(accept(peers.four()), result{1, {}});
    });
    CHECK(text == "");
}

TEST_CASE("NET-65 a network of one family tries that one", "[net][dial]") {
    if (!has_ipv6()) {
        WARN("no IPv6 here: skipped");
        return;
    }
    const fake_resolver names = resolver_of(true);
    two_families peers(peer::answers, peer::answers);
    const std::string text = everywhere([&](findings& ok) {
        counted_dialer how;
        ok.equal(how.dial("tcp4", peers.name()), fine);
        ok(family_of(how.conn()) == net::family::ipv4);
        ok.equal(accept(peers.four()), result{1, {}});
        ok.equal(how.dial("tcp6", peers.name()), fine);
        ok(family_of(how.conn()) == net::family::ipv6);
        ok.equal(accept(peers.six()), result{1, {}});
        // An own address leaves out the family that it is not of.
        how.local = loopback();
        ok.equal(how.dial("tcp", peers.name()), fine);
        ok(family_of(how.conn()) == net::family::ipv4);
        ok.equal(accept(peers.four()), result{1, {}});
        ok.equal(how.sockets(), 3);
    });
    CHECK(text == "");
}

TEST_CASE("NET-65 the loser is given up when the other one wins", "[net][dial]") {
    if (!has_ipv6()) {
        WARN("no IPv6 here: skipped");
        return;
    }
    (void)tcp_pair();
    const int before = open_sockets();
    const int rounds = scaled(40, 5);
    const std::string text = everywhere([&](findings& ok) {
        const fake_resolver names = resolver_of(true);
        two_families peers(peer::answers, peer::silent);
        const int alone = open_sockets();
        const std::size_t goroutines = num_goroutine();
        for (int i = 0; i < rounds; ++i) {
            counted_dialer how;
            how.fallback_delay = 1us;
            ok.equal(how.dial("tcp", peers.name()), fine);
            // Ours, and the other side's, which has not been accepted.
            ok.equal(open_sockets(), alone + 1);
            wait_until([&] { return num_goroutine() <= goroutines; }, "the loser to be gone");
            ok.equal(accept(peers.four()), result{1, {}});
        }
        // Cancelled while both try.
        counted_dialer how;
        how.fallback_delay = 1us;
        two_families quiet(peer::silent, peer::silent);
        auto [ctx, cancel] = with_cancel(context::background());
        background d([&, &c = ctx] { return result{0, how.dial("tcp", quiet.name(), c)}; });
        wait_until([&] { return how.sockets() == 2; }, "both to be tried");
        cancel();
        ok.equal(d.get(), failed(errc::canceled));
    });
    CHECK(text == "");
    CHECK(open_sockets() == before);
}

// The first one has connected, too, but later.
TEST_CASE("NET-65 a second connection that comes late is closed", "[net][dial]") {
    if (!has_ipv6()) {
        WARN("no IPv6 here: skipped");
        return;
    }
    const std::string text = everywhere([](findings& ok) {
        const fake_resolver names = resolver_of(false);
        two_families peers(peer::answers, peer::answers);
        chan<void> second_came = make_chan<void>(0);
        counted_dialer how([&](int fd, int) {
            // The first one's socket waits, until the second one's connection is there.
            if (domain_of(fd) == AF_INET) (void)second_came.recv();
        });
        how.fallback_delay = 1us;
        background server([&] {
            const net::conn s = peers.six().accept();
            second_came.close();
            return result{};
        });
        ok.equal(how.dial("tcp", peers.name()), fine);
        // Whichever it is: of the other one nothing is left.
        const bool six = family_of(how.conn()) == net::family::ipv6;
        net::tcp_listener& other = six ? peers.four() : peers.six();
        ok(!read_deadline(other, in(1ms)));
        std::error_code ec;
        net::conn late = other.accept(ec);
        if (!ec) {
            const result r = read(late, 1);
            ok(r == end_of_stream || r == failed(std::errc::connection_reset));
        }
        (void)server.get();
    });
    CHECK(text == "");
}

TEST_CASE("NET-55 a control function that throws ends a race of two families", "[net][dial]") {
    if (!has_ipv6()) {
        WARN("no IPv6 here: skipped");
        return;
    }
    (void)tcp_pair();
    const int before = open_sockets();
    const std::string text = everywhere([&](findings& ok) {
        // Of the one that would answer: the other one never ends the race. First, and as the one that comes later.
        for (const bool six_first : {false, true}) {
            const fake_resolver names = resolver_of(six_first);
            two_families peers(peer::answers, peer::silent);
            counted_dialer how([](int fd, int) {
                if (domain_of(fd) == AF_INET) throw 7;
            });
            how.fallback_delay = 1us;
            try {
                (void)how.dial("tcp", peers.name());
                ok(false, "did not throw");
            } catch (int thrown) {
                ok.equal(thrown, 7);
            }
        }
    });
    CHECK(text == "");
    CHECK(open_sockets() == before);
}

}  // namespace vole::test
