// Timers and sleeping, beside go/time.go: what a timer costs that never fires, and how late one is that
// does. Lateness is the least of a few turns in one process, for each figure on its own.
#include <vole/synctest.hpp>
#include <vole/vole.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <vector>

#include "test/bench/harness.hpp"

namespace {

using namespace vole_bench;
using namespace std::chrono_literals;
using vole::clock;

constexpr int turns = 5;
constexpr count timers = 1'000'000;
constexpr count sleepers_at_once = 100'000;
constexpr int ticks = 200;
constexpr int short_naps = 200;
constexpr count virtual_sleepers = 1000;
constexpr count virtual_naps = 100;

/// The same numbers in go/time.go.
class dice {
  public:
    explicit dice(count seed) : x_(static_cast<std::uint64_t>(seed)) {}
    /// From 0 to n - 1.
    count below(std::uint64_t n) {
        x_ = x_ * 6364136223846793005U + 1442695040888963407U;
        return static_cast<count>((x_ >> 33) % n);
    }

  private:
    std::uint64_t x_;
};

double seconds(clock::duration d) { return std::chrono::duration<double>(d).count(); }

/// Runs f(n) as the main goroutine.
template <class F>
void in_goroutine(benchmark::State& state, F f) {
    in_one_batch(state, [&](count n) { return vole::run([&] { return f(n); }); });
}

// ---- timer_create_stop. One op: one timer of an hour with a channel made, stopped and dropped.

void timer_create_stop(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            vole::timer t(1h);
            if (!t.stop()) wrong("timer_create_stop");
        }
        return since(start);
    });
}

// ---- timer_func_create_stop. The same with a function.

void timer_func_create_stop(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            vole::timer t = vole::after_func(1h, [] {});
            if (!t.stop()) wrong("timer_func_create_stop");
        }
        return since(start);
    });
}

// ---- timer_reset: one timer with a function, to 2 h and to 1 h from now in turn. One op: one reset.

void timer_reset(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        const clock::duration away[] = {2h, 1h};
        vole::timer t = vole::after_func(1h, [] {});
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            if (!t.reset(away[i % 2])) wrong("timer_reset");
        }
        const double took = since(start);
        if (!t.stop()) wrong("timer_reset: fired");
        return took;
    });
}

// ---- timers_pending: a million timers with functions, an hour away and a microsecond apart, on fresh
// memory. One op: one of them started. Counters: resident memory and page tables of each, handle
// included; and what it took to stop it.

void timers_pending(benchmark::State& state) {
    in_goroutine(state, [&state](count) {
        std::vector<vole::timer> all;
        all.reserve(timers);
        const double before = resident();
        const auto start = bench_clock::now();
        for (count i = 0; i < timers; ++i) {
            const clock::duration d = clock::duration(1h) + std::chrono::microseconds(i);
            all.push_back(vole::after_func(d, [] {}));
        }
        const double took = since(start);
        state.counters["bytes_each"] = (resident() - before) / static_cast<double>(timers);
        const auto stopping = bench_clock::now();
        for (vole::timer& t : all) {
            if (!t.stop()) wrong("timers_pending");
        }
        state.counters["stop_ns"] = since(stopping) / static_cast<double>(timers) * 1e9;
        return took / static_cast<double>(timers);
    });
}

// ---- after_select: the usual time-out, one second that never passes, made anew for each receive from a
// channel that has something. That channel is filled while the clock stands. One op: one such select.

void after_select(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        auto c = vole::make_chan<count>(stock);
        double total = 0;
        for (count done = 0; done < n;) {
            const count m = std::min<count>(n - done, stock);
            for (count i = 0; i < m; ++i) c.send(i);
            const auto start = bench_clock::now();
            for (count i = 0; i < m; ++i) {
                if (vole::select(vole::on_recv(c), vole::on_recv(vole::after(1s))) != 0) {
                    wrong("after_select: timed out");
                }
            }
            total += since(start);
            done += m;
        }
        return total;
    });
}

// ---- sleepers: 100,000 goroutines wait at a gate; when it opens, each sleeps once, 1 to 100 ms. One op:
// the 99th percentile of what they overslept, each counted from its own call. Counters: the same and the
// middle, in us.

std::vector<double> overslept_by_all() {
    std::vector<double> late(sleepers_at_once);
    std::atomic<count> ready = 0;
    auto gate = vole::make_chan<count>();
    vole::wait_group all;
    dice random(1);
    for (double& mine : late) {
        const clock::duration nap = 1ms + std::chrono::nanoseconds(random.below(99'000'001));
        all.add(1);
        vole::go([&mine, &ready, &gate, &all, nap] {
            ready.fetch_add(1);
            gate.recv();
            const auto start = bench_clock::now();
            vole::sleep(nap);
            mine = since(start) - seconds(nap);
            all.done();
        });
    }
    while (ready.load() != sleepers_at_once) vole::gosched();
    gate.close();
    all.wait();
    std::sort(late.begin(), late.end());
    if (late.front() < 0) wrong("sleepers: too early");
    return late;
}

void sleepers(benchmark::State& state) {
    in_goroutine(state, [&state](count) {
        double p50 = std::numeric_limits<double>::max();
        double p99 = p50;
        for (int i = 0; i < turns; ++i) {
            const std::vector<double> late = overslept_by_all();
            p50 = std::min(p50, late[sleepers_at_once / 2]);
            p99 = std::min(p99, late[sleepers_at_once * 99 / 100]);
        }
        state.counters["p50_us"] = p50 * 1e6;
        state.counters["p99_us"] = p99 * 1e6;
        return p99;
    });
}

// ---- sleep_short: one goroutine sleeps 50 us again and again, nothing else to do. One op: what it
// overslept, in the mean.

void sleep_short(benchmark::State& state) {
    in_goroutine(state, [](count) {
        constexpr clock::duration nap = 50us;
        double least = std::numeric_limits<double>::max();
        for (int turn = 0; turn < turns; ++turn) {
            const auto start = bench_clock::now();
            for (int i = 0; i < short_naps; ++i) vole::sleep(nap);
            least = std::min(least, since(start) / short_naps - seconds(nap));
        }
        return least;
    });
}

// ---- ticker_drift: a ticker of 1 ms, one reader. One op: how long after start + k * 1 ms the k-th of
// 200 ticks arrived, in the mean; a tick that was dropped makes all later ones late. Counter: how long
// after the last whole millisecond since start, in us.

struct lateness {
    double mean = std::numeric_limits<double>::max();
    double since_due = mean;
};

lateness of_ticks() {
    constexpr clock::duration interval = 1ms;
    lateness sum{0, 0};
    const auto start = bench_clock::now();
    vole::ticker t(interval);
    const auto c = t.c();
    for (int k = 1; k <= ticks; ++k) {
        c.recv();
        const auto elapsed = bench_clock::now() - start;
        sum.mean += seconds(elapsed - k * interval);
        sum.since_due += seconds(elapsed % interval);
    }
    t.stop();
    return {sum.mean / ticks, sum.since_due / ticks};
}

void ticker_drift(benchmark::State& state) {
    in_goroutine(state, [&state](count) {
        lateness least;
        for (int i = 0; i < turns; ++i) {
            const lateness one = of_ticks();
            least.mean = std::min(least.mean, one.mean);
            least.since_due = std::min(least.since_due, one.since_due);
        }
        state.counters["since_due_us"] = least.since_due * 1e6;
        return least.mean;
    });
}

// ---- virtual_sleeps: 1,000 goroutines in a bubble, each sleeps 100 times 1 to 1000 ms of its time. One op:
// the whole test, 100,000 sleeps. Counter: of that, one sleep.

void virtual_sleeps(benchmark::State& state) {
    in_goroutine(state, [&state](count n) {
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            vole::synctest::test({.seed = 1}, [] {
                vole::wait_group all;
                for (count g = 0; g < virtual_sleepers; ++g) {
                    all.add(1);
                    vole::go([&all, g] {
                        dice random(g);
                        for (count k = 0; k < virtual_naps; ++k) {
                            vole::sleep(std::chrono::milliseconds(1 + random.below(1000)));
                        }
                        all.done();
                    });
                }
                all.wait();
            });
        }
        const double took = since(start);
        state.counters["sleep_ns"] =
            took * 1e9 / static_cast<double>(n * virtual_sleepers * virtual_naps);
        return took;
    });
}

BENCHMARK(timer_create_stop)->UseManualTime();
BENCHMARK(timer_func_create_stop)->UseManualTime();
BENCHMARK(timer_reset)->UseManualTime();
BENCHMARK(timers_pending)->UseManualTime()->Iterations(1);
BENCHMARK(after_select)->UseManualTime();
BENCHMARK(sleepers)->UseManualTime()->Iterations(1);
BENCHMARK(sleep_short)->UseManualTime()->Iterations(1);
BENCHMARK(ticker_drift)->UseManualTime()->Iterations(1);
BENCHMARK(virtual_sleeps)->UseManualTime();

}  // namespace
