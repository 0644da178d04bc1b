// Growing stacks: built as programs with growing stacks are (vole_copying_dep), beside go/stacks.go. The
// shapes are the same; harness.hpp tells how a benchmark is measured.
#include <vole/vole.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "test/bench/harness.hpp"

namespace {

using namespace vole_bench;

constexpr count levels = 100'000;
constexpr count often = 1'000'000;

// Runs f() in a goroutine of that policy and waits for what it returns.
template <class F>
double on_stack(vole::stack_policy policy, F f) {
    return vole::run([&] {
        auto result = vole::make_chan<double>();
        vole::go({.stack = policy}, [&] { result.send(f()); });
        return result.recv().value_or(0);
    });
}

struct parent {
    const parent* up;
    count words[6];
};

// A frame with 48 bytes of its own and a look at the caller's.
[[gnu::noinline]] count descend(const parent* up, count n) {
    parent self{up, {n, n, n, n, n, n}};
    asm volatile("" : : "r"(&self) : "memory");
    if (n == 0) return 0;
    return descend(&self, n - 1) + self.words[3] - up->words[2] + 1;
}

[[gnu::noinline]] double time_of_descent() {
    const parent top{nullptr, {levels, levels, levels, levels, levels, levels}};
    const auto start = bench_clock::now();
    descend(&top, levels);
    return since(start);
}

// ---- recursion: 100,000 levels. One op: one descent, by a goroutine's first and second.

template <int number>
void recursion(benchmark::State& state) {
    in_one_batch(state, [](count) {
        return on_stack(vole::stack_policy::dense(), [] {
            double last = 0;
            for (int i = 0; i < number; ++i) last = time_of_descent();
            return last;
        });
    });
}

// ---- recursion_copying: the same by moving the stack, the first time. Counter: what doubling costs for
// each KiB that is copied; all copies together move about as much as the last stack holds.

void recursion_copying(benchmark::State& state) {
    in_one_batch(state, [&state](count) {
        return on_stack(vole::stack_policy::copying(), [&state] {
            const double first = time_of_descent();
            const double again = time_of_descent();
            const double kib = static_cast<double>(vole::stack::size()) / 1024;
            state.counters["copy_ns_per_kib"] = std::max(0.0, first - again) * 1e9 / kib;
            return first;
        });
    });
}

// ---- hot_split: a call that crosses the end of a segment, in a loop. One op: one call. Counter: how
// much dearer than the same call further up the stack.

[[gnu::noinline]] count crossing(count x) {
    char block[200];
    asm volatile("" : : "r"(block) : "memory");
    return x + 1;
}

// Its frame is larger than a step of cross_at, so that some depth has the end right below it.
[[gnu::noinline]] count cross_often(count n) {
    char block[96];
    asm volatile("" : : "r"(block) : "memory");
    count sum = 0;
    for (count i = 0; i < n; ++i) sum = crossing(sum);
    asm volatile("" : : "r"(block) : "memory");
    return sum;
}

[[gnu::noinline]] count cross_at(int depth, count n) {
    char block[16];
    asm volatile("" : : "r"(block) : "memory");
    const count sum = depth == 0 ? cross_often(n) : cross_at(depth - 1, n);
    asm volatile("" : : "r"(block) : "memory");
    return sum;
}

void hot_split(benchmark::State& state) {
    in_one_batch(state, [&state](count) {
        return on_stack(vole::stack_policy::reserved(32 * 1024 + 4096), [&state] {
            double least = std::numeric_limits<double>::max();
            double most = 0;
            for (int depth = 0; depth < 120; ++depth) {
                double best = std::numeric_limits<double>::max();
                for (int k = 0; k < 3; ++k) {
                    const auto start = bench_clock::now();
                    benchmark::DoNotOptimize(cross_at(depth, often / 10));
                    best = std::min(best, since(start) / (often / 10));
                }
                least = std::min(least, best);
                most = std::max(most, best);
            }
            state.counters["extra_ns"] = (most - least) * 1e9;
            return most;
        });
    });
}

// ---- parked_dense: a million goroutines; each formats a number, makes a string, throws and catches it,
// then blocks on one channel. One op: the whole million. Counter: resident memory and page tables of each.

[[gnu::noinline]] std::size_t use_libraries(count i) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%ld %f", static_cast<long>(i),
                  static_cast<double>(i) * 0.5);
    const std::string copy(text.data());
    try {
        throw std::runtime_error(copy);
    } catch (const std::exception& e) {
        return std::strlen(e.what());
    }
}

void parked_dense(benchmark::State& state) {
    in_one_batch(state, [&state](count) {
        return vole::run([&state] {
            const double before = resident();
            static auto& gate = *new vole::chan<int>(vole::make_chan<int>());
            static std::atomic<count> ready = 0;
            const auto start = bench_clock::now();
            for (count i = 0; i < crowd; ++i) {
                vole::go({.stack = vole::stack_policy::dense()}, [i] {
                    if (use_libraries(i) < 3) wrong("parked_dense");
                    ready.fetch_add(1);
                    gate.recv();
                });
            }
            while (ready.load() != crowd) vole::gosched();
            const double seconds = since(start);
            state.counters["bytes_each"] = (resident() - before) / static_cast<double>(crowd);
            return seconds;
        });
    });
}

BENCHMARK(recursion<1>)->Name("recursion_first")->UseManualTime()->Iterations(1);
BENCHMARK(recursion<2>)->Name("recursion_again")->UseManualTime()->Iterations(1);
BENCHMARK(recursion_copying)->UseManualTime()->Iterations(1);
BENCHMARK(hot_split)->UseManualTime()->Iterations(1);
BENCHMARK(parked_dense)->UseManualTime()->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
