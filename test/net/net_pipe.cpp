// net::pipe(): bytes, closing, deadlines. Cites NET-30, NET-40 to NET-46 and NET-80.
// Bubbles are in net_pipe_bubble.cpp, many at once in net_pipe_stress.cpp.
#include "test/net/net_support.hpp"

#include "test/support/heap.hpp"

#include <array>
#include <limits>
#include <optional>
#include <thread>

namespace vole::test {

// ---- bytes ------------------------------------------------------------------------------------

TEST_CASE("NET-80 a write is over when all of it has been read", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        for (const bool back : {false, true}) {
            stream& from = back ? b : a;
            stream& to = back ? a : b;
            blocked w([&] { return write(from, "0123456789"); });
            ok.equal(read(to, 4), got("0123"));
            ok(w.waits());
            ok.equal(read(to, 4), got("4567"));
            ok(w.waits());
            ok.equal(read(to, 4), got("89"));
            ok.equal(w.get(), wrote(10));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 a read that waits gets what a write has, and the write goes on", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked all([&] { return read(b, 100); });
        ok.equal(write(a, "short"), wrote(5));
        ok.equal(all.get(), got("short"));

        blocked first([&] { return read(b, 2); });
        blocked second([&] { return read(b, 2); });
        blocked third([&] { return read(b, 9); });
        ok.equal(write(a, "12345"), wrote(5));
        ok.equal(first.get(), got("12"));
        ok.equal(second.get(), got("34"));
        ok.equal(third.get(), got("5"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 writes wait for one another, in their order; a read takes from one only",
          "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked first([&] { return write(a, "abc"); });
        blocked second([&] { return write(a, "de"); });
        ok.equal(read(b, 2), got("ab"));
        ok(second.waits());
        ok.equal(read(b, 100), got("c"));
        ok.equal(first.get(), wrote(3));
        ok(second.waits());
        ok.equal(read(b, 100), got("de"));
        ok.equal(second.get(), wrote(2));
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 several pieces are one write", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        const std::array pieces{bytes_of(""),  bytes_of("abc"),  bytes_of(""), bytes_of(""),
                                bytes_of("d"), bytes_of("efgh"), bytes_of("")};
        blocked w([&] {
            result r{.ec = rubbish()};
            r.n = a.write_v(pieces, r.ec);
            return r;
        });
        blocked other([&] { return write(a, "other"); });
        ok.equal(read(b, 2), got("ab"));
        ok.equal(read(b, 4), got("cdef"));
        ok.equal(read(b, 100), got("gh"));
        ok.equal(w.get(), wrote(8));
        ok.equal(read(b, 100), got("other"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 both directions at once", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked to_b([&] { return write(a, "to b"); });
        blocked to_a([&] { return write(b, "to a"); });
        ok.equal(read(a, 100), got("to a"));
        ok.equal(to_a.get(), wrote(4));
        ok(!to_b.over());
        ok.equal(read(b, 100), got("to b"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 a write of no bytes waits for a reader, who goes on waiting", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        {
            blocked r([&] { return read(b, 10); });
            ok.equal(write(a, ""), wrote(0));
            ok(r.waits());
            ok.equal(write(a, "x"), wrote(1));
            ok.equal(r.get(), got("x"));
        }
        blocked nothing([&] { return write(a, ""); });
        blocked nothing_either([&] {
            result r{.ec = rubbish()};
            r.n = a.write_v({}, r.ec);
            return r;
        });
        ok.equal(read(b, 0), got(""));
        ok(nothing.waits());
        blocked r([&] { return read(b, 10); });
        ok.equal(nothing.get(), wrote(0));
        ok.equal(nothing_either.get(), wrote(0));
        ok(r.waits());
        ok.equal(write(a, "x"), wrote(1));
        ok.equal(r.get(), got("x"));

        blocked before([&] { return write(a, ""); });
        blocked bytes([&] { return write(a, "y"); });
        ok.equal(read(b, 10), got("y"));
        ok.equal(before.get(), wrote(0));
    });
    CHECK(text == "");
}

TEST_CASE("NET-30 a read of no bytes does not wait, and sees that this end is closed",
          "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        ok.equal(read(b, 0), got(""));
        {
            blocked w([&] { return write(a, "x"); });
            ok.equal(read(b, 0), got(""));
            ok(w.waits());
            ok.equal(read(b, 1), got("x"));
        }
        ok(!read_deadline(b, past));
        ok.equal(read(b, 0), got(""));
        ok(!close(b));
        ok.equal(read(b, 0), failed(errc::pipe_closed));
        ok.equal(read(a, 0), end_of_stream);
    });
    CHECK(text == "");
}

// ---- closing ----------------------------------------------------------------------------------

TEST_CASE("NET-80 close ends what waits and what comes, on both sides", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked own_read([&] { return read(a, 10); });
        blocked own_write([&] { return write(a, "12345"); });
        blocked own_second([&] { return write(a, "6"); });
        ok.equal(read(b, 2), got("12"));
        ok(!close(a));
        ok.equal(own_read.get(), failed(errc::pipe_closed));
        ok.equal(own_write.get(), failed(errc::pipe_closed, 2));
        ok.equal(own_second.get(), failed(errc::pipe_closed));
        for (int i = 0; i < 2; ++i) {
            ok.equal(read(a, 10), failed(errc::pipe_closed));
            ok.equal(write(a, "x"), failed(errc::pipe_closed));
            ok.equal(write(a, ""), failed(errc::pipe_closed));
            ok.equal(read(b, 10), end_of_stream);
            ok.equal(write(b, "x"), failed(errc::pipe_closed));
            ok.equal(write(b, ""), failed(errc::pipe_closed));
        }
        ok(close(a) == errc::closed);
        ok(!close(b));
        ok(close(b) == errc::closed);
        ok.equal(read(b, 10), failed(errc::pipe_closed));
    });
    CHECK(text == "");

    const std::string other = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked their_read([&] { return read(b, 10); });
        blocked their_second([&] { return read(b, 10); });
        blocked their_write([&] { return write(b, "12345"); });
        ok.equal(read(a, 3), got("123"));
        ok(!close(a));
        ok.equal(their_read.get(), end_of_stream);
        ok.equal(their_second.get(), end_of_stream);
        ok.equal(their_write.get(), failed(errc::pipe_closed, 3));
    });
    CHECK(other == "");
}

TEST_CASE("NET-80 an end that is destroyed is closed", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        std::optional<stream> a(std::move(ends.a));
        stream b(std::move(ends.b));
        blocked r([&] { return read(b, 10); });
        blocked w([&] { return write(b, "x"); });
        ok(!deadline(*a, in(1h)));
        a.reset();
        ok.equal(r.get(), end_of_stream);
        ok.equal(w.get(), failed(errc::pipe_closed));
        ok.equal(read(b, 10), end_of_stream);
        ok.equal(write(b, "x"), failed(errc::pipe_closed));
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 close_write: the other end reads to the end; the other direction goes on",
          "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked r([&] { return read(b, 10); });
        ok(!close_write(a));
        ok.equal(r.get(), end_of_stream);
        ok.equal(read(b, 10), end_of_stream);
        ok.equal(write(a, "x"), failed(errc::pipe_closed));
        ok(!close_write(a));

        blocked back([&] { return write(b, "back"); });
        ok.equal(read(a, 10), got("back"));
        ok.equal(back.get(), wrote(4));
        ok(!close(a));
        ok(close_write(a) == errc::pipe_closed);
        ok(close_read(a) == errc::pipe_closed);
        ok(!close_write(b));
    });
    CHECK(text == "");

    const std::string waiting = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked w([&] { return write(a, "123"); });
        ok.equal(read(b, 1), got("1"));
        ok(!close_write(a));
        ok.equal(w.get(), failed(errc::pipe_closed, 1));
    });
    CHECK(waiting == "");
}

TEST_CASE("NET-80 close_read: own reads end, the other end cannot write", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked r([&] { return read(a, 10); });
        ok(!close_read(a));
        ok.equal(r.get(), end_of_stream);
        ok.equal(read(a, 10), end_of_stream);
        ok.equal(write(b, "x"), failed(errc::pipe_closed));

        blocked forth([&] { return write(a, "forth"); });
        ok.equal(read(b, 10), got("forth"));
        ok(!close(a));
        ok.equal(read(a, 10), failed(errc::pipe_closed));
    });
    CHECK(text == "");

    const std::string waiting = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked w([&] { return write(b, "123"); });
        ok.equal(read(a, 2), got("12"));
        ok(!close_read(a));
        ok.equal(w.get(), failed(errc::pipe_closed, 2));
    });
    CHECK(waiting == "");
}

// ---- deadlines --------------------------------------------------------------------------------

TEST_CASE("NET-41 a deadline in the past: at once, whatever waits or is there; nothing is lost",
          "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        for (const bool now : {false, true}) {
            const auto at = [&] { return now ? clock::now() : past; };
            {
                blocked r([&] { return read(b, 10); });
                ok(!read_deadline(b, at()));
                ok.equal(r.get(), failed(errc::timeout));
            }
            blocked w([&] { return write(a, "kept"); });
            for (int i = 0; i < 3; ++i) ok.equal(read(b, 10), failed(errc::timeout));  // NET-42
            ok(w.waits());
            ok(!read_deadline(b, in(1h)));
            ok.equal(read(b, 2), got("ke"));
            ok(!write_deadline(a, at()));
            ok.equal(w.get(), failed(errc::timeout, 2));
            {
                blocked r([&] { return read(b, 10); });
                ok.equal(write(a, "x"), failed(errc::timeout));
                ok.equal(write(a, ""), failed(errc::timeout));
                ok(!write_deadline(a, never));
                ok.equal(write(a, "again"), wrote(5));
                ok.equal(r.get(), got("again"));
            }
            ok(!read_deadline(b, never));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-40 a deadline that comes ends what waits, not earlier", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        for (const auto d : {1ns, 2ns, 5ns, 50ns, 1'000ns, 50'000ns, 1'000'000ns, 5'000'000ns}) {
            auto ends = pipe();
            stream& b = ends.b;
            const time_point end = in(d);
            ok(!deadline(b, end));
            background r([&] { return read(b, 1); });
            background w([&] { return write(b, "x"); });
            background other([&] { return write(b, "x"); });
            ok.equal(r.get(), failed(errc::timeout));
            ok(clock::now() >= end);
            ok.equal(w.get(), failed(errc::timeout));
            ok.equal(other.get(), failed(errc::timeout));
            ok.equal(read(b, 1), failed(errc::timeout));
            ok.equal(write(b, "x"), failed(errc::timeout));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-40 a deadline may be changed under those who wait", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        blocked r([&] { return read(b, 1); });
        ok(!read_deadline(b, in(1h)));
        ok(r.waits());
        const time_point sooner = in(2ms);
        ok(!read_deadline(b, sooner));
        ok.equal(r.get(), failed(errc::timeout));
        ok(clock::now() >= sooner);

        // One that is set to later does not end at the first.
        ok(!read_deadline(b, in(1h)));
        blocked other([&] { return read(b, 1); });
        ok(!read_deadline(b, in(500us)));
        ok(!read_deadline(b, in(1h)));
        const time_point end = in(2ms);
        wait_until([&] { return clock::now() >= end; });
        if (!other.over()) {  // else the machine was slow
            ok.equal(write(a, "x"), wrote(1));
            ok.equal(other.get(), got("x"));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-43 reads and writes, and the two ends, have deadlines of their own", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        ok(!read_deadline(a, past));
        ok(!write_deadline(b, past));
        {
            blocked w([&] { return write(a, "x"); });
            ok.equal(read(b, 1), got("x"));
            ok.equal(w.get(), wrote(1));
        }
        ok.equal(read(a, 1), failed(errc::timeout));
        ok.equal(write(b, "x"), failed(errc::timeout));
        ok(!deadline(b, past));
        ok.equal(read(b, 1), failed(errc::timeout));
        blocked w([&] { return write(a, "y"); });
        ok(!deadline(b, never));
        ok.equal(read(b, 1), got("y"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-46 the longest deadline, and none after one", "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        ok(!deadline(b, time_point::max()));
        blocked r([&] { return read(b, 1); });
        ok(!deadline(b, in(1h)));
        ok(!deadline(b, never));
        ok(r.waits());
        ok(!deadline(b, time_point::max()));
        ok(r.waits());
        ok.equal(write(a, "x"), wrote(1));
        ok.equal(r.get(), got("x"));
        ok(!deadline(b, time_point::min()));
        ok.equal(read(b, 1), failed(errc::timeout));
    });
    CHECK(text == "");
}

TEST_CASE("NET-44 no deadline can be set on what is closed; closing is what counts",
          "[net][pipe]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        ok(!deadline(a, in(1h)));
        ok(!deadline(b, past));
        ok(!close(a));
        for (const time_point t : {never, past, in(1h)}) {
            ok(deadline(a, t) == errc::pipe_closed);
            ok(read_deadline(a, t) == errc::pipe_closed);
            ok(write_deadline(a, t) == errc::pipe_closed);
        }
        ok.equal(read(a, 1), failed(errc::pipe_closed));
        ok.equal(read(b, 1), end_of_stream);
        ok.equal(write(b, "x"), failed(errc::pipe_closed));
        ok(!deadline(b, in(1h)));
    });
    CHECK(text == "");
}

// ---- threads, memory --------------------------------------------------------------------------

TEST_CASE("NET-84 two ordinary threads", "[net][pipe]") {
    findings ok;
    auto ends = pipe();
    stream& a = ends.a;
    stream& b = ends.b;
    std::atomic<int> tid{0};
    result r;
    std::thread reader([&, &to = b] {
        tid = thread_id();
        r = read(to, 10);
    });
    wait_until([&] { return tid != 0; });
    wait_asleep(tid);
    ok.equal(write(a, "hello"), wrote(5));
    reader.join();
    ok.equal(r, got("hello"));

    tid = 0;
    std::thread writer([&, &from = a] {
        tid = thread_id();
        r = write(from, "hello");
    });
    wait_until([&] { return tid != 0; });
    wait_asleep(tid);
    ok.equal(read(b, 2), got("he"));
    wait_asleep(tid);
    ok(!write_deadline(a, in(1ms)));
    writer.join();
    ok.equal(r, failed(errc::timeout, 2));
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 nothing is left of a pipe", "[net][pipe]") {
    const auto left = run_on(1, [] {
        return bytes_left_by([] {
            auto ends = pipe();
            stream& a = ends.a;
            stream& b = ends.b;
            (void)deadline(a, in(1h));
            (void)deadline(b, in(1h));
            (void)deadline(b, in(1us));
            background w([&, &from = a] { return write(from, "12345"); });
            (void)read(b, 3);
            (void)close(a);
        });
    });
    CHECK(left < 64);
}

}  // namespace vole::test
