// Local datagrams. Cites NET-39, and NET-38 where they are like those of UDP.
//
// The kernel lets nobody send to a receiver whose queue is full, connected or not. It tells who is connected when there is
// room again; to the others it never says.
#include "test/net/loopback.hpp"

#include <array>

namespace vole::test {

using namespace loopback;

namespace {

// Each with a sender of its own; connected or not.
struct to_full {
    net::unix_packet_conn in;
    net::unix_packet_conn out;
    bool connected;

    to_full(const temporary_folder& folder, bool is_connected)
        : in(net::listen_unixgram(endpoint::local(folder / "in"))), connected(is_connected) {
        out = connected ? net::dial_unixgram(in.local_endpoint())
                        : net::listen_unixgram(endpoint::local(folder / "out"));
    }
    result send(std::string_view text) {
        return connected ? write_of(out, text) : write_to(out, text, in.local_endpoint());
    }
    // How many fit.
    int fill() {
        out.set_write_deadline(in_a_moment());
        int n = 0;
        while (!send("filling").ec) ++n;
        out.set_write_deadline(never);
        return n;
    }
    static time_point in_a_moment() { return clock::now() + 20ms; }
};

template <class F>
std::string both_kinds(F f) {
    return everywhere([&](findings& ok) {
        for (const bool connected : {false, true}) {
            const temporary_folder folder;
            to_full pair(folder, connected);
            f(ok, pair);
        }
    });
}

}  // namespace

TEST_CASE("NET-39 local datagrams: names, boundaries, answers", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        net::unix_packet_conn a = net::listen_unixgram(endpoint::local(folder / "a"));
        net::packet_conn b = net::listen_packet("unixgram", folder / "b");
        ok.equal(write_to(b, "one", a.local_endpoint()), wrote(3));
        ok.equal(write_to(b, "", a.local_endpoint()), wrote(0));
        ok.equal(write_to(b, "three", a.local_endpoint()), wrote(5));
        std::array<std::byte, 4> room;
        std::error_code ec;
        net::datagram d = a.read_from(room, ec);
        ok.equal(d.size, 3U);
        ok(!d.truncated);
        ok(d.from == b.local_endpoint());
        ok.equal(read_of(a, 10), got(""));
        d = a.read_from(room, ec);
        ok.equal(d.size, 4U);
        ok(d.truncated);
        ok.equal(write_to(a, "answer", d.from), wrote(6));
        ok.equal(read_of(b, 10), got("answer"));
        ok.equal(write_of(a, "x"), failed_with(std::errc::destination_address_required));
        ok.equal(write_to(a, "x", endpoint::local(folder / "none")),
                 failed_with(std::errc::no_such_file_or_directory));
        ok.equal(write_to(a, "x", any_port), failed_with(std::errc::address_family_not_supported));
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 a sender without a name has an empty one", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        net::unix_packet_conn in = net::listen_unixgram(endpoint::local(folder / "in"));
        net::unix_packet_conn nameless = net::dial_unixgram(in.local_endpoint());
        net::packet_conn named =
            net::dial_unixgram(in.local_endpoint(), endpoint::local(folder / "named"));
        ok(nameless.local_endpoint().empty());
        ok.equal(write_of(nameless, "x"), wrote(1));
        ok.equal(write_of(named, "y"), wrote(1));
        std::array<std::byte, 4> room;
        ok(in.read_from(room).from.empty());
        ok(in.read_from(room).from == named.local_endpoint());
        ok.equal(write_to(nameless, "x", in.local_endpoint()), failed(errc::write_to_connected));
        // It can be answered if it has a name.
        ok.equal(write_to(in, "z", named.local_endpoint()), wrote(1));
        ok.equal(read_of(named, 10), got("z"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 a socket of datagrams removes its path when it is closed, once", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        const endpoint at = endpoint::local(folder / "in");
        net::unix_packet_conn in = net::listen_unixgram(at);
        ok(exists(at.path()));
        const net::packet_conn adopted = net::adopt_packet_conn(in.dup());
        in.close();
        ok(!exists(at.path()));
        in = net::listen_unixgram(at);
        ok(exists(at.path()));
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 a full receiver holds senders up, and nothing is lost", "[net][unix]") {
    const std::string text = both_kinds([](findings& ok, to_full& pair) {
        constexpr int datagrams = 2000;
        background w([&] {
            for (int i = 0; i < datagrams; ++i) {
                const std::string said = std::to_string(i);
                if (!ok.equal(pair.send(said), wrote(said.size()))) break;
            }
            return result{};
        });
        // However long nobody reads.
        ok(w.waits());
        for (int i = 0; i < datagrams; ++i) ok.equal(read_of(pair.in, 10), got(std::to_string(i)));
        w.get();
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 who waits for a full receiver hears of deadlines and of its own closing",
          "[net][unix]") {
    const std::string text = both_kinds([](findings& ok, to_full& pair) {
        ok(pair.fill() > 0);
        pair.out.set_write_deadline(in(10ms));
        ok.equal(pair.send("x"), failed(errc::timeout));
        pair.out.set_write_deadline(never);
        {
            background w([&] { return pair.send("x"); });
            ok(w.waits());
            pair.out.set_write_deadline(past);
            ok.equal(w.get(), failed(errc::timeout));
        }
        pair.out.set_write_deadline(never);
        {
            background w([&] { return pair.send("x"); });
            ok(w.waits());
            pair.out.close();
            ok.equal(w.get(), failed(errc::closed));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 a full receiver that goes away lets its senders go", "[net][unix]") {
    const std::string text = both_kinds([](findings& ok, to_full& pair) {
        pair.fill();
        background w([&] { return pair.send("x"); });
        ok(w.waits());
        pair.in.close();
        const result r = w.get();
        // Not connected: the name may be gone, or refuse, whichever is seen first.
        ok(r.ec == std::errc::connection_refused || r.ec == std::errc::no_such_file_or_directory ||
               r.ec == std::errc::broken_pipe || r.ec == std::errc::not_connected,
           r.ec.message());
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 many senders to one that reads slowly: each one's in order, none lost",
          "[net][unix]") {
    const leaves_nothing check;
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            const temporary_folder folder;
            constexpr int senders = 8;
            const int each = scaled(400, 100);
            net::unix_packet_conn in = net::listen_unixgram(endpoint::local(folder / "in"));
            wait_group all;
            for (int s = 0; s < senders; ++s) {
                all.go([&, s] {
                    const bool connected = s % 2 == 0;
                    const endpoint own = endpoint::local(folder / std::to_string(s));
                    net::unix_packet_conn out = connected
                                                    ? net::dial_unixgram(in.local_endpoint(), own)
                                                    : net::listen_unixgram(own);
                    for (int i = 0; i < each; ++i) {
                        const std::string said = std::to_string(i);
                        const result r = connected ? write_of(out, said)
                                                   : write_to(out, said, in.local_endpoint());
                        ok.equal(r, wrote(said.size()));
                    }
                });
            }
            std::vector<int> next(senders, 0);
            std::array<std::byte, 20> room;
            for (int i = 0; i < senders * each; ++i) {
                const net::datagram d = in.read_from(room);
                const auto s = static_cast<std::size_t>(d.from.path().back() - '0');
                ok.equal(std::string(reinterpret_cast<const char*>(room.data()), d.size),
                         std::to_string(next.at(s)++));
                if (i % 100 == 0) gosched();
            }
            all.wait();
        });
        INFO("on " << procs);
        CHECK(ok.text() == "");
    }
    CHECK(check.text() == "");
}

}  // namespace vole::test
