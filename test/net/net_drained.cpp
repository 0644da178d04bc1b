// What follows a short read. On TCP it means that there is no more for now, so the next read waits for an edge without
// trying (net/src/stream.cpp): nothing that came together with the data, or right after it, may be slept over. Cites
// NET-5, NET-31, NET-35, NET-37 and NET-41.
//
// Many at once are in net_drained_stress.cpp.
//
// Each case comes twice: once the poller has seen what happened before the next read begins, once it has not.
#include "test/net/socket_support.hpp"

#include <sys/ioctl.h>

namespace vole::test {

namespace {

bool is_drained(const net::conn& c) { return insides::of(c).drained; }

/// Reads something short, after which c's next read waits.
void make_drained(findings& ok, net::conn& other, net::conn& c, place where = here()) {
    ok.equal(write(other, "short"), wrote(5), where);
    ok.equal(read_n(c, 5), got("short"), where);
    // read_n asks for exactly what there is: only a read that gets less has seen that there is no more.
    ok.equal(write(other, "!"), wrote(1), where);
    ok.equal(read(c, 100), got("!"), where);
    ok(is_drained(c), "waits for an edge", where);
}

void set_int(net::conn& c, int level, int name, int value) {
    c.control([&](int fd) { return ::setsockopt(fd, level, name, &value, sizeof value); });
}

/// Text and the end in one segment.
void write_with_end(net::conn& c, std::string_view text) {
    set_int(c, IPPROTO_TCP, TCP_CORK, 1);
    (void)c.write(bytes_of(text));
    c.close_write();
}

/// One byte of urgent data, which a reader of the stream does not see.
bool write_urgent(net::conn& c, char byte) {
    return c.control([&](int fd) { return ::send(fd, &byte, 1, MSG_OOB | MSG_NOSIGNAL); }) == 1;
}

/// What has been sent has arrived: nothing is on its way.
bool await_arrival(net::conn& c, int bytes, place where = here()) {
    return wait_until(
        [&] {
            int n = 0;
            c.control([&](int fd) { return ::ioctl(fd, FIONREAD, &n); });
            return n >= bytes;
        },
        "bytes to arrive", where);
}

}  // namespace

TEST_CASE("NET-5 a short read of TCP means that the next one waits; of others it does not",
          "[net][drained]") {
    const std::string text = everywhere([](findings& ok) {
        {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_drained(ok, a, b);
            make_drained(ok, b, a);
            ok.equal(write(a, "12345"), wrote(5));
            // Not short: there may be more.
            await_arrival(b, 5);
            ok.equal(read(b, 3), got("123"));
            ok(!is_drained(b));
            ok.equal(read(b, 2), got("45"));
            ok(!is_drained(b));
        }
        two_conns ab = unix_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        ok.equal(write(a, "12345"), wrote(5));
        ok.equal(read(b, 100), got("12345"));
        ok(!is_drained(b));
    });
    CHECK(text == "");
}

// So that both ends of a connection are spared the call.
TEST_CASE("NET-5 a connection that was dialled waits for edges like one that was accepted",
          "[net][drained]") {
    const int rounds = scaled(200, 20);
    const std::string text = everywhere([&](findings& ok) {
        // Somebody polls all the time, so that whatever there is to see is seen.
        two_conns cd = unix_pair();
        net::conn& c = cd.a;
        net::conn& d = cd.b;
        blocked watches([&] { return read(c, 1); });
        for (int i = 0; i < rounds; ++i) {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            ok(insides::of(a).pd->short_read_is_all(), "dialled");
            ok(insides::of(b).pd->short_read_is_all(), "accepted");
        }
        ok(!close(d));
        ok.equal(watches.get(), end_of_stream);
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 data and the end in one segment", "[net][drained]") {
    const int rounds = scaled(200, 20);
    const std::string text = everywhere([&](findings& ok) {
        for (int i = 0; i < rounds; ++i) {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            write_with_end(a, "all of it");
            if (i % 2 == 0) await_edge_at(b);
            ok.equal(read(b, 100), got("all of it"));
            ok.equal(read(b, 100), end_of_stream);
            ok.equal(read(b, 100), end_of_stream);
        }
        for (int i = 0; i < rounds; ++i) {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_drained(ok, a, b);
            background r([&] { return read(b, 100); });
            if (i % 2 == 0) r.parked();
            write_with_end(a, "all of it");
            ok.equal(r.get(), got("all of it"));
            ok.equal(read(b, 100), end_of_stream);
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 the end after a short read", "[net][drained]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool seen : {false, true}) {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_drained(ok, a, b);
            ok(!close_write(a));
            if (seen) await_edge_at(b);
            ok.equal(read(b, 100), end_of_stream);
            ok.equal(read(b, 100), end_of_stream);
            // And the way back works on.
            make_drained(ok, b, a);
            ok(!close(b));
            if (seen) await_edge_at(a);
            ok.equal(read(a, 100), end_of_stream);
        }
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        make_drained(ok, a, b);
        blocked r([&] { return read(b, 100); });
        ok(!close(a));
        ok.equal(r.get(), end_of_stream);
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 a reset after a short read", "[net][drained]") {
    const auto was_reset = failed(std::errc::connection_reset);
    const std::string text = everywhere([&](findings& ok) {
        for (const bool seen : {false, true}) {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_drained(ok, a, b);
            reset(a);
            if (seen) await_edge_at(b);
            ok.equal(read(b, 100), was_reset);
        }
        {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_drained(ok, a, b);
            blocked r([&] { return read(b, 100); });
            reset(a);
            ok.equal(r.get(), was_reset);
        }
        // Data, then the reset, both before the next read.
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        make_drained(ok, a, b);
        ok.equal(write(a, "more"), wrote(4));
        reset(a);
        await_edge_at(b);
        ok.equal(read(b, 100), got("more"));
        ok.equal(read(b, 100), was_reset);
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 the end, and a reset after it", "[net][drained]") {
    const std::string text = everywhere([](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        make_drained(ok, a, b);
        ok.equal(write(b, "never read"), wrote(10));
        await_arrival(a, 10);
        ok(!close_write(a));
        ok.equal(read(b, 100), end_of_stream);
        // What it has not read makes its close a reset.
        ok(!close(a));
        wait_until([&] { return bool(write(b, "x").ec); }, "the reset");
        const result r = read(b, 100);
        ok(r.n == 0);
    });
    CHECK(text == "");
}

// A read stops where urgent data is, which makes it short although there is more.
TEST_CASE("NET-31 urgent data", "[net][drained]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool seen : {false, true}) {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_drained(ok, a, b);
            ok.equal(write(a, "abc"), wrote(3));
            ok(write_urgent(a, 'X'));
            ok.equal(write(a, "def"), wrote(3));
            if (seen) {
                await_arrival(b, 3);
                await_edge_at(b);
            }
            ok.equal(read_n(b, 6), got("abcdef"));
            blocked r([&] { return read(b, 100); });
            ok.equal(write(a, "ghi"), wrote(3));
            ok.equal(r.get(), got("ghi"));
        }
        {
            // Urgent data alone is nothing to read.
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_drained(ok, a, b);
            blocked r([&] { return read(b, 100); });
            ok(write_urgent(a, 'X'));
            ok(r.waits());
            ok.equal(write(a, "after"), wrote(5));
            ok.equal(r.get(), got("after"));
            ok(write_urgent(a, 'Y'));
            ok(!close(a));
            ok.equal(read(b, 100), end_of_stream);
        }
        // Urgent data that is read in its place.
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        set_int(b, SOL_SOCKET, SO_OOBINLINE, 1);
        make_drained(ok, a, b);
        ok.equal(write(a, "abc"), wrote(3));
        ok(write_urgent(a, 'X'));
        ok.equal(write(a, "def"), wrote(3));
        ok.equal(read_n(b, 7), got("abcXdef"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-31 data that comes between two reads", "[net][drained]") {
    const int rounds = scaled(500, 50);
    const std::string text = everywhere([&](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        make_drained(ok, a, b);
        for (int i = 0; i < rounds; ++i) {
            ok.equal(write(a, "ab"), wrote(2));
            if (i % 3 == 0) await_edge_at(b);
            if (i % 3 == 1) await_arrival(b, 2);
            if (i % 2 == 0) {
                ok.equal(read(b, 100), got("ab"));
            } else {
                // By pieces: the edge has been used up by the first of them.
                ok.equal(read(b, 1), got("a"));
                ok.equal(read(b, 1), got("b"));
            }
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-41 deadlines after a short read", "[net][drained]") {
    const std::string text = everywhere([](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        make_drained(ok, a, b);
        for (int i = 0; i < 3; ++i) {
            ok(!read_deadline(b, past));
            ok.equal(read(b, 100), timed_out);
            ok(!read_deadline(b, never));
            make_drained(ok, a, b);
        }
        // The edge is there, and is used up by the read that times out.
        ok.equal(write(a, "data"), wrote(4));
        await_edge_at(b);
        ok(!read_deadline(b, past));
        ok.equal(read(b, 100), timed_out);
        ok.equal(read(b, 100), timed_out);
        ok(!read_deadline(b, never));
        ok.equal(read(b, 100), got("data"));
        // While it waits.
        {
            blocked r([&] { return read(b, 100); });
            ok(!read_deadline(b, in(1ms)));
            ok.equal(r.get(), timed_out);
        }
        ok(!read_deadline(b, never));
        ok.equal(write(a, "data"), wrote(4));
        ok.equal(read(b, 100), got("data"));
        // The deadline comes, then the end.
        ok(!read_deadline(b, in(1ms)));
        ok.equal(read(b, 100), timed_out);
        ok(!close(a));
        await_edge_at(b);
        ok.equal(read(b, 100), timed_out);
        ok(!read_deadline(b, in(1h)));
        ok.equal(read(b, 100), end_of_stream);
    });
    CHECK(text == "");
}

TEST_CASE("NET-35 close_read and close after a short read", "[net][drained]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool waits : {false, true}) {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            make_drained(ok, a, b);
            background r([&] { return read(b, 100); });
            if (waits) r.parked();
            ok(!close_read(b));
            ok.equal(r.get(), end_of_stream);
            ok.equal(read(b, 100), end_of_stream);
        }
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        make_drained(ok, a, b);
        blocked r([&] { return read(b, 100); });
        ok(!close(b));
        ok.equal(r.get(), closed);
        ok.equal(read(b, 100), closed);
    });
    CHECK(text == "");
}

TEST_CASE("NET-37 a copy between reads", "[net][drained]") {
    const std::string text = everywhere([](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        two_conns cd = tcp_pair();
        net::conn& c = cd.a;
        net::conn& d = cd.b;
        for (int i = 0; i < 5; ++i) {
            make_drained(ok, a, b);
            ok.equal(write(a, "copied, read"), wrote(12));
            await_arrival(b, 12);
            std::error_code ec = rubbish();
            ok.equal(net::copy(c, b, 6, ec), std::uint64_t{6});
            ok(!ec);
            ok.equal(read(b, 100), got(", read"));
            ok.equal(read_n(d, 6), got("copied"));
        }
        make_drained(ok, a, b);
        ok.equal(write(a, "x"), wrote(1));
        ok(!close(a));
        std::error_code ec = rubbish();
        ok.equal(net::copy(c, b, net::copy_all, ec), std::uint64_t{1});
        ok(!ec);
        ok.equal(read(b, 100), end_of_stream);
    });
    CHECK(text == "");
}

}  // namespace vole::test
