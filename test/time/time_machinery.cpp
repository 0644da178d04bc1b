// Who runs the timers, and when: Ps that are busy, asleep, taken away. Cites TIME-15, TIME-36, TIME-37, TIME-39,
// TIME-40, TIME-43.
#include "test/support/duel.hpp"
#include "test/time/time_support.hpp"

#include <algorithm>
#include <fstream>
#include <mutex>
#include <semaphore>
#include <thread>
#include <unistd.h>
#include <vector>

namespace vole::test {
namespace {

/// Computes, without any operation of the library, until `stop`; false: it never came.
bool spin(const std::atomic<bool>& stop) {
    const auto end = std::chrono::steady_clock::now() + patience();
    for (unsigned n = 1; !stop.load(std::memory_order_acquire); ++n) {
        if (n % 65536 == 0 && std::chrono::steady_clock::now() > end) return false;
    }
    return true;
}

/// Gives all threads of the runtime the chance to fall asleep: sharpens a test, does not decide it.
void let_all_sleep() {
    for (int i = 0; i < 1000; ++i) {
        const auto s = read_stats();
        if (s.idle_procs == s.procs) return;
        std::this_thread::yield();
    }
}

/// Memory of the process, in bytes.
std::size_t resident() {
    std::ifstream file("/proc/self/statm");
    std::size_t all = 0;
    std::size_t resident = 0;
    file >> all >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// How much more memory f leaves behind when it is called again.
template <class F>
std::size_t growth(F f) {
    f(scaled(10'000, 100));
    const std::size_t before = resident();
    f(scaled(1'000'000, 1000));
    const std::size_t after = resident();
    return after > before ? after - before : 0;
}

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
// Freed memory is kept for a while, and there are records of it.
constexpr std::size_t allowed_growth = std::size_t{4} << 30;
#else
constexpr std::size_t allowed_growth = std::size_t{40} << 20;
#endif

}  // namespace

TEST_CASE("TIME-36 a timer is met though every P computes", "[time]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            std::atomic<bool> called{false};
            std::atomic<bool> stop{false};
            wait_group all;
            timer t = after_func(5ms, [&] { called = true; });
            all.go([&] {
                (void)after(5ms).recv();
                sleep(5ms);
                wait_until([&] { return called.load(); });
                stop = true;
            });
            for (int i = 0; i < procs; ++i) all.go([&] { ok(spin(stop), "stopped in time"); });
            all.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("TIME-36 the timers of a P that computes are run by others", "[time]") {
    findings ok;
    run_on(4, [&] {
        for (int i = 0; i < 5; ++i) {
            std::atomic<bool> stop{false};
            wait_group one;
            one.go([&] {
                after_func(1ms, [&] { stop = true; });
                ok(spin(stop), "stopped in time");
            });
            one.wait();
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-36 the timers of a P whose goroutine blocks in the kernel", "[time]") {
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            for (const bool says_so : {true, false}) {
                std::counting_semaphore<> called(0);
                const auto wait_for_it = [&] { ok(called.try_acquire_for(patience()), "called"); };
                after_func(2ms, [&] { called.release(); });
                if (says_so) {
                    blocking(wait_for_it);
                } else {
                    wait_for_it();
                }
                gosched();
            }
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("TIME-37 all threads asleep: the next timer wakes one", "[time]") {
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [] {
            timer far = after_func(1h, [] {});
            for (int i = 0; i < 10; ++i) {
                sleep(i * 300us);
                (void)after(i * 200us).recv();
            }
            far.stop();
        });
    }
}

TEST_CASE("TIME-37 an earlier timer breaks into a longer sleep", "[time]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        const procs_scope scope(procs);
        std::atomic<bool> end{false};
        std::atomic<int> received{0};
        timer far = after_func(1h, [] {});
        timer waited(1h);
        std::jthread main([&] {
            run([&] {
                for (; !end; ++received) ok(waited.c().recv().has_value());
            });
        });
        std::atomic<int> called{0};
        for (int i = 1; i <= 5; ++i) {
            // A new one; one that was far away; one that somebody waits for.
            let_all_sleep();
            after_func(1ms, [&] { ++called; });
            wait_until([&] { return called == 2 * i - 1; }, "a new timer");
            let_all_sleep();
            timer moved = after_func(2h, [&] { ++called; });
            moved.reset(1ms);
            wait_until([&] { return called == 2 * i; }, "a timer that was set anew");
            let_all_sleep();
            waited.reset(1ms);
            wait_until([&] { return received == i; }, "the goroutine that waits");
            ok(!waited.reset(1h));
        }
        end = true;
        waited.reset(0ns);
        main.join();
        ok(far.stop());
        CHECK(only_left(0));
        CHECK(ok.text() == "");
    }
}

TEST_CASE("TIME-15 many timers are moved to and fro, and none is lost", "[time]") {
    for (const int procs : {1, 4}) {
        const std::size_t n = scaled(std::size_t{400}, 50);
        findings ok;
        run_on(procs, [&] {
            dice roll(1);
            std::vector<timer> all;
            std::vector<setting> set(n);
            std::vector<nanoseconds> due(n);
            wait_group readers;
            for (std::size_t i = 0; i < n; ++i) all.emplace_back(1h + nanoseconds(roll(1000)));
            std::atomic<std::size_t> got{0};
            for (std::size_t i = 0; i < n; i += 2) {
                readers.go([&, i] {
                    const auto v = all[i].c().recv();
                    ok(v && *v <= clock::now());
                    ++got;
                });
            }
            settle();
            for (std::size_t round = 0; round < 10 * n; ++round) {
                timer& t = all[roll(n)];
                switch (roll(4)) {
                    case 0: t.stop(); break;
                    case 1: t.reset(1min + nanoseconds(roll(1'000'000'000))); break;
                    case 2: t.reset(24h + nanoseconds(roll(1'000'000'000))); break;
                    default: t.reset(1h - nanoseconds(roll(1'000'000'000)));
                }
                if (round % 64 == 0) gosched();
            }
            ok.equal(got.load(), std::size_t{0});
            for (std::size_t i = 0; i < n; ++i) {
                due[i] = nanoseconds(roll(5'000'000));
                set[i] = {};
                all[i].reset(due[i]);
                set[i].end();
            }
            readers.wait();
            for (std::size_t i = 1; i < n; i += 2) {
                const auto v = all[i].c().recv();
                ok(set[i].due(v, due[i]));
            }
            for (timer& t : all) ok(!t.stop());
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("TIME-15 functions are brought forward one by one while thousands sleep", "[time]") {
    const int n = scaled(3000, 100);
    std::atomic<int> called{0};
    run_on(2, [&] {
        wait_group sleepers;
        for (int i = 0; i < n; ++i) {
            sleepers.go([&, i] {
                for (int k = 0; k < 3; ++k) sleep((i + k) % 7 * 500us);
            });
        }
        std::vector<timer> all;
        for (int i = 0; i < n; ++i) all.push_back(after_func(1h + i * 1s, [&] { ++called; }));
        for (auto t = all.rbegin(); t != all.rend(); ++t) {
            t->reset(30min);
            t->reset(1ms);
        }
        sleepers.wait();
        wait_until([&] { return called == n; }, "all to be called");
    });
    CHECK(called == n);
}

TEST_CASE("TIME-39 a million far functions, started and stopped, leave nothing", "[time]") {
    std::size_t more = 0;
    int stopped = 0;
    run_on(2, [&] {
        more = growth([&](int n) {
            stopped = 0;
            for (int i = 0; i < n; ++i) {
                timer t = after_func(1h + i % 1000 * 1s, [] {});
                stopped += t.stop();
            }
            stopped -= n;
        });
    });
    CHECK(stopped == 0);
    CHECK(more < allowed_growth);
}

TEST_CASE("TIME-39 the same on a thread, while no goroutine runs", "[time]") {
    const std::size_t more = growth([&](int n) {
        for (int i = 0; i < n; ++i) {
            timer t = after_func(1h + i % 1000 * 1s, [] {});
            t.stop();
        }
    });
    CHECK(more < allowed_growth);
}

TEST_CASE("TIME-39 one far timer, set anew a million times", "[time]") {
    std::size_t more = 0;
    bool pending = false;
    run_on(2, [&] {
        timer f = after_func(1h, [] {});
        timer t(1h);
        reader r(t.c());
        more = growth([&](int n) {
            for (int i = 0; i < n / 2; ++i) {
                f.reset(1h + i * 7919 % 1000 * 1s);
                t.reset(1h + i * 7919 % 1000 * 1s);
            }
        });
        pending = f.stop();
        t.reset(0ns);
    });
    CHECK(pending);
    CHECK(more < allowed_growth);
}

TEST_CASE("TIME-17 a million timers, dropped before their time, leave nothing", "[time]") {
    std::size_t more = 0;
    run_on(2, [&] {
        more = growth([](int n) {
            for (int i = 0; i < n; ++i) {
                (void)after(1h);
                if (i % 4 == 0) (void)tick(1ms);
            }
        });
    });
    CHECK(more < allowed_growth);
}

TEST_CASE("TIME-39 selects that leave a far timer behind leave nothing", "[time]") {
    std::size_t more = 0;
    run_on(2, [&] {
        const auto c = make_chan<int>();
        more = growth([&](int n) {
            n /= 4;
            wait_group sender;
            sender.go([&] {
                for (int i = 0; i < n; ++i) c.send(i);
            });
            for (int i = 0; i < n; ++i) select(on_recv(c), on_recv(after(1h)));
            sender.wait();
        });
    });
    CHECK(more < allowed_growth);
}

TEST_CASE("TIME-40 fewer Ps: the timers of those that go are met by those that stay", "[time]") {
    findings ok;
    std::atomic<int> called{0};
    int started = 0;
    run_on(4, [&] {
        for (const int fewer : {1, 3, 1, 2}) {
            gomaxprocs(4);
            wait_group all;
            std::atomic<int> ready{0};
            for (int i = 0; i < 40; ++i) {
                ++started;
                all.go([&, i] {
                    // On whichever P this runs.
                    const nanoseconds d = 2ms + i * 100us;
                    setting set;
                    const timer t(d);
                    set.end();
                    after_func(d, [&] { ++called; });
                    ++ready;
                    if (i % 2 == 0) {
                        ok(set.due(t.c().recv(), d));
                    } else {
                        sleep(d);
                        ok(set.due(t.c().recv(), d));
                    }
                    ok(clock::now() >= set.before() + d);
                });
            }
            wait_until([&] { return ready == 40; });
            gomaxprocs(fewer);
            all.wait();
            wait_until([&] { return called == started; }, "all functions to be called");
        }
    });
    CHECK(called == started);
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-41 the number of Ps changes all the time: nothing is lost, nothing early",
          "[time]") {
    findings ok;
    std::atomic<int> called{0};
    run_on(2, [&] {
        std::atomic<bool> stop{false};
        wait_group flips;
        flips.go([&] {
            for (int n = 1; !stop; n = n % 5 + 1) {
                gomaxprocs(n);
                sleep(100us);
            }
        });
        wait_group all;
        for (int i = 0; i < 50; ++i) {
            all.go([&, i] {
                const ticker k(200us);
                for (int n = 0; n < 10; ++n) {
                    const auto before = clock::now();
                    sleep(i * 20us);
                    ok(clock::now() >= before + i * 20us);
                    ok(k.c().recv().has_value());
                    after_func(i * 20us, [&] { ++called; });
                }
            });
        }
        all.wait();
        wait_until([&] { return called == 500; }, "all functions to be called");
        stop = true;
        flips.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-43 on one P timers fire in the order of their times", "[time]") {
    // The order is seen only if the machine does not stand still for the time between two of them.
    const std::vector<int> slots{5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
    const nanoseconds step = scale() < 1 ? 10ms : 3ms;
    const auto in_order = [&](auto start) {
        return settled(
            [&] {
                std::vector<int> order;
                mutex lock;
                run_on(1, [&] {
                    wait_group all;
                    all.add(static_cast<int>(slots.size()));
                    const auto note = [&](int slot) {
                        {
                            const std::lock_guard hold(lock);
                            order.push_back(slot);
                        }
                        all.done();
                    };
                    const time_point begin = clock::now();
                    for (const int slot : slots) start(begin + slot * step, slot, note);
                    all.wait();
                });
                return order.size() == slots.size() && std::is_sorted(order.begin(), order.end());
            },
            true);
    };
    CHECK(in_order([](time_point at, int slot, auto note) {
        go([=] {
            sleep_until(at);
            note(slot);
        });
    }));
    CHECK(in_order([](time_point at, int slot, auto note) {
        go([=, c = after(at - clock::now())] {
            (void)c.recv();
            note(slot);
        });
    }));
    CHECK(in_order([](time_point at, int slot, auto note) {
        after_func(at - clock::now(), [=] { note(slot); });
    }));
}

}  // namespace vole::test
