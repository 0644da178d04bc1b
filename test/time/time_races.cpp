// stop, reset, expiry and receivers at the same moment. Cites TIME-13, TIME-38, TIME-41 and TIME-42.
//
// The law that most of these hold on to: each setting of a timer (its making, each reset) ends in exactly one
// way. Either its value is received (its function is called), or a stop() or reset() says true. So at the end,
// after a last stop(), as many have ended as there were.
#include "test/support/duel.hpp"
#include "test/time/time_support.hpp"

#include <algorithm>
#include <thread>
#include <vector>

namespace vole::test {
namespace {

/// Many goroutines, each with two timers that race: one is received; the other was not, so `end` must say that
/// it has prevented that, whether it had expired or not.
template <class End>
void race_two_timers(End end) {
    findings ok;
    const int goroutines = scaled(1000, 100);
    const int rounds = stress_scaled(30, 3);
    run_on(4, [&] {
        const auto start = make_chan<void>();
        wait_group all;
        for (int i = 0; i < goroutines; ++i) {
            all.go([&] {
                start.recv();
                for (int n = 0; n < rounds; ++n) {
                    timer a(1ms);
                    timer b(1ms);
                    timer& other = select(on_recv(a.c()), on_recv(b.c())) == 0 ? b : a;
                    ok(end(other));
                    ok(other.c().try_recv().is_empty());
                }
            });
        }
        start.close();
        all.wait();
    });
    CHECK(ok.text() == "");
}

/// What happened to the settings of one timer.
struct ledger {
    std::atomic<long> set{1};
    std::atomic<long> ended{0};
    void stop(timer& t) { ended += t.stop(); }
    void reset(timer& t, nanoseconds d) {
        ++set;
        ended += t.reset(d);
    }
};

/// Does one of what may be done to a timer with a channel.
void use(timer& t, ledger& l, dice& roll) {
    switch (roll(6)) {
        case 0: l.stop(t); break;
        case 1: l.reset(t, 0ns); break;
        case 2: l.reset(t, nanoseconds(roll(20'000))); break;
        case 3: l.reset(t, 1h); break;
        case 4: l.ended += t.c().try_recv().is_value(); break;
        default:
            select(on_recv(t.c(), [&] { ++l.ended; }), on_recv(after(nanoseconds(roll(50'000)))));
    }
}

/// Changes the number of Ps, and so stops the world, until it is destroyed.
class restless {
  public:
    restless()
        : thread_([this] {
              for (int n = 1; !stop_; n = n % 4 + 1) {
                  gomaxprocs(n);
                  std::this_thread::sleep_for(200us);
              }
          }) {}
    ~restless() {
        stop_ = true;
        thread_.join();
    }
    restless(const restless&) = delete;
    restless& operator=(const restless&) = delete;

  private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace

TEST_CASE("TIME-13 two timers at once, one received, the other stopped", "[time]") {
    race_two_timers([](timer& t) { return t.stop(); });
}

TEST_CASE("TIME-13 two timers at once, one received, the other set anew", "[time]") {
    race_two_timers([](timer& t) { return t.reset(1h); });
}

TEST_CASE("TIME-13 stop against receive: one of them has the value", "[time]") {
    const int rounds = stress_scaled(20'000, 500);
    findings ok;
    run_on(2, [&] {
        dice roll(3);
        timer t;
        bool stopped = false;
        bool got = false;
        const auto judge = [&] { ok(stopped != got, "exactly one"); };
        bool first = true;
        duel(
            rounds,
            [&] {
                if (!first) judge();
                first = false;
                stopped = got = false;
                t = timer(nanoseconds(roll(3000)));
            },
            [&] { stopped = t.stop(); },
            [&] {
                // Until it has it, or cannot get it any more.
                for (int i = 0; i < 40 && !got; ++i) got = t.c().try_recv().is_value();
            });
        judge();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-13 reset against receive: the value is of one setting, and counted once",
          "[time]") {
    const int rounds = stress_scaled(20'000, 500);
    findings ok;
    run_on(2, [&] {
        timer t(0ns);
        bool prevented = false;
        std::optional<time_point> v;
        setting set;
        bool first = true;
        const auto judge = [&] {
            // Prevented, so what was received, if anything, is of the new setting; and the other way round.
            if (v) ok(prevented == (*v >= set.before()));
            if (prevented && !v) v = taken(t.c());
            ok(v.has_value(), "a value");
            if (!prevented) ok(taken(t.c()).has_value(), "the value of the new setting");
            ok(t.c().try_recv().is_empty());
        };
        duel(
            rounds,
            [&] {
                if (!first) judge();
                first = false;
                v.reset();
                t.reset(0ns);
                // The old setting's instant must differ from the new one's.
                for (const auto now = clock::now(); clock::now() == now;) {
                }
            },
            [&] {
                set = {};
                prevented = t.reset(0ns);
            },
            [&] { v = taken(t.c()); });
        judge();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-13 stop against the call of a function", "[time]") {
    const int rounds = stress_scaled(20'000, 500);
    for (const bool as_reset : {false, true}) {
        std::atomic<long> called{0};
        long prevented = 0;
        run_on(2, [&] {
            dice roll(4);
            timer t = after_func(1h, [&] { ++called; });
            t.stop();
            duel(
                rounds, [&] { t.reset(nanoseconds(roll(3000))); },
                [&] {
                    prevented += as_reset ? t.reset(1h) : t.stop();
                    t.stop();
                },
                [] { gosched(); });
            wait_until([&] { return called + prevented == rounds; }, "all to be called");
            stays([&] { return called + prevented == rounds; });
        });
        CHECK(called + prevented == rounds);
    }
}

TEST_CASE("TIME-13 each setting of a timer ends once: goroutines and threads", "[time]") {
    const int rounds = stress_scaled(3000, 100);
    for (const bool flips : {false, true}) {
        const procs_scope procs(4);
        timer t(1h);
        ledger l;
        {
            std::optional<restless> changes;
            if (flips) changes.emplace();
            std::vector<std::jthread> threads;
            for (std::uint64_t i = 0; i < 2; ++i) {
                threads.emplace_back([&, i] {
                    dice roll(i + 10);
                    for (int n = 0; n < rounds; ++n) use(t, l, roll);
                });
            }
            run([&] {
                wait_group all;
                for (std::uint64_t i = 0; i < 6; ++i) {
                    all.go([&, i] {
                        dice roll(i + 20);
                        for (int n = 0; n < rounds; ++n) use(t, l, roll);
                    });
                }
                all.wait();
            });
        }
        l.stop(t);
        CHECK(l.ended == l.set);
        CHECK(t.c().try_recv().is_empty());
    }
}

TEST_CASE("TIME-13 each setting of a function ends once: goroutines and threads", "[time]") {
    const int rounds = stress_scaled(3000, 100);
    for (const bool flips : {false, true}) {
        const procs_scope procs(4);
        ledger l;
        timer t = after_func(1h, [&] { ++l.ended; });
        const auto work = [&](std::uint64_t seed) {
            dice roll(seed);
            for (int n = 0; n < rounds; ++n) {
                switch (roll(4)) {
                    case 0: l.stop(t); break;
                    case 1: l.reset(t, nanoseconds(roll(20'000))); break;
                    case 2: l.reset(t, 1h); break;
                    default: l.reset(t, 0ns); gosched();
                }
            }
        };
        {
            std::optional<restless> changes;
            if (flips) changes.emplace();
            std::vector<std::jthread> threads;
            for (std::uint64_t i = 0; i < 2; ++i) threads.emplace_back([&, i] { work(i + 30); });
            run([&] {
                wait_group all;
                for (std::uint64_t i = 0; i < 4; ++i) all.go([&, i] { work(i + 40); });
                all.wait();
            });
        }
        l.stop(t);
        wait_until([&] { return l.ended == l.set; }, "all functions to be called");
        CHECK(stays([&] { return l.ended == l.set; }));
        CHECK(only_left(0));
    }
}

TEST_CASE("TIME-42 many change one far timer at once", "[time]") {
    const int rounds = stress_scaled(1000, 50);
    timer t(1h);
    ledger l;
    run_on(4, [&] {
        wait_group all;
        for (int i = 0; i < 8; ++i) {
            all.go([&, i] {
                for (int n = 0; n < rounds; ++n) l.reset(t, 1h + i * n * 1ns);
            });
            all.go([&] {
                for (int n = 0; n < rounds; ++n) l.stop(t);
            });
        }
        all.wait();
    });
    l.stop(t);
    CHECK(l.ended == l.set);
}

TEST_CASE("TIME-38 many select on one fast ticker, each with a limit of its own", "[time]") {
    const int rounds = stress_scaled(5000, 300);
    for (const int procs : {1, 2, 4}) {
        std::atomic<long> taken{0};
        run_on(procs, [&] {
            const ticker k(1us);
            wait_group all;
            for (int i = 0; i < procs; ++i) {
                all.go([&] {
                    for (int n = 0; n < rounds; ++n) {
                        select(on_recv(k.c(), [&] { ++taken; }),
                               on_recv(after(1ms), [&] { ++taken; }));
                    }
                });
            }
            all.wait();
        });
        CHECK(taken == static_cast<long>(rounds) * procs);
    }
}

TEST_CASE("TIME-38 many select on one timer that is set again and again", "[time]") {
    const int rounds = stress_scaled(5000, 200);
    for (const int procs : {1, 2, 4}) {
        std::atomic<long> taken{0};
        run_on(procs, [&] {
            timer t(1ns);
            std::atomic<bool> stop{false};
            wait_group setter;
            setter.go([&] {
                while (!stop) {
                    t.reset(1ns);
                    gosched();
                }
            });
            wait_group all;
            for (int i = 0; i < procs; ++i) {
                all.go([&] {
                    for (int n = 0; n < rounds; ++n) {
                        select(on_recv(t.c(), [&] { ++taken; }),
                               on_recv(after(1ms), [&] { ++taken; }));
                    }
                });
            }
            all.wait();
            stop = true;
            setter.wait();
        });
        CHECK(taken == static_cast<long>(rounds) * procs);
    }
}

TEST_CASE("TIME-38 waiters come and go while a ticker is stopped and set", "[time]") {
    const int rounds = stress_scaled(2000, 100);
    run_on(4, [&] {
        ticker k(1us);
        std::atomic<bool> stop{false};
        wait_group setter;
        setter.go([&] {
            dice roll(5);
            while (!stop) {
                if (roll(3) == 0) k.stop();
                gosched();
                k.reset(nanoseconds(1 + roll(5000)));
                // Now and then long enough for ticks.
                if (roll(3) == 0) sleep(100us);
            }
            k.reset(1us);
        });
        wait_group all;
        for (int i = 0; i < 6; ++i) {
            all.go([&, i] {
                for (int n = 0; n < rounds; ++n) {
                    if (i % 2 == 0) {
                        (void)k.c().recv();
                    } else {
                        select(on_recv(k.c()), on_recv(after(100us)));
                    }
                }
            });
        }
        all.wait();
        stop = true;
        setter.wait();
    });
}

TEST_CASE("TIME-17 handles are dropped while the timer fires", "[time]") {
    const int rounds = stress_scaled(20'000, 500);
    run_on(2, [&] {
        dice roll(6);
        std::optional<timer> t;
        std::optional<recv_chan<time_point>> c;
        duel(
            rounds,
            [&] {
                const nanoseconds d(roll(2000));
                t.emplace(roll(2) == 0 ? timer(d) : after_func(d, [] {}));
                c = t->c();
            },
            [&] { t.reset(); },
            [&] {
                if (*c) (void)taken(*c);
                c.reset();
            });
    });
}

}  // namespace vole::test
