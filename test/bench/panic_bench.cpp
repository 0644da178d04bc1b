// Exceptions and panics, beside go/panic.go: what a throw costs in a goroutine and on a plain thread, and
// a panic that is recovered.
#include <vole/vole.hpp>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "test/bench/harness.hpp"

namespace {

using namespace vole_bench;

constexpr int depth = 5;

struct local {
    std::uint64_t* x;
    ~local() { *x += 1; }
};

[[gnu::noinline]] void throw_below(int levels, std::uint64_t* x) {
    const local l{x};
    if (levels == 0) throw *x;
    throw_below(levels - 1, x);
    benchmark::DoNotOptimize(x);
}

double throw_and_catch(count n) {
    std::uint64_t x = 0;
    const auto start = bench_clock::now();
    for (count i = 0; i < n; ++i) {
        try {
            throw_below(depth, &x);
        } catch (std::uint64_t thrown) {
            benchmark::DoNotOptimize(thrown);
        }
    }
    return since(start);
}

// As many at once as there are Ps; each does n. The slowest counts.
double on_goroutines(count n) {
    const auto workers = static_cast<std::size_t>(vole::gomaxprocs());
    std::vector<double> took(workers);
    vole::run([&] {
        std::atomic<std::size_t> ready{0};
        vole::wait_group all;
        for (double& t : took) {
            all.go([&] {
                for (++ready; ready < workers;) {
                }
                t = throw_and_catch(n);
            });
        }
        all.wait();
    });
    return *std::max_element(took.begin(), took.end());
}
double on_threads(count n) {
    const auto workers = static_cast<std::size_t>(vole::gomaxprocs());
    std::vector<double> took(workers);
    std::atomic<std::size_t> ready{0};
    std::vector<std::thread> all;
    for (double& t : took) {
        all.emplace_back([&] {
            for (++ready; ready < workers;) {
            }
            t = throw_and_catch(n);
        });
    }
    for (std::thread& t : all) t.join();
    return *std::max_element(took.begin(), took.end());
}

// ---- throw_catch: an exception through five frames with a destructor each, in one goroutine for each P at
// once. Counter: its time over that of as many plain threads, in turns, minima of both.

void throw_catch(benchmark::State& state) {
    in_one_batch(state, [&state](count) {
        constexpr count n = 20'000;
        constexpr int turns = 15;
        double best_goroutines = 1e9;
        double best_threads = 1e9;
        for (int i = 0; i < turns; ++i) {
            best_goroutines = std::min(best_goroutines, on_goroutines(n));
            best_threads = std::min(best_threads, on_threads(n));
        }
        state.counters["over_thread"] = best_goroutines / best_threads;
        return best_goroutines / n;
    });
}

// ---- panic_recover: a panic that a deferred call of the same frame recovers.

void panic_recover(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        return vole::run([n] {
            const auto start = bench_clock::now();
            for (count i = 0; i < n; ++i) {
                vole::recovering([i] {
                    vole::defer d{[] { benchmark::DoNotOptimize(vole::recover()); }};
                    vole::panic(i);
                });
            }
            return since(start);
        });
    });
}

// ---- defer_call: a deferred call in a frame of its own, nothing goes wrong.

[[gnu::noinline]] void with_defer(std::uint64_t* x) {
    vole::defer d{[x] { *x += 1; }};
    benchmark::DoNotOptimize(x);
}

void defer_call(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        return vole::run([n] {
            std::uint64_t x = 0;
            const auto start = bench_clock::now();
            for (count i = 0; i < n; ++i) with_defer(&x);
            return since(start);
        });
    });
}

BENCHMARK(throw_catch)->UseManualTime()->Iterations(1);
BENCHMARK(panic_recover)->UseManualTime();
BENCHMARK(defer_call)->UseManualTime();

}  // namespace
