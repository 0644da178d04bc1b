// after_func. Cites TIME-19 to TIME-24.
#include "test/time/time_support.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace vole::test {

TEST_CASE("TIME-19 the function runs once, not before the time, in a goroutine of its own",
          "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (const nanoseconds d : {nanoseconds::min(), -1ns, 0ns, 1ns, nanoseconds(2ms)}) {
            const std::uint64_t caller = goroutine_id();
            const auto done = make_chan<std::uint64_t>(2);
            const setting set;
            const timer t = after_func(d, [&ok, done, set, d] {
                ok(d < 0ns || clock::now() >= set.before() + d);
                done.send(goroutine_id());
            });
            ok(!t.c());
            const auto id = done.recv();
            ok(id && *id != 0 && *id != caller);
            ok(stays([&] { return done.len() == 0; }, 20));
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-19 the function never runs inside the call that starts it", "[time]") {
    // On one P nobody else runs meanwhile, unless a time slice ends just then.
    const auto ran_inside = [](auto start) {
        return settled(
            [&] {
                bool inside = true;
                run_on(1, [&] {
                    std::atomic<bool> ran{false};
                    const timer t = start([&ran] { ran = true; });
                    inside = ran;
                    wait_until([&] { return ran.load(); });
                });
                return inside;
            },
            false);
    };
    CHECK_FALSE(ran_inside([](auto f) { return after_func(0ns, f); }));
    CHECK_FALSE(ran_inside([](auto f) { return after_func(nanoseconds::min(), f); }));
    CHECK_FALSE(ran_inside([](auto f) {
        timer t = after_func(1h, f);
        t.reset(0ns);
        return t;
    }));
}

TEST_CASE("TIME-19 what was done before the start is seen by the function", "[time]") {
    findings ok;
    run_on(4, [&] {
        for (int i = 0; i < scaled(500, 50); ++i) {
            int plain = i;
            wait_group done;
            done.add(1);
            timer t = after_func(1h, [&] {
                ok.equal(plain, -i);
                plain = 1;
                done.done();
            });
            plain = -i;
            t.reset(i % 3 * 10us);
            done.wait();
            ok.equal(plain, 1);
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-19 functions of all kinds", "[time]") {
    findings ok;
    run_on(2, [&] {
        const auto done = make_chan<int>(10);
        after_func(0ns, [p = std::make_unique<int>(7), done] { done.send(*p); });
        ok.equal(done.recv().value(), 7);
        const std::function<void()> f = [done] { done.send(8); };
        after_func(0ns, f);
        ok.equal(done.recv().value(), 8);
        // One object for all calls, not a copy for each.
        timer t = after_func(0ns, [n = 0, done]() mutable { done.send(++n); });
        ok.equal(done.recv().value(), 1);
        t.reset(0ns);
        ok.equal(done.recv().value(), 2);
        t.reset(1us);
        ok.equal(done.recv().value(), 3);
        // What it returns is dropped.
        after_func(0ns, [done] {
            done.send(9);
            return std::make_unique<int>(1);
        });
        ok.equal(done.recv().value(), 9);
        ok.throws<runtime_error>("go of nil func value",
                                 [] { after_func(0ns, std::function<void()>()); });
        void (*none)() = nullptr;
        ok.throws<runtime_error>("go of nil func value", [&] { after_func(1h, none); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-20 stop before the time: true, and the function is not called", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        std::atomic<int> called{0};
        timer far = after_func(1h, [&] { ++called; });
        ok(far.stop());
        ok(!far.stop());
        timer soon = after_func(2ms, [&] { ++called; });
        const bool prevented = soon.stop();
        pass(4ms);
        wait_until([&] { return called == (prevented ? 0 : 1); });
        ok(stays([&] { return called == (prevented ? 0 : 1); }));
        ok(!soon.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-20 stop of one that runs or has run: false, and does not wait", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto gate = make_chan<void>();
        std::atomic<int> state{0};
        timer t = after_func(0ns, [&] {
            state = 1;
            gate.recv();
            state = 2;
        });
        wait_until([&] { return state == 1; });
        ok(!t.stop());
        ok.equal(state.load(), 1);
        gate.close();
        wait_until([&] { return state == 2; });
        ok(!t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-21 reset: true if it was to be called, and then it is called once", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        std::atomic<int> called{0};
        timer t = after_func(1h, [&] { ++called; });
        for (int i = 0; i < 10; ++i) ok(t.reset(1h + (i * 7 % 10) * 1min));
        const setting set;
        ok(t.reset(1ms));
        wait_until([&] { return called == 1; });
        ok(clock::now() >= set.before() + 1ms);
        for (int i = 2; i < 5; ++i) {
            ok(!t.reset(i % 2 * 500us));
            wait_until([&] { return called == i; });
        }
        ok(stays([&] { return called == 4; }, 50));
        ok(!t.reset(1h));
        ok(t.stop());
        ok(!t.reset(0ns));
        wait_until([&] { return called == 5; });
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-21 reset while the function runs: it runs twice at once", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto gate = make_chan<void>();
        std::atomic<int> inside{0};
        wait_group done;
        done.add(3);
        timer t = after_func(0ns, [&] {
            ++inside;
            gate.recv();
            done.done();
        });
        for (int i = 1; i <= 3; ++i) {
            wait_until([&] { return inside == i; }, "the function to be called");
            if (i < 3) ok(!t.reset(i * 100us));
        }
        gate.close();
        done.wait();
        ok(!t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-22 the function sets its own timer again", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        struct shared {
            std::atomic<int> called{0};
            timer t;
        } s;
        wait_group done;
        done.add(1);
        s.t = after_func(1h, [&] {
            if (++s.called == 50) {
                ok(!s.t.stop());
                done.done();
            } else {
                ok(!s.t.reset(s.called % 3 * 20us));
            }
        });
        ok(s.t.reset(0ns));
        done.wait();
        ok.equal(s.called.load(), 50);
        ok(!s.t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-22 a function that waits holds up no timer", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto gate = make_chan<void>();
        std::atomic<int> inside{0};
        wait_group done;
        done.add(20);
        std::vector<timer> all;
        for (int i = 0; i < 20; ++i) {
            all.push_back(after_func(i * 50us, [&] {
                ++inside;
                if (inside % 2 == 0) sleep(100us);
                gate.recv();
                done.done();
            }));
        }
        ok(after(1ms).recv().has_value());
        sleep(1ms);
        wait_until([&] { return inside == 20; });
        gate.close();
        done.wait();
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-22 a chain of functions, each of which starts the next", "[time]") {
    // Goroutines whose only starter is a timer.
    for (const int procs : {1, 2}) {
        const int links = scaled(200, 20);
        int length = 0;
        run_on(procs, [&] {
            wait_group done;
            done.add(1);
            std::function<void(int)> link = [&](int n) {
                length = n;
                if (n == links) return done.done();
                after_func(n % 4 * 20us, [&link, n] { link(n + 1); });
            };
            link(0);
            done.wait();
        });
        CHECK(length == links);
    }
}

TEST_CASE("TIME-23 one that sets itself again without pause starves nobody", "[time]") {
    // On one P the function may use up its time slice each time before another has a turn.
    const long n = scaled(50L, 5);
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            std::atomic<bool> stop{false};
            std::atomic<long> turns{0};
            std::atomic<long> begun{0};
            std::atomic<long> ended{0};
            long settings = 1;  // of t; changed by the only call that runs, or by ours
            long prevented = 0;
            timer t;
            mutex lock;  // for the last three
            wait_group spinner;
            spinner.go([&] {
                for (; !stop; ++turns) gosched();
            });
            {
                const std::lock_guard hold(lock);
                t = after_func(0ns, [&] {
                    ++begun;
                    {
                        const std::lock_guard inside(lock);
                        if (!stop) {
                            ++settings;
                            prevented += t.reset(0ns);
                        }
                    }
                    ++ended;
                });
            }
            for (int i = 0; i < 5; ++i) sleep(1ms);
            wait_until([&] { return turns >= n && begun >= n; }, "both to go on");
            for (int i = 0; i < 5; ++i) (void)after(1ms).recv();
            stop = true;
            spinner.wait();
            wait_until(
                [&] {
                    const std::lock_guard hold(lock);
                    prevented += t.stop();
                    return ended + prevented == settings;
                },
                "the last call to end");
        });
    }
}

TEST_CASE("TIME-24 dropping the handle does not stop it", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        std::atomic<int> called{0};
        for (int i = 0; i < 20; ++i) after_func(i * 100us, [&] { ++called; });
        {
            const timer t = after_func(2ms, [&] { ++called; });
        }
        wait_until([&] { return called == 21; }, "all functions to be called");
        ok(stays([&] { return called == 21; }, 20));
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-24 what the function holds lives while there is a handle, or it may be called",
          "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto token = std::make_shared<int>(1);
        // Called, handle dropped before.
        after_func(1ms, [token] {});
        ok(eventually([&] { return token.use_count() == 1; }));
        // Called, handle dropped later: another reset() would need it.
        std::atomic<int> called{0};
        {
            timer t = after_func(0ns, [token, &called] { ++called; });
            wait_until([&] { return called == 1; });
            ok.equal(token.use_count(), 2);
            t.reset(0ns);
            wait_until([&] { return called == 2; });
            ok.equal(token.use_count(), 2);
        }
        ok(eventually([&] { return token.use_count() == 1; }));
        // Stopped; the last of two handles counts.
        {
            timer t = after_func(1h, [token, &called] { ++called; });
            timer u = t;
            ok(t.stop());
            ok.equal(token.use_count(), 2);
            t = timer();
            ok(!u.reset(0ns));
            wait_until([&] { return called == 3; });
            ok(!u.stop());
            ok.equal(token.use_count(), 2);
        }
        ok(eventually([&] { return token.use_count() == 1; }));
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-24 stopped and dropped: what the function holds is destroyed", "[time]") {
    findings ok;
    const auto token = std::make_shared<int>(1);
    run_on(1, [&] {
        for (int i = 0; i < 100; ++i) {
            timer t = after_func(1h, [token] {});
            ok(t.stop());
        }
        ok(eventually([&] { return token.use_count() == 1; }));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-42 functions are started, stopped and set by threads", "[time]") {
    findings ok;
    std::atomic<int> called{0};
    std::atomic<int> due{0};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                for (int n = 0; n < 100; ++n) {
                    timer t = after_func(1h, [&] {
                        ok(goroutine_id() != 0);
                        ++called;
                    });
                    ok(t.reset(n * 10us));
                    if (n % 2 == 0 && t.stop()) continue;
                    ++due;
                }
            });
        }
    }
    wait_until([&] { return called == due; });
    CHECK(only_left(0));
    CHECK(called == due);
    CHECK(ok.text() == "");
}

}  // namespace vole::test
