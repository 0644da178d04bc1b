// The runtime's timers on a clock that is not the system's: a program of its own, since a process has one clock.
// This one stands still while anything runs, and jumps to the next deadline when nothing does, as a simulator's
// would; or it moves by hand. See time/README.md for the interface.
#include <catch2/catch.hpp>

#include <vole/runtime.hpp>
#include <vole/sync.hpp>
#include <vole/time.hpp>

#include "runtime/internal/timers.hpp"
#include "test/support/findings.hpp"
#include "test/support/wait.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace vole::test;
using vole::clock;
namespace inner = vole::detail;

namespace {

std::atomic<std::int64_t> now_ns{1};
std::atomic<bool> by_hand{false};
std::atomic<inner::note*> sleeper{nullptr};
std::atomic<int> jumps{0};

std::int64_t simulated_now() noexcept { return now_ns.load(); }

void simulated_sleep(inner::note& woken, std::int64_t until, bool all_asleep) noexcept {
    if (!by_hand && all_asleep) {
        now_ns = until;
        ++jumps;
        return;
    }
    // Published, and only then looked at the time: advance() has it the other way round, so that one sees the other.
    sleeper = &woken;
    if (now_ns < until) woken.sleep();
    sleeper = nullptr;
}

constexpr inner::clock_base simulated{simulated_now, simulated_sleep};

// Before anything can have asked for the time.
[[maybe_unused]] const bool installed = (inner::set_clock_base(&simulated), true);

void advance(clock::duration d) {
    now_ns += d.count();
    if (inner::note* woken = sleeper; woken != nullptr) woken->wake();
}

}  // namespace

TEST_CASE("a simulated clock: a day of sleeping takes no time, and is exact") {
    findings ok;
    for (const int procs : {1, 2, 4}) {
        vole::run({.max_procs = procs}, [&] {
            const auto start = clock::now();
            vole::wait_group all;
            for (int i = 1; i <= 100; ++i) {
                all.go([&ok, start, i] {
                    for (int k = 1; k <= 24; ++k) {
                        vole::sleep(i * 1h);
                        ok.equal((clock::now() - start) / 1h, std::int64_t{i} * k);
                    }
                });
            }
            all.wait();
            ok.equal((clock::now() - start) / 1h, std::int64_t{2400});
        });
    }
    CHECK(ok.text() == "");
    CHECK(jumps > 0);
}

TEST_CASE("a simulated clock: timers, tickers and functions go by it") {
    findings ok;
    vole::run({.max_procs = 2}, [&] {
        const auto start = clock::now();
        vole::ticker ticks(1min);
        for (int i = 1; i <= 60; ++i) {
            const auto at = ticks.c().recv();
            ok(at == start + i * 1min);
            ok(clock::now() == start + i * 1min);
        }
        ticks.stop();
        auto called = vole::make_chan<clock::time_point>();
        const auto f = vole::after_func(2h, [called] { called.send(clock::now()); });
        ok(called.recv() == start + 3h);
        ok(vole::after(30s).recv() == start + 3h + 30s);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("a simulated clock: it stands still while a goroutine runs") {
    findings ok;
    vole::run({.max_procs = 2}, [&] {
        vole::wait_group other;
        std::atomic<bool> woken{false};
        other.go([&] {
            vole::sleep(1ms);
            woken = true;
        });
        const auto start = clock::now();
        for (int i = 0; i < 10'000; ++i) {
            ok(clock::now() == start);
            vole::gosched();
        }
        ok(!woken);
        other.wait();
        ok(woken);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("a clock that is moved by hand") {
    by_hand = true;
    findings ok;
    std::vector<int> order;
    std::atomic<std::size_t> done{0};
    std::thread program([&] {
        vole::run({.max_procs = 1, .deadlock_detection = false}, [&] {
            vole::wait_group all;
            vole::mutex lock;
            for (const int i : {3, 1, 2}) {
                all.go([&, i] {
                    vole::sleep(i * 10s);
                    const std::lock_guard held(lock);
                    order.push_back(i);
                    ++done;
                });
            }
            all.wait();
        });
    });
    const auto asleep = [] { return sleeper.load() != nullptr; };
    ok(wait_until(asleep));
    advance(9s);
    ok(wait_until(asleep));
    ok.equal(done.load(), std::size_t{0});
    advance(12s);  // past two of them
    ok(wait_until([&] { return done == 2 && asleep(); }));
    advance(1h);
    program.join();
    by_hand = false;
    CHECK(ok.text() == "");
    CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("TIME-43 on one P those that are due go before a long queue, in their order, and do not "
          "starve it") {
    constexpr int sleepers = 300;
    constexpr int workers = 2000;  // more than a P's ring holds
    constexpr int worker = -1;
    by_hand = true;
    // On a busy machine one may be asked to give way, and then goes behind all others.
    const auto as_promised = [&] {
        std::vector<int> order(sleepers + workers);
        std::atomic<std::size_t> places{0};
        const auto note = [&](int who) { order[places.fetch_add(1)] = who; };
        vole::run({.max_procs = 1}, [&] {
            vole::wait_group all;
            std::atomic<int> begun{0};
            for (int i = 0; i < sleepers; ++i) {
                all.go([&, i] {
                    ++begun;
                    vole::sleep((sleepers - i) * 1s);
                    note(sleepers - i);
                });
            }
            wait_until([&] { return begun == sleepers; });
            settle();
            for (int i = 0; i < workers; ++i) all.go([&] { note(worker); });
            now_ns += clock::duration(1h).count();
            all.wait();
        });
        const auto last = std::find(order.begin(), order.end(), sleepers) - order.begin();
        const auto between = std::count(order.begin(), order.begin() + last, worker);
        std::erase(order, worker);
        return places == sleepers + workers && last < sleepers + sleepers / 4 &&
               between >= sleepers / 40 && std::is_sorted(order.begin(), order.end());
    };
    bool held = false;
    for (int attempt = 0; attempt < 20 && !held; ++attempt) held = as_promised();
    by_hand = false;
    CHECK(held);
}

TEST_CASE("on one P a function that is due again and again leaves others their turns") {
    constexpr int workers = 100;
    std::atomic<int> calls{0};
    std::atomic<bool> stop{false};
    by_hand = true;
    vole::run({.max_procs = 1}, [&] {
        vole::wait_group all;
        vole::timer again;
        again = vole::after_func(1s, [&] {
            ++calls;
            if (!stop) again.reset(1ns);
            ++now_ns;
        });
        now_ns += clock::duration(2s).count();
        for (int i = 0; i < workers; ++i) all.go([] { vole::gosched(); });
        all.wait();
        stop = true;
        again.stop();
    });
    by_hand = false;
    CHECK(calls > workers);
    CHECK(calls < 2 * workers * 64);
}
