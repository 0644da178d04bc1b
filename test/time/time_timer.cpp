// timer and after, with a channel. Cites TIME-6 to TIME-18.
#include "test/time/time_support.hpp"

#include <array>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace vole::test {
namespace {

/// A timer whose value lies there unread.
timer fired() {
    timer t(1us);
    pass(3us);
    return t;
}

}  // namespace

TEST_CASE("TIME-6 one value, not before the time", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (const nanoseconds d : {1000ns, 300'000ns, 3'000'000ns}) {
            setting set;
            timer t(d);
            set.end();
            const auto v = t.c().recv();
            ok(clock::now() >= set.before() + d);
            ok(set.due(v, d));
            ok(t.c().try_recv().is_empty());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-6 no time and less: the value is there at once", "[time]") {
    const int rounds = scaled(20'000, 200);
    const std::string wrong = everywhere([rounds](findings& ok) {
        for (int i = 0; i < rounds; ++i) {
            setting set;
            const timer t(0ns);
            set.end();
            ok(set.due(taken(t.c()), 0ns));
            ok(t.c().try_recv().is_empty());
        }
        for (const nanoseconds d : {-1ns, nanoseconds(-1h), nanoseconds::min()}) {
            const timer t(d);
            const auto v = taken(t.c());
            ok(v.has_value() && *v <= clock::now());
            ok(after(d).recv().has_value());
            ok(taken(after(d)).has_value());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-7 the channel looks as if it had no buffer", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const timer t(500us);
        const auto looks_empty = [&] { return t.c().len() == 0 && t.c().cap() == 0; };
        ok(looks_empty());
        pass(1ms);
        ok(looks_empty());
        ok(taken(t.c()).has_value());
        ok(looks_empty());
        ok(t.c().try_recv().is_empty());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-8 the value says when it was due, not when it was read", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        setting set;
        const timer t(1ms);
        set.end();
        pass(20ms);
        ok(set.due(taken(t.c()), 1ms));
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-9 nobody looks while they expire; then all values are there", "[time]") {
    const int n = scaled(5000, 100);
    const std::string wrong = everywhere([n](findings& ok) {
        std::vector<std::pair<timer, setting>> all;
        for (int i = 0; i < n; ++i) {
            setting set;
            timer t((i % 5 + 1) * 1ms);
            set.end();
            all.emplace_back(std::move(t), set);
        }
        sleep_until(all.back().second.after() + 5ms);
        for (int i = 0; i < n; ++i) {
            const auto& [t, set] = all[static_cast<std::size_t>(i)];
            ok(set.due(taken(t.c()), (i % 5 + 1) * 1ms));
            ok(t.c().try_recv().is_empty());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-9 many that nobody reads do not disturb others", "[time]") {
    const int n = scaled(100'000, 1000);
    const std::string wrong = everywhere([n](findings& ok) {
        std::vector<timer> far;
        for (int i = 0; i < n; ++i) far.emplace_back(1h + i * 1ns);
        ok(after(1ms).recv().has_value());
        sleep(1ms);
        int stopped = 0;
        for (timer& t : far) stopped += t.stop();
        ok.equal(stopped, n);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-10 stop before the time: true, and no value", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer far(1h);
        ok(far.stop());
        ok(far.c().try_recv().is_empty());
        timer t(500us);
        ok(t.stop());
        pass(1ms);
        ok(t.c().try_recv().is_empty());
        ok(!t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-10 stop before the value is received: true, and none is", "[time]") {
    const int rounds = scaled(2000, 50);
    const std::string wrong = everywhere([rounds](findings& ok) {
        for (int i = 0; i < rounds; ++i) {
            timer t = fired();
            ok(t.stop());
            ok(t.c().try_recv().is_empty());
            ok(!t.stop());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-11 stop of one that was received or stopped: false; it is never closed", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer t(100us);
        ok(t.c().recv().has_value());
        for (int i = 0; i < 3; ++i) ok(!t.stop());
        timer u(1h);
        ok(u.stop());
        for (int i = 0; i < 3; ++i) ok(!u.stop());
        ok(!t.c().try_recv().is_closed());
        ok(!u.c().try_recv().is_closed());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-12 reset says what stop would have said; only the new setting counts", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto reset_to = [&](timer t, bool prevented, nanoseconds d) {
            setting set;
            ok.equal(t.reset(d), prevented);
            set.end();
            if (d == 1h) {
                ok(t.c().try_recv().is_empty());
                ok(t.stop());
            } else {
                const auto v = t.c().recv();
                ok(set.due(v, d));
                ok(clock::now() >= set.before() + d);
            }
            ok(t.c().try_recv().is_empty());
        };
        for (const nanoseconds d : {0ns, 1ns, 700'000ns, nanoseconds(1h)}) {
            reset_to(timer(1h), true, d);
            reset_to(fired(), true, d);
            timer received = fired();
            ok(received.c().recv().has_value());
            reset_to(received, false, d);
            timer stopped(1h);
            stopped.stop();
            reset_to(stopped, false, d);
            stopped = fired();
            stopped.stop();
            reset_to(stopped, false, d);
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-12 reset to no time and less: the value is there at once, again and again",
          "[time]") {
    const int rounds = scaled(5000, 100);
    const std::string wrong = everywhere([rounds](findings& ok) {
        timer t(1h);
        ok(t.reset(nanoseconds::min()));
        for (int i = 0; i < rounds; ++i) {
            ok(t.reset(-1ns));  // drops the one before
            ok(t.reset(0ns));
            ok(taken(t.c()).has_value());
            ok(!t.reset(0ns));
        }
        ok(t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-14 stop leaves who waits waiting; reset wakes him with the new time", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer t(1h);
        reader r(t.c());
        ok(t.stop());
        ok(r.waits());
        ok(!t.stop());
        ok(!t.reset(2h));
        ok(t.reset(3h));
        ok(r.waits());
        ok(t.stop());
        setting set;
        ok(!t.reset(1ms));
        set.end();
        ok(set.due(r.value(), 1ms));
        ok(!t.stop());
        ok(t.c().try_recv().is_empty());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-14 one that fires for nobody while stopped: a waiter comes later", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer t(1h);
        t.stop();
        reader r(t.c());
        ok(r.waits());
        t.reset(0ns);
        ok(r.value().has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-14 of several who wait, one gets the value", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer t(1h);
        std::vector<std::unique_ptr<reader>> all;
        for (int i = 0; i < 5; ++i) all.push_back(std::make_unique<reader>(t.c()));
        const auto ended = [&] {
            int n = 0;
            for (const auto& r : all) n += r->ended();
            return n;
        };
        for (int i = 1; i <= 5; ++i) {
            t.reset(i * 100us);
            wait_until([&] { return ended() == i; }, "a reader to get the value");
            ok(stays([&] { return ended() == i; }, 50));
        }
        ok(!t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-14 a thread waits, others change the timer", "[time]") {
    findings ok;
    timer t(1h);
    for (int i = 0; i < 5; ++i) {
        std::atomic<int> id{0};
        std::optional<time_point> v;
        std::thread waits([&] {
            id = thread_id();
            v = t.c().recv();
        });
        wait_until([&] { return id != 0; });
        wait_asleep(id);
        setting set;
        run_on(2, [&] {
            t.stop();
            settle();
            t.reset(1h);
            settle();
            set = {};
            t.reset(1ms);
            set.end();
        });
        waits.join();
        ok(set.due(v, 1ms));
    }
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-15 earlier and later while somebody waits", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer t(1h);
        reader r(t.c());
        for (int i = 0; i < 100; ++i) {
            ok(t.reset(1h + (i * 37 % 100) * 1min));
            gosched();
        }
        ok(!r.ended());
        ok(t.reset(1ns));
        ok(r.value().has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-15 set to the past again and again, then waited for", "[time]") {
    const int rounds = scaled(1000, 50);
    const std::string wrong = everywhere([rounds](findings& ok) {
        for (int i = 0; i < rounds; ++i) {
            timer t(1h);
            for (int n = 0; n < 10; ++n) {
                ok(t.stop());
                ok(!t.reset(-1h));
            }
            timer deadline(1h);
            ok.equal(select(on_recv(deadline.c()), on_recv(t.c())), 1U);
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-16 one that is not set up", "[time]") {
    timer t;
    CHECK_THROWS_WITH(t.stop(), "time: Stop called on uninitialized Timer");
    CHECK_THROWS_AS(t.stop(), runtime_error);
    CHECK_THROWS_WITH(t.reset(1ms), "time: Reset called on uninitialized Timer");
    CHECK_THROWS_AS(t.reset(0ns), runtime_error);
    CHECK(!t.c());
    t = timer(1h);
    CHECK(t.c());
    CHECK(t.stop());
}

TEST_CASE("TIME-16 copies are the same timer", "[time]") {
    timer a(1h);
    timer b = a;
    CHECK(a.c() == b.c());
    CHECK(b.stop());
    CHECK_FALSE(a.stop());
    CHECK_FALSE(a.reset(2h));
    CHECK(b.stop());
    timer c = std::move(b);
    CHECK(c.c() == a.c());
    CHECK_THROWS_AS(b.stop(), runtime_error);  // NOLINT(bugprone-use-after-move)
    c = timer(1h);
    CHECK(!(c.c() == a.c()));
    CHECK(c.stop());
    CHECK_FALSE(a.stop());
}

TEST_CASE("TIME-17 a copy of the channel keeps the timer going", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        ok(after(1ms).recv().has_value());
        const auto c = timer(1ms).c();
        ok(c.recv().has_value());
        const auto unread = timer(1ms).c();
        pass(2ms);
        ok(taken(unread).has_value());
        ok(unread.try_recv().is_empty());
        // Who waits has the only copy.
        std::optional<timer> t(std::in_place, 1h);
        reader r(t->c());
        t->reset(2ms);
        t.reset();
        ok(r.value().has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-17 the timer goes on without anybody's channel", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer t(1ms);
        { const auto c = t.c(); }
        ok(t.c().recv().has_value());
        ok(!t.reset(1h));
        ok(t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-18 after", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        setting set;
        const auto c = after(2ms);
        set.end();
        ok(c.len() == 0 && c.cap() == 0);
        const auto v = c.recv();
        ok(set.due(v, 2ms));
        ok(clock::now() >= set.before() + 2ms);
        ok(c.try_recv().is_empty());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-42 threads and goroutines change and read each other's timers", "[time]") {
    findings ok;
    timer of_thread(1h);
    timer of_goroutine;
    std::optional<time_point> v;
    setting set;
    run_on(2, [&] {
        of_goroutine = timer(1h);
        ok(of_thread.reset(1ms));
        ok(of_thread.c().recv().has_value());
        ok(!of_thread.reset(1ms));
        set = {};
        ok(of_goroutine.reset(2ms));
        set.end();
    });
    v = of_goroutine.c().recv();
    CHECK(set.due(v, 2ms));
    CHECK(of_thread.c().recv());
    CHECK_FALSE(of_goroutine.stop());
    std::array<std::jthread, 4> all;
    std::atomic<int> got{0};
    timer each(1ms);
    for (auto& t : all) {
        t = std::jthread([&] {
            got += each.c().recv().has_value();
            each.reset(500us);
        });
    }
    for (auto& t : all) t.join();
    CHECK(got == 4);
    CHECK(ok.text() == "");
}

}  // namespace vole::test
