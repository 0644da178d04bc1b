// Coroutines, beside a raw Boost.Context round trip (boost_bench.cpp), and beside what Go 1.19 has for the purpose: a
// goroutine that sends to a channel (go/coro.go).
#include <vole/coro.hpp>
#include <vole/iter.hpp>
#include <vole/vole.hpp>

#include "test/bench/harness.hpp"

namespace {

using namespace vole_bench;

auto numbers() {
    return [](vole::iter::yielder<count> yield) {
        for (count i = 0; yield(i); ++i) {
        }
    };
}

// One op: one next(), with its value: there and back.
void coro_next(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        return vole::run([n] {
            auto p = vole::iter::pull(numbers());
            count sum = *p.next();
            const auto start = bench_clock::now();
            for (count i = 0; i < n; ++i) sum += *p.next();
            const double seconds = since(start);
            if (sum != n * (n + 1) / 2) wrong("coro_next");
            return seconds;
        });
    });
}

// One op: a sequence made, one value taken, and stopped.
void coro_create(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        return vole::run([n] {
            count sum = 0;
            const auto start = bench_clock::now();
            for (count i = 0; i < n; ++i) {
                auto p = vole::iter::pull(numbers());
                sum += *p.next() + 1;
            }
            const double seconds = since(start);
            if (sum != n) wrong("coro_create");
            return seconds;
        });
    });
}

BENCHMARK(coro_next)->UseManualTime();
BENCHMARK(coro_create)->UseManualTime();

}  // namespace
