// Datagrams over UDP. Cites NET-38, NET-21 and NET-40 to NET-46 where datagrams are concerned.
#include "test/net/loopback.hpp"

#include <array>
#include <map>

namespace vole::test {

using namespace loopback;

namespace {

const endpoint any_port_six = endpoint::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0);

bool has_ipv6() {
    std::error_code ec;
    const auto c = net::listen_udp(any_port_six, {}, ec);
    return !ec;
}

net::datagram take(net::packet_conn& c, std::span<std::byte> to, findings& ok,
                   place where = here()) {
    std::error_code ec = rubbish();
    net::datagram d = c.read_from(to, ec);
    ok.equal(ec.message(), std::error_code().message(), where);
    return d;
}

std::string text_in(std::span<const std::byte> buffer, std::size_t n) {
    return {reinterpret_cast<const char*>(buffer.data()), n};
}

}  // namespace

TEST_CASE("NET-38 a read takes one datagram, and says who has sent it", "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        net::udp_conn a = net::listen_udp(any_port);
        net::udp_conn b = net::listen_udp(any_port);
        ok(a.local_endpoint().port() != 0);
        ok(a.remote_endpoint().empty());
        ok.equal(write_to(a, "one", b.local_endpoint()), wrote(3));
        ok.equal(write_to(a, "and two", b.local_endpoint()), wrote(7));
        std::array<std::byte, 100> room;
        const net::datagram first = take(b, room, ok);
        ok.equal(text_in(room, first.size), "one");
        ok(!first.truncated);
        ok(first.from == a.local_endpoint());
        ok.equal(read_of(b, 100), got("and two"));
        // The answer goes to where it came from.
        ok.equal(write_to(b, "back", first.from), wrote(4));
        ok.equal(read_of(a, 100), got("back"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-38 what does not fit is lost, and said so", "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        net::udp_conn a = net::listen_udp(any_port);
        net::udp_conn b = net::listen_udp(any_port);
        for (int i = 0; i < 4; ++i) write_to(a, "0123456789", b.local_endpoint());
        write_to(a, "next", b.local_endpoint());
        std::array<std::byte, 10> room;
        const net::datagram cut = take(b, std::span(room).first(9), ok);
        ok.equal(cut.size, 9U);
        ok(cut.truncated);
        ok.equal(text_in(room, cut.size), "012345678");
        const net::datagram whole = take(b, room, ok);
        ok.equal(whole.size, 10U);
        ok(!whole.truncated);
        // No room at all: it is taken all the same.
        const net::datagram nothing = take(b, {}, ok);
        ok.equal(nothing.size, 0U);
        ok(nothing.truncated);
        ok(nothing.from == a.local_endpoint());
        ok.equal(read_of(b, 3), got("012"));
        ok.equal(read_of(b, 100), got("next"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-38 a datagram of no bytes is one, and no end", "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        net::udp_conn a = net::listen_udp(any_port);
        net::udp_conn b = net::dial_udp(a.local_endpoint());
        std::array<std::byte, 10> room;
        {
            blocked r([&] { return read_of(a, 10); });
            ok.equal(write_of(b, ""), wrote(0));
            ok.equal(r.get(), got(""));
        }
        ok.equal(write_of(b, ""), wrote(0));
        ok.equal(write_of(b, "x"), wrote(1));
        const net::datagram empty = take(a, room, ok);
        ok.equal(empty.size, 0U);
        ok(!empty.truncated);
        ok(empty.from == b.local_endpoint());
        ok.equal(read_of(a, 10), got("x"));
        // And the other way, from who is not connected.
        ok.equal(write_to(a, "", b.local_endpoint()), wrote(0));
        ok.equal(write_to(a, "y", b.local_endpoint()), wrote(1));
        ok.equal(read_of(b, 10), got(""));
        ok.equal(read_of(b, 10), got("y"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-30 a read of no bytes takes no datagram and does not wait", "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        net::udp_conn a = net::listen_udp(any_port);
        net::udp_conn b = net::listen_udp(any_port);
        ok.equal(read_of(b, 0), got(""));
        ok.equal(write_to(a, "still there", b.local_endpoint()), wrote(11));
        ok.equal(read_of(b, 0), got(""));
        ok.equal(read_of(b, 100), got("still there"));
        b.close();
        std::error_code ec = rubbish();
        (void)b.read({}, ec);
        ok.equal(ec, make_error_code(net::errc::closed));
    });
    CHECK(text == "");
}

TEST_CASE("NET-38 connected or not: the call must fit", "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        net::udp_conn a = net::listen_udp(any_port);
        net::udp_conn b = net::dial_udp(a.local_endpoint());
        ok(b.remote_endpoint() == a.local_endpoint());
        ok.equal(write_to(b, "x", a.local_endpoint()), failed(errc::write_to_connected));
        ok.equal(write_of(a, "x"), failed_with(std::errc::destination_address_required));
        ok.equal(write_to(a, "x", endpoint()), failed(errc::missing_address));
        ok.equal(write_to(a, "x", any_port_six),
                 failed_with(std::errc::address_family_not_supported));
        ok.throws<net::op_error>("write udp " + b.local_endpoint().to_string() + "->" +
                                     a.local_endpoint().to_string() +
                                     ": use of write_to with pre-connected connection",
                                 [&] { b.write_to(bytes_of("x"), a.local_endpoint()); });
        // Who is connected hears the other end only.
        net::udp_conn stranger = net::listen_udp(any_port);
        ok.equal(write_to(stranger, "no", b.local_endpoint()), wrote(2));
        ok.equal(write_to(a, "yes", b.local_endpoint()), wrote(3));
        ok.equal(read_of(b, 10), got("yes"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-38 nobody is there: a connected one hears of it, later, and once", "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        endpoint gone;
        {
            net::udp_conn a = net::listen_udp(any_port);
            gone = a.local_endpoint();
        }
        net::udp_conn b = net::dial_udp(gone);
        ok.equal(write_of(b, "x"), wrote(1));
        ok.equal(read_of(b, 10), failed_with(std::errc::connection_refused));
        // A read that waits is woken by it.
        {
            blocked r([&] { return read_of(b, 10); });
            ok.equal(write_of(b, "x"), wrote(1));
            ok.equal(r.get(), failed_with(std::errc::connection_refused));
        }
        ok.equal(write_of(b, "x"), wrote(1));
        ok.equal(write_of(b, "y"), failed_with(std::errc::connection_refused));
        // It is no state: with somebody there, it works.
        net::udp_conn again = net::listen_udp(gone);
        ok.equal(write_of(b, "z"), wrote(1));
        ok.equal(read_of(again, 10), got("z"));
        ok.equal(write_to(again, "w", b.local_endpoint()), wrote(1));
        ok.equal(read_of(b, 10), got("w"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-38 one that is too large is an error, and nothing is sent", "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        net::udp_conn a = net::listen_udp(any_port);
        net::udp_conn b = net::dial_udp(a.local_endpoint());
        const std::string large(65508, 'x');
        ok.equal(write_of(b, large), failed_with(std::errc::message_size));
        ok.equal(write_of(b, std::string_view(large).substr(1)), wrote(65507));
        ok.equal(read_of(a, 70000), got(std::string_view(large).substr(1)));
    });
    CHECK(text == "");
}

TEST_CASE("NET-38 one socket for both families; IPv4 looks like IPv4", "[net][udp]") {
    if (!has_ipv6()) return;
    const std::string text = everywhere([](findings& ok) {
        net::packet_conn both = net::listen_packet("udp", ":0");
        const std::uint16_t port = both.local_endpoint().port();
        net::udp_conn four = net::dial_udp(endpoint::ipv4({127, 0, 0, 1}, port));
        net::udp_conn six =
            net::dial_udp(endpoint::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port));
        std::array<std::byte, 10> room;
        ok.equal(write_of(four, "4"), wrote(1));
        const net::datagram d4 = take(both, room, ok);
        ok(d4.from == four.local_endpoint());
        ok(d4.from.family() == net::family::ipv4);
        ok.equal(write_to(both, "to 4", d4.from), wrote(4));
        ok.equal(read_of(four, 10), got("to 4"));
        ok.equal(write_of(six, "6"), wrote(1));
        const net::datagram d6 = take(both, room, ok);
        ok(d6.from == six.local_endpoint());
        ok.equal(write_to(both, "to 6", d6.from), wrote(4));
        ok.equal(read_of(six, 10), got("to 6"));

        net::packet_conn only_six = net::listen_packet("udp6", "[::1]:0");
        ok(error_of_call([&](std::error_code& ec) {
               only_six.write_to(bytes_of("x"), four.local_endpoint(), ec);
           }) != std::error_code());
        ok.throws<net::op_error>("listen udp7 :0: unknown network",
                                 [] { (void)net::listen_packet("udp7", ":0"); });
        ok(error_of_call([](std::error_code& ec) {
               (void)net::listen_packet("tcp", ":0", {}, ec);
           }) == errc::unknown_network);
    });
    CHECK(text == "");
}

TEST_CASE("NET-38 many senders: each datagram is whole and its sender's", "[net][udp]") {
    const leaves_nothing check;
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            constexpr int senders = 20;
            const int rounds = scaled(50, 5);
            net::udp_conn in = net::listen_udp(any_port);
            in.set_read_buffer(1 << 20);
            // Loopback drops what does not fit the receiver's buffer, so each waits for an answer.
            wait_group all;
            for (int s = 0; s < senders; ++s) {
                all.go([&, s] {
                    net::udp_conn out = net::dial_udp(in.local_endpoint());
                    for (int i = 0; i < rounds; ++i) {
                        const std::string said = out.local_endpoint().to_string() + " " +
                                                 std::string(static_cast<std::size_t>(s), 'x') +
                                                 std::to_string(i);
                        ok.equal(write_of(out, said), wrote(said.size()));
                        ok.equal(read_of(out, 200), got(said));
                    }
                });
            }
            std::array<std::byte, 200> room;
            for (int i = 0; i < senders * rounds; ++i) {
                const net::datagram d = take(in, room, ok);
                ok(text_in(room, d.size).starts_with(d.from.to_string() + " "));
                in.write_to(std::span(room).first(d.size), d.from);
            }
            all.wait();
        });
        INFO("on " << procs);
        CHECK(ok.text() == "");
    }
    CHECK(check.text() == "");
}

TEST_CASE("NET-40 deadlines of datagrams", "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        net::udp_conn a = net::listen_udp(any_port);
        net::udp_conn b = net::dial_udp(a.local_endpoint());
        a.set_read_deadline(in(20ms));
        ok.equal(read_of(a, 10), failed(errc::timeout));
        ok.equal(read_of(a, 10), failed(errc::timeout));
        // Past: even where there is one. Later: it is not lost.
        write_of(b, "kept");
        a.set_read_deadline(past);
        ok.equal(read_of(a, 10), failed(errc::timeout));
        ok.equal(write_to(a, "writes go on", b.local_endpoint()), wrote(12));
        a.set_read_deadline(in(1h));
        ok.equal(read_of(a, 10), got("kept"));
        {
            blocked r([&] { return read_of(a, 10); });
            a.set_deadline(past);
            ok.equal(r.get(), failed(errc::timeout));
        }
        ok.equal(write_to(a, "x", b.local_endpoint()), failed(errc::timeout));
        a.set_deadline(never);
        ok.equal(write_to(a, "x", b.local_endpoint()), wrote(1));
    });
    CHECK(text == "");
}

TEST_CASE("NET-21 close wakes who reads datagrams; afterwards everything says closed",
          "[net][udp]") {
    const std::string text = everywhere([](findings& ok) {
        net::udp_conn a = net::listen_udp(any_port);
        const endpoint at = a.local_endpoint();
        {
            blocked first([&] { return read_of(a, 10); });
            blocked second([&] { return read_of(a, 10); });
            a.close();
            ok.equal(first.get(), failed(errc::closed));
            ok.equal(second.get(), failed(errc::closed));
        }
        ok.equal(read_of(a, 10), failed(errc::closed));
        ok.equal(write_to(a, "x", at), failed(errc::closed));
        ok.equal(write_of(a, "x"), failed(errc::closed));
        ok(error_of_call([&](std::error_code& ec) { a.close(ec); }) == errc::closed);
        ok(error_of_call([&](std::error_code& ec) { a.set_deadline(past, ec); }) == errc::closed);
        ok(a.local_endpoint() == at);
        // It is closed indeed: the port is free.
        net::udp_conn again = net::listen_udp(at);
        ok(again.local_endpoint() == at);

        net::udp_conn none;
        ok.equal(read_of(none, 10), failed_with(std::errc::invalid_argument));
        ok.equal(write_of(none, "x"), failed_with(std::errc::invalid_argument));
        ok.equal(write_to(none, "x", at), failed_with(std::errc::invalid_argument));
    });
    CHECK(text == "");
}

}  // namespace vole::test
