// The edges: the longest and shortest durations, functions that throw or end by goexit, what they hold.
// Cites TIME-2, TIME-17, TIME-22, TIME-24, TIME-30 and TIME-35.
#include "test/panic/panic_support.hpp"
#include "test/time/time_support.hpp"

#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace vole::test {
namespace {

/// Durations that end beyond all time, or nearly so.
const std::vector<nanoseconds> longest{nanoseconds::max(), nanoseconds::max() - 1ns,
                                       nanoseconds::max() / 2};
const std::vector<nanoseconds> over{0ns, -1ns, nanoseconds::min() / 2, nanoseconds::min() + 1ns,
                                    nanoseconds::min()};

/// Calls f when it is destroyed, once.
template <class F>
class at_end {
  public:
    explicit at_end(F f) : f_(std::make_shared<holder>(std::move(f))) {}

  private:
    struct holder {
        explicit holder(F g) : f(std::move(g)) {}
        ~holder() { f(); }
        holder(const holder&) = delete;
        holder& operator=(const holder&) = delete;
        F f;
    };
    std::shared_ptr<holder> f_;
};

}  // namespace

TEST_CASE("TIME-2 the longest timers: pending, never over, and in nobody's way", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        std::atomic<int> called{0};
        for (const nanoseconds d : longest) {
            timer t(d);
            ok(t.c().try_recv().is_empty());
            reader r(t.c());
            timer f = after_func(d, [&] { ++called; });
            ok(after(1ms).recv().has_value());
            sleep(1ms);
            ok(r.waits());
            ok(t.reset(d));
            ok(f.reset(d));
            ok(r.waits());
            ok(t.stop());
            ok(f.stop());
            ok(!t.reset(d));
            ok(!f.reset(d));
            ok(t.reset(1us));
            ok(f.stop());
            ok(r.value().has_value());
            ok(!t.reset(d));
            ok(t.c().try_recv().is_empty());
            ok(t.stop());
        }
        ok.equal(called.load(), 0);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-35 durations of any kind, too long for 64 bits", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto pending = [&](timer t) {
            ok(t.c().try_recv().is_empty());
            ok(t.stop());
        };
        pending(timer(std::chrono::hours::max()));
        pending(timer(std::chrono::years(1'000'000)));
        pending(timer(std::chrono::duration<double>(1e300)));
        pending(timer(std::chrono::duration<float>(9223371776.0F)));
        pending(timer(std::chrono::duration<unsigned long long, std::nano>(~0ULL)));
        timer t(1h);
        ok(t.reset(std::chrono::duration<double>(1e300)));
        pending(t);
        sleep(std::chrono::hours::min());
        sleep(std::chrono::duration<double>(-1e300));
        sleep(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()));
        ok(taken(after(std::chrono::duration<double>(-1e300))).has_value());
        ok(taken(after(std::chrono::hours::min())).has_value());
        ok(!tick(std::chrono::duration<double>(-1e300)));
        // What is more than nothing is at least a nanosecond.
        ok(tick(std::chrono::duration<double, std::pico>(0.001)).recv().has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-6 everything that is over already", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        std::atomic<int> called{0};
        for (const nanoseconds d : over) {
            sleep(d);
            ok(taken(after(d)).has_value());
            timer t(d);
            ok(t.stop());
            ok(t.c().try_recv().is_empty());
            ok(!t.reset(d));
            ok(t.reset(d));
            ok(taken(t.c()).has_value());
            ok.equal(select(on_recv(after(d)), on_recv(after(1h))), 0U);
            after_func(d, [&] { ++called; });
        }
        wait_until([&] { return called == static_cast<int>(over.size()); }, "all to be called");
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-30 a ticker of the longest period after a short one", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (const nanoseconds d : longest) {
            ticker k(100us);
            ok(k.c().recv().has_value());
            pass(300us);
            k.reset(d);
            for (int i = 0; i < 3; ++i) {
                ok(k.c().try_recv().is_empty());
                ok.equal(select(on_recv(k.c()), on_recv(after(200us))), 1U);
            }
            k.reset(100us);
            ok(k.c().recv().has_value());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-22 a function that throws: the panic handler is told, others go on", "[time]") {
    for (const int procs : {1, 2}) {
        std::atomic<int> told{0};
        findings ok;
        {
            const handler_scope handler([&](const panic_value& p) {
                ok(p.what() == std::string("std::runtime_error: of the function"));
                ok(p.goroutine() != 0 && p.goroutine() == goroutine_id());
                ++told;
            });
            run_on(procs, [&] {
                std::atomic<int> called{0};
                timer t = after_func(0ns, [] { throw std::runtime_error("of the function"); });
                after_func(500us, [&] { ++called; });
                wait_until([&] { return told == 1; }, "the handler");
                // It may be called again, as any other.
                ok(!t.reset(0ns));
                wait_until([&] { return told == 2; }, "the handler");
                ok(!t.reset(300us));
                ok(after(1ms).recv().has_value());
                sleep(500us);
                wait_until([&] { return told == 3 && called == 1; }, "the handler");
                ok(!t.stop());
            });
        }
        CHECK(told == 3);
        CHECK(ok.text() == "");
    }
}

TEST_CASE("child: a function throws, policy abort", "[.child]") {
    run({.uncaught = uncaught_policy::abort}, [] {
        after_func(1ms, [] { panic("the end"); });
        sleep(1h);
    });
}
TEST_CASE("TIME-22 with uncaught = abort the process ends", "[time]") {
    const auto r = run_case_in_subprocess("child: a function throws, policy abort");
    INFO(r.text());
    CHECK(r.exit_status == 2);
    CHECK_THAT(r.err, Catch::StartsWith("panic: the end\n\ngoroutine "));
}

TEST_CASE("TIME-22 a function that ends by goexit", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        std::atomic<int> destroyed{0};
        std::atomic<int> past{0};
        timer t = after_func(0ns, [&] {
            const defer d{[&] { ++destroyed; }};
            goexit();
            ++past;
        });
        for (int i = 1; i <= 3; ++i) {
            wait_until([&] { return destroyed == i; });
            ok(!t.reset(100us));
        }
        wait_until([&] { return destroyed == 4; });
        ok.equal(past.load(), 0);
        ok(!t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-24 however a function ends, what it holds is destroyed", "[time]") {
    const handler_scope handler([](const panic_value&) {});
    const std::string wrong = everywhere([](findings& ok) {
        const auto token = std::make_shared<int>(1);
        const auto gone = [&] { return eventually([&] { return token.use_count() == 1; }); };
        after_func(0ns, [token] {});
        ok(gone());
        after_func(0ns, [token] { throw 1; });
        ok(gone());
        after_func(0ns, [token] { goexit(); });
        ok(gone());
        after_func(0ns, [token] { sleep(1ms); });
        ok(gone());
        // Started by another, its handle dropped by the function itself.
        auto self = std::make_shared<timer>();
        *self = after_func(1h, [token, self]() mutable { self.reset(); });
        self->reset(0ns);
        self.reset();
        ok(gone());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-24 a function that may still run is not destroyed under its own feet", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto gate = make_chan<void>();
        std::atomic<int> state{0};
        auto token = std::make_shared<int>(1);
        {
            timer t = after_func(0ns, [&state, &ok, gate, token] {
                state = 1;
                gate.recv();
                ok.equal(*token, 1);
                state = 2;
            });
            wait_until([&] { return state == 1; });
            ok(!t.stop());
        }
        ok.equal(token.use_count(), 2);
        gate.close();
        ok(eventually([&] { return token.use_count() == 1; }));
        ok.equal(state.load(), 2);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-24 destructors of what a function holds may do what they like", "[time]") {
    // No lock may be held, and they run where they may wait.
    struct world {
        timer other{1h};
        mutex lock;
        findings ok;
        std::atomic<int> ended{0};
    };
    for (const int procs : {1, 2}) {
        const auto w = std::make_shared<world>();
        run_on(procs, [&] {
            const auto holder = [w] {
                return at_end([w] {
                    timer t(1h);
                    w->ok(t.stop());
                    w->ok(after(100us).recv().has_value());
                    w->other.reset(1h);
                    gosched();
                    sleep(100us);
                    const std::lock_guard hold(w->lock);
                    after_func(0ns, [w] { ++w->ended; });
                });
            };
            after_func(0ns, [e = holder()] {});
            w->ok(eventually([&] { return w->ended == 1; }), "called, handle dropped before");
            {
                timer t = after_func(0ns, [e = holder(), w] { ++w->ended; });
                wait_until([&] { return w->ended == 2; });
            }
            w->ok(eventually([&] { return w->ended == 3; }), "called, handle dropped later");
            {
                timer t = after_func(1h, [e = holder()] {});
                w->ok(t.stop());
            }
            // It may lie in a heap until that is looked at: on one P that is soon.
            if (procs == 1) w->ok(eventually([&] { return w->ended == 4; }), "stopped");
        });
        CHECK(w->ok.text() == "");
    }
}

TEST_CASE("TIME-24 a copy of the function that throws: nothing is started", "[time]") {
    struct bad {
        std::shared_ptr<int> token;
        bad(std::shared_ptr<int> t) : token(std::move(t)) {}
        bad(const bad&) { throw std::runtime_error("no copy"); }
        void operator()() const {}
    };
    const auto token = std::make_shared<int>(1);
    const bad f(token);
    CHECK_THROWS_WITH(after_func(0ns, f), "no copy");
    CHECK(token.use_count() == 2);
    CHECK(only_left(0));
}

TEST_CASE("TIME-17 timers in containers, moved and destroyed in any order", "[time]") {
    findings ok;
    std::atomic<int> called{0};
    int due = 0;
    run_on(2, [&] {
        std::vector<timer> all;
        for (int i = 0; i < 200; ++i) {
            const nanoseconds d = i % 5 == 0 ? nanoseconds(1h) : i * 10us;
            if (i % 2 == 0) {
                all.emplace_back(d);
            } else {
                all.push_back(after_func(d, [&] { ++called; }));
                due += i % 5 != 0;
            }
        }
        for (std::size_t i = 0; i < all.size(); i += 5) ok(all[i].stop());
        for (std::size_t i = 0; i < all.size(); i += 3) std::swap(all[i], all[all.size() - 1 - i]);
        while (all.size() > 1) {
            all[all.size() / 2] = all.back();
            all.pop_back();
            if (all.size() % 32 == 0) sleep(100us);
        }
        all.clear();
        wait_until([&] { return called == due; }, "all to be called");
    });
    CHECK(called == due);
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-17 the last handle is dropped by another goroutine, or a thread", "[time]") {
    findings ok;
    run_on(2, [&] {
        for (int i = 0; i < 100; ++i) {
            auto t = std::make_shared<timer>(i % 2 == 0 ? nanoseconds(1h) : nanoseconds(5us));
            auto k = std::make_shared<ticker>(5us);
            wait_group w;
            w.go([t, k]() mutable {
                (void)taken(t->c());
                gosched();
                t.reset();
                k.reset();
            });
            t.reset();
            k.reset();
            w.wait();
        }
        blocking([] {
            std::vector<std::jthread> threads;
            for (int i = 0; i < 4; ++i) {
                threads.emplace_back([t = timer(5us), k = ticker(3us)] { (void)taken(k.c()); });
            }
        });
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
