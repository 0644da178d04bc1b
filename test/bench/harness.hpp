// What the C++ sides of the comparison share.
//
// A benchmark is a function of n that does n operations and returns the seconds they took; what
// one operation is stands beside each. Google Benchmark chooses n: the state's whole budget is
// taken in one batch, so set-up and tear-down can stay outside the clock without the price of
// pausing a timer, and the Go program (go/main.go) can have exactly the same shape.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vole_bench {

using bench_clock = std::chrono::steady_clock;
using count = std::int64_t;

inline double since(bench_clock::time_point start) {
    return std::chrono::duration<double>(bench_clock::now() - start).count();
}

/// Does the state's whole budget of iterations as one call of `f(n)`.
template <class F>
void in_one_batch(benchmark::State& state, F&& f) {
    const auto n = static_cast<count>(state.max_iterations);
    while (state.KeepRunningBatch(n)) state.SetIterationTime(f(n));
}

/// This process's memory in RAM and its page tables, in bytes.
inline double resident() {
    std::FILE* file = std::fopen("/proc/self/status", "re");
    if (file == nullptr) return 0;
    char line[256];
    double sum = 0;
    while (std::fgets(line, sizeof line, file) != nullptr) {
        if (std::strncmp(line, "VmRSS:", 6) == 0 || std::strncmp(line, "VmPTE:", 6) == 0) {
            sum += std::strtod(line + 6, nullptr) * 1024;
        }
    }
    std::fclose(file);
    return sum;
}

/// A few microseconds of dependent arithmetic that no compiler folds; the same in go/main.go.
inline std::uint64_t work(std::uint64_t x) {
    for (int i = 0; i < 4096; ++i) x = x * 6364136223846793005U + 1442695040888963407U;
    return x;
}

inline constexpr int pairs = 32;            // pingpong_pairs
inline constexpr int stock = 1024;          // select_ready
inline constexpr int contenders = 64;       // mutex_contended
inline constexpr count burst = 1024;        // steal_balance
inline constexpr count crowd = 1'000'000;   // parked
inline constexpr count leaves = 1'000'000;  // skynet
inline constexpr count leaf_sum = 499'999'500'000;

/// How many Ps a side without a variable of its own is to have: BENCH_PROCS, else one.
inline unsigned peer_procs() {
    const char* text = std::getenv("BENCH_PROCS");
    return text == nullptr ? 1 : static_cast<unsigned>(std::max(1, std::atoi(text)));
}

[[noreturn]] inline void wrong(const char* what) {
    std::fprintf(stderr, "benchmark computed a wrong result: %s\n", what);
    std::abort();
}

}  // namespace vole_bench
