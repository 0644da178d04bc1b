// A wire of 20 ms each way that loses one packet of twenty. Cites NET-31, NET-32, NET-37, NET-38, NET-43, NET-62 and NET-63.
//
// In a process of its own, which moves to another network. Skipped, with a notice, where the system does not allow that.
#include "test/net/loopback.hpp"
#include "test/net/lossy_wire.hpp"

#include <cstdio>
#include <optional>

namespace vole::test {

using namespace loopback;

namespace {

constexpr std::uint16_t port = 4711;
constexpr std::uint16_t silent_port = 4712;

endpoint at_there(std::uint16_t p) { return endpoint::ipv4({10, 61, 0, 2}, p); }

int bound(int type, std::uint16_t p) {
    const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(p);
    a.sin_addr.s_addr = htonl(lossy_wire::there);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) {
        throw std::system_error(errno, std::system_category(), "bind");
    }
    return fd;
}

// The wire, and a listener and a socket for datagrams at its far end. Made before the runtime has a thread.
struct far_end {
    int listens = -1;
    int datagrams = -1;
    std::optional<lossy_wire> wire;

    far_end() {
        wire.emplace(lossy_wire::quality{std::chrono::milliseconds(20), 5}, [this] {
            listens = bound(SOCK_STREAM, port);
            ::listen(listens, 100);
            datagrams = bound(SOCK_DGRAM, port);
        });
    }
};

constexpr const char* skipped = "no networks of our own here: ";

// Runs f(ok, far) on two Ps, or says why not.
template <class F>
void over_wire(F f) {
    std::optional<far_end> far;
    try {
        far.emplace();
    } catch (const std::system_error& e) {
        std::printf("%s%s\n", skipped, e.what());
        return;
    }
    const leaves_nothing check;
    findings ok;
    run_on(2, [&] { f(ok, *far); });
    CHECK(ok.text() == "");
    // The two that were adopted are gone.
    const std::string left = check.text();
    CHECK((left == "" || left == "-1 descriptors more than before\n"));
}

void run_child(const char* name) {
    const auto r = run_case_in_subprocess(name);
    INFO(r.text());
    CHECK(r.succeeded());
    if (const auto at = r.out.find(skipped); at != std::string::npos) {
        std::printf("skipped: %s", r.out.substr(at, r.out.find('\n', at) - at + 1).c_str());
    }
}

}  // namespace

TEST_CASE("child: streams over a bad wire", "[.child]") {
    over_wire([](findings& ok, far_end& far) {
        net::listener l = net::adopt_listener(far.listens);
        const std::uint64_t n = 400'000;
        constexpr int connections = 8;
        wait_group all;
        for (int i = 0; i < connections; ++i) {
            all.go([&] {
                net::conn b = l.accept();
                // Back to where it comes from, by splice.
                std::error_code ec;
                ok.equal(net::copy(b, b, net::copy_all, ec), n);
                ok(!ec, ec.message());
                b.close_write();
            });
            all.go([&, i] {
                net::conn a = net::dial_tcp(at_there(port));
                const auto seed = static_cast<std::uint64_t>(i);
                wait_group writer;
                writer.go([&] {
                    std::error_code ec;
                    ok.equal(write_all(a, seed, n, ec, 30'001), n);
                    a.close_write();
                });
                const taken t = read_all(a, seed);
                ok.equal(t.right, n);
                ok(!t.wrong && !t.ec, t.ec.message());
                writer.wait();
            });
        }
        all.wait();
        ok(far.wire->lost() > 0);
    });
}
TEST_CASE("NET-32 streams over a bad wire: every byte, in order", "[net][lossy]") {
    run_child("child: streams over a bad wire");
}

TEST_CASE("child: dialling over a bad wire", "[.child]") {
    over_wire([](findings& ok, far_end& far) {
        net::listener l = net::adopt_listener(far.listens);
        const auto dial = [](const endpoint& to, const context& ctx, clock::duration timeout) {
            net::dialer how;
            how.timeout = timeout;
            std::error_code ec;
            net::conn c = how.dial("tcp", to.to_string(), ctx, ec);
            return ec;
        };
        const context always = context::background();
        // A round trip is 40 ms at least, so this is over before there can be an answer.
        stopwatch w;
        ok(dial(at_there(port), always, 10ms) == errc::timeout);
        ok(w.ns() >= ns(10ms));
        // Nobody listens: refused, when the answer comes.
        ok(dial(at_there(silent_port), always, 1h) == std::errc::connection_refused);
        {
            auto [ctx, cancel] = with_cancel(always);
            const auto stop = after_func(5ms, cancel);
            ok(dial(at_there(port), ctx, 0ms) == errc::canceled);
        }
        // Cut: the dial goes on for ever, until its context ends.
        far.wire->cut(true);
        {
            auto [ctx, cancel] = with_timeout(always, 100ms);
            ok(dial(at_there(port), ctx, 1h) == errc::timeout);
            cancel();
        }
        far.wire->cut(false);
        // And it is as if nothing had been.
        net::conn a = net::dial_tcp(at_there(port));
        for (bool found = false; !found;) {
            net::conn b = l.accept();
            found = b.remote_endpoint() == a.local_endpoint();
            if (found) ok.equal(write_of(b, "hello"), wrote(5));
            if (found) ok.equal(read_of(a, 10), got("hello"));
        }
    });
}
TEST_CASE("NET-62 dialling over a bad wire: timeouts, contexts, refusals", "[net][lossy]") {
    run_child("child: dialling over a bad wire");
}

TEST_CASE("child: deadlines over a bad wire", "[.child]") {
    over_wire([](findings& ok, far_end& far) {
        net::listener l = net::adopt_listener(far.listens);
        net::conn a = net::dial_tcp(at_there(port));
        net::conn b = l.accept();
        // Much shorter than the way: some pass before anything comes, and nothing is lost.
        constexpr std::uint64_t n = 100'000;
        wait_group writer;
        writer.go([&] {
            std::error_code ec;
            write_all(a, 1, n, ec, 1000);
            a.close_write();
        });
        std::vector<std::byte> room(5000);
        std::uint64_t right = 0;
        int timeouts = 0;
        for (;;) {
            std::error_code ec;
            b.set_read_deadline(in(2ms));
            const std::size_t got_n = b.read(room, ec);
            ok.equal(first_wrong(std::span(room).first(got_n), 1, right), got_n);
            right += got_n;
            timeouts += ec == errc::timeout ? 1 : 0;
            if (got_n == 0 && !ec) break;
        }
        writer.wait();
        ok.equal(right, n);
        ok(timeouts > 0);
        // A write to a wire that is cut: it says how much was taken, and that arrives.
        far.wire->cut(true);
        b.set_write_deadline(in(50ms));
        std::error_code ec;
        const std::uint64_t sent = write_all(b, 2, std::uint64_t{64} << 20, ec);
        ok(ec == errc::timeout, ec.message());
        far.wire->cut(false);
        b.close();
        const taken t = read_all(a, 2);
        ok.equal(t.right, sent);
        ok(!t.wrong && !t.ec, t.ec.message());
    });
}
TEST_CASE("NET-43 deadlines over a bad wire lose nothing", "[net][lossy]") {
    run_child("child: deadlines over a bad wire");
}

TEST_CASE("child: datagrams over a bad wire", "[.child]") {
    over_wire([](findings& ok, far_end& far) {
        net::packet_conn in_end = net::adopt_packet_conn(far.datagrams);
        net::udp_conn out = net::dial_udp(at_there(port));
        constexpr int sent = 300;
        wait_group receiver;
        std::vector<bool> came(sent);
        std::atomic<int> count{0};
        receiver.go([&] {
            // The kernel reassembles what is larger than a packet; each is whole, or does not come.
            std::vector<std::byte> room(5000);
            for (;;) {
                std::error_code ec;
                const net::datagram d = in_end.read_from(room, ec);
                if (ec) break;
                if (!ok(d.size >= 4 && !d.truncated)) break;
                const auto i =
                    static_cast<std::size_t>(room[0]) << 8 | static_cast<std::size_t>(room[1]);
                if (!ok(i < came.size() && !came[i])) break;
                came[i] = true;
                ++count;
                ok.equal(d.size, 10 + i * 10);
                ok.equal(first_wrong(std::span(room).first(d.size).subspan(2), i, 2), d.size - 2);
            }
        });
        for (std::size_t i = 0; i < sent; ++i) {
            auto bytes = bytes_from(i, 0, 10 + i * 10);
            bytes[0] = static_cast<std::byte>(i >> 8);
            bytes[1] = static_cast<std::byte>(i);
            std::error_code ec;
            ok.equal(out.write(bytes, ec), bytes.size());
            if (i % 10 == 0) sleep(1ms);  // the device's queue is short
        }
        // One that has come says that those before have come or been lost, give or take the way.
        wait_until([&] { return count > sent / 2; }, "half of the datagrams");
        in_end.close();
        receiver.wait();
    });
}
TEST_CASE("NET-38 datagrams over a bad wire: whole, or not at all", "[net][lossy]") {
    run_child("child: datagrams over a bad wire");
}

}  // namespace vole::test
