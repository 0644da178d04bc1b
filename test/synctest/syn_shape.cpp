// What a bubble is: who belongs to it, when test() returns, what test() and wait() refuse. Cites SYN-1 to SYN-9.
#include "test/synctest/synctest_support.hpp"

namespace vole::test {

namespace {

constexpr const char* nested = "synctest.Run called from within a synctest bubble";

struct unusual {
    int n;
};

int calls = 0;

}  // namespace

TEST_CASE("SYN-1 the function runs once, in a goroutine of its own", "[synctest]") {
    std::uint64_t inside = 0;
    std::uint64_t caller = 0;
    int times = 0;
    bubble([&] {
        inside = goroutine_id();
        ++times;
    });
    CHECK(inside != 0);
    CHECK(times == 1);
    run([&] {
        caller = goroutine_id();
        bubble([&] { inside = goroutine_id(); });
    });
    CHECK(inside != 0);
    CHECK(inside != caller);
}

TEST_CASE("SYN-1 any callable, called where it is", "[synctest]") {
    struct counter {
        int n = 0;
        void operator()() { ++n; }
    } c;
    bubble(c);
    CHECK(c.n == 1);
    const std::unique_ptr<int> p = std::make_unique<int>(0);
    bubble([q = p.get(), own = std::make_unique<int>(7)] { *q = *own; });
    CHECK(*p == 7);
    const auto constant = [&] { *p = 8; };
    bubble(constant);
    CHECK(*p == 8);
    calls = 0;
    synctest::test(+[] { ++calls; });
    const std::function<void()> f = [] { ++calls; };
    synctest::test(f);
    CHECK(calls == 2);
}

TEST_CASE("SYN-1 test returns when all goroutines of the bubble have ended", "[synctest]") {
    for (const int procs : {1, 4}) {
        const procs_scope guard(procs);
        int plain = 0;  // ordered by test()'s return
        bubble([&] {
            go([&] {
                for (int i = 0; i < 100; ++i) gosched();
                go([&] {
                    for (int i = 0; i < 100; ++i) gosched();
                    ++plain;
                });
                ++plain;
            });
        });
        CHECK(plain == 2);
    }
}

TEST_CASE("SYN-1 a goroutine's captures are gone when test returns", "[synctest]") {
    for (int i = 0; i < scaled(200); ++i) {
        const auto token = std::make_shared<int>(1);
        bubble([&] {
            for (int k = 0; k < 5; ++k) go([token] {});
        });
        REQUIRE(token.use_count() == 1);
    }
}

TEST_CASE("SYN-2 whatever is started in a bubble belongs to it", "[synctest]") {
    findings ok;
    bubble([&] {
        ok(synctest::in_bubble(), "main");
        wait_group g;
        g.go([&] {
            ok(synctest::in_bubble(), "task of a group");
            go([&] {
                ok(synctest::in_bubble(), "grandchild");
                go({.name = "named"}, [&] { ok(synctest::in_bubble(), "great-grandchild"); });
            });
        });
        g.wait();
        std::atomic<int> fired{0};
        const auto callback = [&] {
            ok(synctest::in_bubble(), "function of a timer");
            go([&] {
                ok(synctest::in_bubble(), "started by it");
                ++fired;
            });
        };
        const timer later = after_func(1s, callback);
        const timer at_once = after_func(0s, callback);
        sleep(2s);
        synctest::wait();
        ok.equal(fired.load(), 2);
        auto c = make_chan<int>(1);
        select(on_send(c, 1, [&] { ok(synctest::in_bubble(), "callback of select"); }));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-3 a test in a bubble is refused, and the outer one goes on", "[synctest]") {
    findings ok;
    bubble([&] {
        bool inner = false;
        ok.throws<runtime_error>(nested, [&] { synctest::test([&] { inner = true; }); });
        wait_group g;
        g.go([&] {
            ok.throws<runtime_error>(nested, [&] { synctest::test([&] { inner = true; }); });
        });
        g.wait();
        ok(!inner);
        const stopwatch t;
        sleep(1s);
        ok.equal(t.ns(), ns(1s));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-3 bubbles at the same time have their own clocks", "[synctest]") {
    const procs_scope guard(4);
    findings ok;
    const auto body = [&](int i) {
        bubble([&, i] {
            const stopwatch t;
            wait_group g;
            for (int k = 1; k <= 5; ++k) {
                g.go([&, k] {
                    for (int n = 0; n < 10; ++n) sleep(i * k * 1min);
                    ok.equal(t.ns(), ns(10 * i * k * 1min));
                });
            }
            g.wait();
            ok.equal(t.ns(), ns(50 * i * 1min));
        });
    };
    std::vector<std::thread> threads;
    for (int i = 1; i <= 8; ++i) threads.emplace_back([&, i] { body(i); });
    run([&] {
        wait_group g;
        for (int i = 1; i <= 8; ++i) g.go([&, i] { body(i); });
        g.wait();
    });
    for (auto& t : threads) t.join();
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-4 wait outside of a bubble", "[synctest]") {
    CHECK(error_of([] { synctest::wait(); }) == not_in_bubble);
    CHECK(run([] { return error_of([] { synctest::wait(); }); }) == not_in_bubble);
    run([] { bubble([] { synctest::wait(); }); });
    CHECK(error_of([] { synctest::wait(); }) == not_in_bubble);
    findings ok;
    bubble([&] {
        on_thread([&] { ok.throws<runtime_error>(not_in_bubble, [] { synctest::wait(); }); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-4 the second goroutine in wait is refused, the first one is not disturbed",
          "[synctest]") {
    findings ok;
    bubble([&] {
        std::atomic<std::uint64_t> first{0};
        std::atomic<bool> returned{false};
        go([&] {
            first = goroutine_id();
            synctest::wait();
            returned = true;
        });
        wait_until([&] { return first != 0; });
        parked_as(first, "synctest.Wait (durable)");
        ok.throws<runtime_error>("wait already in progress", [] { synctest::wait(); });
        ok(stays([&] { return !returned; }), "wait returned while main ran");
        sleep(1s);  // main is durably blocked: first the wait ends, then time goes on
        ok(returned);
        synctest::wait();
        synctest::wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-4 any goroutine of the bubble may wait, one after the other", "[synctest]") {
    findings ok;
    bubble([&] {
        auto turn = make_chan<int>();
        int seen = 0;
        for (int i = 0; i < 20; ++i) {
            go([&, i] {
                synctest::wait();
                ok.equal(seen, i);
                ++seen;
                turn.send(i);
            });
            ok.equal(turn.recv().value_or(-1), i);
        }
        synctest::wait();
        ok.equal(seen, 20);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-5 in_bubble: goroutines of the bubble, and nobody else", "[synctest]") {
    findings ok;
    ok(!synctest::in_bubble(), "thread");
    auto ask = make_chan<int>();
    auto answer = make_chan<bool>();
    run([&] {
        ok(!synctest::in_bubble(), "goroutine");
        go([ask, answer] {
            while (ask.recv()) answer.send(synctest::in_bubble());
        });
        bubble([&] {
            ask.send(1);  // who works for the bubble is not of it
            ok(answer.recv() == false, "goroutine that was there before");
            on_thread([&] {
                ok(!synctest::in_bubble(), "thread that was started inside");
                wait_group g;
                g.go([&] { ok(!synctest::in_bubble(), "goroutine of such a thread"); });
                g.wait();
            });
            ok(synctest::in_bubble());
        });
        ok(!synctest::in_bubble(), "the caller, afterwards");
        ask.close();
    });
    ok(!synctest::in_bubble(), "thread, afterwards");
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-6 nothing to do", "[synctest]") {
    const auto nothing = [] {};
    for (int i = 0; i < scaled(500); ++i) synctest::test(nothing);
    run([&] {
        for (int i = 0; i < scaled(500); ++i) synctest::test(nothing);
    });
    findings ok;
    bubble([&] {
        const stopwatch t;
        synctest::wait();
        synctest::wait();
        ok.equal(t.ns(), 0);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("child: main throws, with a seed", "[.child]") {
    try {
        synctest::test({.seed = 9876543210123}, [] { throw std::logic_error("of main"); });
    } catch (const std::logic_error& e) {
        say(e.what());
    }
}
TEST_CASE("SYN-7 what leaves main leaves test, as it is; the seed is told", "[synctest]") {
    {
        const stderr_capture quiet;
        try {
            bubble([] { throw unusual{5}; });
            FAIL("not thrown");
        } catch (const unusual& e) {
            CHECK(e.n == 5);
        }
        CHECK_THROWS_WITH(run([] { bubble([] { panic("of main"); }); }), "of main");
    }
    const auto r = run_case_in_subprocess("child: main throws, with a seed");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK_THAT(r.out, Catch::Contains("of main\n"));
    CHECK_THAT(r.err, Catch::Contains("seed") && Catch::Contains("9876543210123"));
    CHECK_THAT(r.err, !Catch::Contains("panic: "));
}

TEST_CASE("SYN-7 an exception of main waits for the others", "[synctest]") {
    const stderr_capture quiet;
    int plain = 0;
    CHECK_THROWS_AS(bubble([&] {
                        go([&] {
                            for (int i = 0; i < 200; ++i) gosched();
                            plain = 1;
                        });
                        throw unusual{1};
                    }),
                    unusual);
    CHECK(plain == 1);
}

TEST_CASE("SYN-7 a deadlock behind an exception of main is told, and does not replace it",
          "[synctest]") {
    std::string err;
    {
        const stderr_capture capture;
        CHECK_THROWS_AS(bubble([] {
                            go([] { make_chan<int>().recv(); });
                            throw unusual{1};
                        }),
                        unusual);
        err = capture.text();
    }
    CHECK_THAT(err, Catch::Contains(main_exited));
    CHECK_THAT(err, Catch::Contains("[chan receive (durable), synctest bubble "));
}

TEST_CASE("SYN-7 an uncaught panic of another goroutine: the handler is called, the bubble goes on",
          "[synctest]") {
    std::atomic<int> told{0};
    findings ok;
    const panic_handler before = set_panic_handler([&](const panic_value& p) {
        ++told;
        ok.equal(std::string(p.what()), "std::logic_error: of a child");
        ok(synctest::in_bubble(), "the handler");
    });
    bubble([&] {
        const stopwatch t;
        wait_group g;
        g.go([] { throw std::logic_error("of a child"); });
        g.wait();
        ok.equal(told.load(), 1);
        const timer f = after_func(1s, [] { throw std::logic_error("of a child"); });
        sleep(2s);
        ok.equal(t.ns(), ns(2s));
    });
    set_panic_handler(before);
    CHECK(told == 2);
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-8 the caller's own time is real again after the bubble", "[synctest]") {
    findings ok;
    const auto uses_real_time = [&] {
        bubble([] { sleep(24h); });
        using real = std::chrono::steady_clock;
        const auto start = real::now();
        const stopwatch t;
        sleep(2ms);
        ok(real::now() - start >= 2ms, "sleep");
        after(2ms).recv();
        ok(real::now() - start >= 4ms, "timer");
        ticker k(2ms);
        k.c().recv();
        k.stop();
        ok(real::now() - start >= 6ms, "ticker");
        ok(t.ns() >= ns(6ms), "clock");
        auto c = make_chan<int>(1);
        c.send(1);
        ok.equal(c.recv().value_or(0), 1);
    };
    uses_real_time();
    run(uses_real_time);
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-9 goexit in main is its end", "[synctest]") {
    findings ok;
    bool unwound = false;
    bool after = false;
    bubble([&] {
        const defer d{[&] { unwound = true; }};
        go([&] {
            for (int i = 0; i < 100; ++i) gosched();
            after = true;
        });
        goexit();
    });
    CHECK(unwound);
    CHECK(after);
    const auto r = deadlock_of([] {
        go([] { sleep(1s); });  // for which there is no time any more
        goexit();
    });
    CHECK(r.what == main_exited);
    run([&] {
        bubble([] { goexit(); });
        ok(true);
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
