// net::pipe() in bubbles: deadlines in virtual time, who is durably blocked, isolation. Cites NET-80, SYN-10, SYN-16,
// SYN-40, SYN-45 and SYN-50.
#include "test/net/net_support.hpp"

#include <optional>

namespace vole::test {

namespace {

constexpr const char* durably = "IO wait (durable)";

/// The state of the goroutine that waits in f, seen by wait().
template <class F>
std::string state_in(F f) {
    std::uint64_t id = 0;
    go([&id, f] {
        id = goroutine_id();
        f();
    });
    synctest::wait();
    return state_of(id);
}

}  // namespace

TEST_CASE("NET-80 deadlines in a bubble come in its time, and take none", "[net][pipe][bubble]") {
    findings ok;
    bubble([&] {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        const stopwatch t;
        ok(!read_deadline(b, in(10h)));
        ok(!write_deadline(a, in(5h)));
        ok.equal(write(a, "x"), failed(errc::timeout));
        ok.equal(t.ns(), ns(5h));
        ok.equal(read(b, 1), failed(errc::timeout));
        ok.equal(t.ns(), ns(10h));
        ok.equal(read(b, 1), failed(errc::timeout));
        ok.equal(t.ns(), ns(10h));

        // Changed under who waits: cut, extended, withdrawn.
        go([&] {
            sleep(1h);
            ok(!read_deadline(b, in(2h)));
            sleep(1h);
            ok(!read_deadline(b, in(3h)));
        });
        ok(!read_deadline(b, in(4h)));
        ok.equal(read(b, 1), failed(errc::timeout));
        ok.equal(t.ns(), ns(10h + 2h + 3h));

        go([&] {
            sleep(1h);
            ok(!read_deadline(b, never));
            sleep(100h);
            ok(!read_deadline(b, clock::now()));
        });
        ok(!read_deadline(b, in(2h)));
        ok.equal(read(b, 1), failed(errc::timeout));
        ok.equal(t.ns(), ns(15h + 101h));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 data comes before the deadline, and the deadline is for the next",
          "[net][pipe][bubble]") {
    findings ok;
    bubble([&] {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        const stopwatch t;
        go([&, &from = a] {
            for (int i = 0; i < 3; ++i) {
                sleep(1s);
                ok.equal(write(from, "123"), wrote(3));
            }
            sleep(1s);
            ok.equal(write(from, "late"), failed(errc::pipe_closed));
        });
        ok(!read_deadline(b, in(3500ms)));
        for (int i = 0; i < 3; ++i) ok.equal(read(b, 10), got("123"));
        ok.equal(t.ns(), ns(3s));
        ok.equal(read(b, 10), failed(errc::timeout));
        ok.equal(t.ns(), ns(3500ms));
        sleep(1s);
        ok(!close(b));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 a write that runs into its deadline says how far it came",
          "[net][pipe][bubble]") {
    findings ok;
    bubble([&] {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        go([&, &to = b] {
            for (int i = 0; i < 3; ++i) {
                sleep(1s);
                ok.equal(read(to, 2).n, std::size_t{2});
            }
        });
        ok(!write_deadline(a, in(3500ms)));
        ok.equal(write(a, "0123456789"), failed(errc::timeout, 6));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-16 who waits in a pipe of the bubble is durably blocked", "[net][pipe][bubble]") {
    findings ok;
    bubble([&] {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        ok.equal(state_in([&, &s = a] { ok.equal(read(s, 1), end_of_stream); }), durably);
        ok.equal(state_in([&, &s = b] { ok.equal(read(s, 1), failed(errc::pipe_closed)); }),
                 durably);
        ok(!close(b));
        synctest::wait();
    });
    bubble([&] {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        ok.equal(state_in([&, &s = a] { ok.equal(write(s, "1"), failed(errc::pipe_closed)); }),
                 durably);
        ok.equal(state_in([&, &s = a] { ok.equal(write(s, ""), failed(errc::pipe_closed)); }),
                 durably);
        ok(!close(b));
        synctest::wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-10 in a pipe from outside nobody is durably blocked", "[net][pipe][bubble]") {
    findings ok;
    auto ends = pipe();
    std::atomic<std::uint64_t> id{0};
    std::thread outside([&] {
        wait_until([&] { return id != 0; });
        parked_as(id, "IO wait");
        ok.equal(write(ends.a, "x"), wrote(1));
    });
    bubble([&] {
        const stopwatch t;
        go([] { sleep(1h); });
        id = goroutine_id();
        ok.equal(read(ends.b, 1), got("x"));
        ok.equal(t.ns(), 0);
        // Its timers are real: only the delay is the bubble's.
        const stopwatch later;
        ok(!read_deadline(ends.b, in(1ms)));
        ok.equal(read(ends.b, 1), failed(errc::timeout));
        ok.equal(later.ns(), 0);
        ok(!read_deadline(ends.b, clock::now()));
        ok.equal(read(ends.b, 1), failed(errc::timeout));
        sleep(2h);
    });
    outside.join();
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-50 a bubble that is stuck in a pipe", "[net][pipe][bubble]") {
    const auto r = deadlock_of([] {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        go([&s = b] { (void)read(s, 1); });
        go([&s = b] { (void)write(s, "x"); });
        (void)write(a, "xy");
    });
    INFO(r.err);
    CHECK(r.what == all_blocked);
    CHECK(count_of(r.err, "[IO wait (durable), synctest bubble ") == 2);
}

TEST_CASE("SYN-50 a deadline keeps a bubble alive, one that was withdrawn does not",
          "[net][pipe][bubble]") {
    findings ok;
    const auto r = deadlock_of([&] {
        auto ends = pipe();
        stream& a = ends.a;
        ok(!read_deadline(a, in(1h)));
        ok.equal(read(a, 1), failed(errc::timeout));
        ok(!read_deadline(a, in(1h)));
        ok(!read_deadline(a, never));
        (void)read(a, 1);
        ok(false);
    });
    CHECK(r.what == all_blocked);
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-40 a pipe of a bubble may not be used outside", "[net][pipe][bubble]") {
    check_fatal("child: net pipe, read", "read of synctest pipe from outside bubble");
    check_fatal("child: net pipe, write", "write to synctest pipe from outside bubble");
    check_fatal("child: net pipe, close", "close of synctest pipe from outside bubble");
    check_fatal("child: net pipe, close_write", "close of synctest pipe from outside bubble");
    check_fatal("child: net pipe, deadline", "deadline of synctest pipe from outside bubble");
    check_fatal("child: net pipe, other bubble", "read of synctest pipe from outside bubble");
}

namespace {
template <class F>
void use_outside(F f) {
    doomed([&] {
        bubble([&] {
            auto ends = pipe();
            on_thread([&] { f(ends.a); });
        });
    });
}
}  // namespace

TEST_CASE("child: net pipe, read", "[.child]") {
    use_outside([](stream& s) { (void)read(s, 1); });
}
TEST_CASE("child: net pipe, write", "[.child]") {
    use_outside([](stream& s) { (void)write(s, "x"); });
}
TEST_CASE("child: net pipe, close", "[.child]") {
    use_outside([](stream& s) { (void)close(s); });
}
TEST_CASE("child: net pipe, close_write", "[.child]") {
    use_outside([](stream& s) { (void)close_write(s); });
}
TEST_CASE("child: net pipe, deadline", "[.child]") {
    use_outside([](stream& s) { (void)deadline(s, in(1h)); });
}
TEST_CASE("child: net pipe, other bubble", "[.child]") {
    doomed([&] {
        two_ends ends;
        bubble([&] { ends = pipe(); });
        bubble([&] { (void)read(ends.a, 1); });
    });
}

TEST_CASE("SYN-45 the ends of a bubble's pipe may go outside of it", "[net][pipe][bubble]") {
    findings ok;
    {
        two_ends ends;
        bubble([&] {
            ends = pipe();
            ok(!deadline(ends.a, in(1h)));
            ok(!deadline(ends.b, in(2h)));
            sleep(90min);
            ok(!deadline(ends.a, in(1h)));
        });
    }
    // ... also those in which goroutines are stuck for ever.
    auto ends = std::make_shared<two_ends>();
    const auto r = deadlock_of([&] {
        *ends = pipe();
        ok(!write_deadline(ends->a, in(1h)));
        ok(!write_deadline(ends->a, never));
        auto* b = &ends->b;
        go([b] { (void)read(*b, 1); });
        (void)read(ends->a, 1);
    });
    CHECK(r.what == all_blocked);
    ends->a = stream();
    ends.reset();
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 what a goroutine did before its write is seen after the read, in a bubble",
          "[net][pipe][bubble]") {
    findings ok;
    bubble([&] {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        int plain = 0;
        go([&, &from = a] {
            plain = 1;
            (void)write(from, "x");
            plain = 2;
            (void)close(from);
        });
        ok.equal(read(b, 1), got("x"));
        ok.equal(read(b, 1), end_of_stream);
        ok.equal(plain, 2);
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
