// Boost's side of the comparison: Boost.Context for the raw switch, Boost.Fiber for the rest.
// Shapes and counts are those of go/main.go and vole_bench.cpp; harness.hpp tells how a benchmark
// is measured. BENCH_PROCS is the number of threads.
//
// One thread runs Boost.Fiber's round-robin scheduler, which is its default and fastest; more run
// its work-stealing scheduler, idle threads spinning (put to sleep they would miss all work that
// another thread has). Stacks are 16 KiB instead of Boost's 128 KiB, which would cost it an mmap
// for each fiber; where a million of them are alive, 8 KiB; and malloc keeps what is freed, so that
// Boost need not fault its stacks in again and again. Boost.Fiber has no select: those benchmarks
// are missing here.
#include <boost/context/detail/fcontext.hpp>
#include <boost/fiber/algo/work_stealing.hpp>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "test/bench/boost_fiber.hpp"
#include "test/bench/harness.hpp"

namespace {

using namespace vole_bench;
using channel = fibers::unbuffered_channel<count>;

// One op: one switch, half of a round trip: both contexts in the same place of the code, or the
// partner in another.

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::transfer_t;

[[gnu::noinline]] fcontext_t switch_often(fcontext_t to, count n) {
    for (count i = 0; i < n; ++i) to = jump_fcontext(to, nullptr).fctx;
    return to;
}

void same_place(transfer_t t) {
    for (;;) t.fctx = switch_often(t.fctx, 1 << 20);
}

void other_place(transfer_t t) {
    for (;;) t = jump_fcontext(t.fctx, nullptr);
}

template <void (*Partner)(transfer_t)>
void switch_raw(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        constexpr std::size_t bytes = 64 * 1024;
        auto stack = std::make_unique<std::byte[]>(bytes);
        auto partner = boost::context::detail::make_fcontext(stack.get() + bytes, bytes, Partner);
        partner = jump_fcontext(partner, nullptr).fctx;
        const auto start = bench_clock::now();
        switch_often(partner, n / 2);
        return since(start);
    });
}

// coro_next. One op: one round trip of the bare context switch, with the address of a number.

void count_up(transfer_t t) {
    for (count i = 0;; ++i) t = jump_fcontext(t.fctx, &i);
}

void coro_next(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        constexpr std::size_t bytes = 64 * 1024;
        auto stack = std::make_unique<std::byte[]>(bytes);
        auto t = jump_fcontext(
            boost::context::detail::make_fcontext(stack.get() + bytes, bytes, count_up), nullptr);
        count sum = *static_cast<count*>(t.data);
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            t = jump_fcontext(t.fctx, nullptr);
            sum += *static_cast<count*>(t.data);
        }
        const double seconds = since(start);
        if (sum != n * (n + 1) / 2) wrong("coro_next");
        return seconds;
    });
}

// One op: one call of yield, by one of two fibers.

void yield(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        auto body = [n] {
            for (count i = 0; i < n / 2; ++i) boost::this_fiber::yield();
        };
        const auto start = bench_clock::now();
        fiber a = start_fiber(body);
        fiber b = start_fiber(body);
        a.join();
        b.join();
        return since(start);
    });
}

// One op: one fiber started, run to its end and joined.

void spawn_exit(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) start_fiber([] {}).join();
        return since(start);
    });
}

// One op: one hop, half of a round trip over two unbuffered channels.

void bounce(channel& ping, channel& pong) {
    count v = 0;
    while (ping.pop(v) == fibers::channel_op_status::success) pong.push(v);
    pong.close();
}

/// Does `hops` hops and closes.
void drive(count hops, channel& ping, channel& pong) {
    count v = 0;
    for (count i = 0; i < hops / 2; ++i) {
        ping.push(i);
        pong.pop(v);
    }
    ping.close();
}

void pingpong(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        channel ping;
        channel pong;
        fiber partner = start_fiber([&] { bounce(ping, pong); });
        const auto start = bench_clock::now();
        drive(n, ping, pong);
        const double seconds = since(start);
        partner.join();
        return seconds;
    });
}

// One op: one hop of any of 32 pairs.

void pingpong_pairs(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        std::vector<fiber> all;
        const auto start = bench_clock::now();
        for (int k = 0; k < pairs; ++k) {
            all.push_back(start_fiber([n] {
                channel ping;
                channel pong;
                fiber partner = start_fiber([&] { bounce(ping, pong); });
                drive(n / pairs, ping, pong);
                partner.join();
            }));
        }
        for (auto& f : all) f.join();
        return since(start);
    });
}

// One op: one hop between the main fibers of two threads.

void pingpong_locked(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        channel ping;
        channel pong;
        std::thread partner([&] { bounce(ping, pong); });
        const auto start = bench_clock::now();
        drive(n, ping, pong);
        const double seconds = since(start);
        partner.join();
        return seconds;
    });
}

// One op: one item through a channel of capacity 128 (Boost keeps one of the slots empty).

void buffered(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        fibers::buffered_channel<count> c(128);
        const auto start = bench_clock::now();
        fiber producer = start_fiber([&c, n] {
            for (count i = 0; i < n; ++i) c.push(i);
            c.close();
        });
        count v = 0;
        while (c.pop(v) == fibers::channel_op_status::success) {
        }
        const double seconds = since(start);
        producer.join();
        return seconds;
    });
}

// One op: one lock and unlock around an increment, nobody else there.

void mutex(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        fibers::mutex mu;
        count counter = 0;
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            mu.lock();
            benchmark::DoNotOptimize(++counter);
            mu.unlock();
        }
        return since(start);
    });
}

// One op: one lock and unlock around an increment, by one of 64 fibers.

void mutex_contended(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        fibers::mutex mu;
        count counter = 0;
        std::vector<fiber> all;
        const auto start = bench_clock::now();
        for (int k = 0; k < contenders; ++k) {
            all.push_back(start_fiber([&, n] {
                for (count i = 0; i < n / contenders; ++i) {
                    mu.lock();
                    benchmark::DoNotOptimize(++counter);
                    mu.unlock();
                }
            }));
        }
        for (auto& f : all) f.join();
        const double seconds = since(start);
        if (counter != n / contenders * contenders) wrong("mutex_contended");
        return seconds;
    });
}

// One op: one tree of a million leaves. One tree before the clock runs.

constexpr std::size_t small_stack = 8 * 1024;
using sums = fibers::unbuffered_channel<count>;

void skynet_node(sums& parent, count num, count size) {
    if (size == 1) {
        parent.push(num);
        return;
    }
    sums c;
    for (count i = 0; i < 10; ++i) {
        start_fiber([&c, num, size, i] { skynet_node(c, num + i * (size / 10), size / 10); },
                    small_stack)
            .detach();
    }
    count sum = 0;
    for (int i = 0; i < 10; ++i) {
        count v = 0;
        c.pop(v);
        sum += v;
    }
    parent.push(sum);
}

void skynet_once() {
    sums c;
    start_fiber([&c] { skynet_node(c, 0, leaves); }, small_stack).detach();
    count v = 0;
    c.pop(v);
    if (v != leaf_sum) wrong("skynet");
}

void skynet(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        skynet_once();
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) skynet_once();
        return since(start);
    });
}

// One op: a million fibers started and blocked on one channel.

void parked(benchmark::State& state) {
    const double before = resident();
    auto* gate = new channel;
    static std::atomic<count> ready = 0;
    in_one_batch(state, [&](count) {
        const auto start = bench_clock::now();
        for (count i = 0; i < crowd; ++i) {
            start_fiber(
                [gate] {
                    ready.fetch_add(1);
                    count v = 0;
                    gate->pop(v);
                },
                small_stack)
                .detach();
        }
        while (ready.load() != crowd) boost::this_fiber::yield();
        return since(start);
    });
    state.counters["bytes_each"] = (resident() - before) / static_cast<double>(crowd);
}

// One op: one task of a burst started by one fiber.

void steal_balance(benchmark::State& state) {
    in_one_batch(state, [&state](count n) {
        const auto t = bench_clock::now();
        for (count i = 0; i < burst; ++i) {
            benchmark::DoNotOptimize(work(static_cast<std::uint64_t>(i)));
        }
        const double alone = since(t) / static_cast<double>(burst);
        std::atomic<std::uint64_t> sum = 0;
        std::vector<fiber> all;
        all.reserve(burst);
        const auto start = bench_clock::now();
        for (count done = 0; done < n;) {
            const count m = std::min(n - done, burst);
            for (count i = 0; i < m; ++i) {
                all.push_back(
                    start_fiber([&sum, i] { sum.fetch_add(work(static_cast<std::uint64_t>(i))); }));
            }
            for (auto& f : all) f.join();
            all.clear();
            done += m;
        }
        const double seconds = since(start);
        benchmark::DoNotOptimize(sum.load());
        state.counters["work_ns"] = alone * 1e9;
        return seconds;
    });
}

BENCHMARK(switch_raw<same_place>)->Name("switch_raw")->UseManualTime();
BENCHMARK(switch_raw<other_place>)->Name("switch_raw_sites")->UseManualTime();
BENCHMARK(coro_next)->UseManualTime();
BENCHMARK(yield)->UseManualTime();
BENCHMARK(spawn_exit)->UseManualTime();
BENCHMARK(pingpong)->UseManualTime();
BENCHMARK(pingpong_pairs)->UseManualTime();
BENCHMARK(pingpong_locked)->UseManualTime();
BENCHMARK(buffered)->UseManualTime();
BENCHMARK(mutex)->UseManualTime();
BENCHMARK(mutex_contended)->UseManualTime();
BENCHMARK(skynet)->UseManualTime()->Iterations(1);
BENCHMARK(parked)->UseManualTime()->Iterations(1);
BENCHMARK(steal_balance)->UseManualTime();

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    const unsigned procs = peer_procs();
    mallopt(M_TRIM_THRESHOLD, -1);
    mallopt(M_MMAP_MAX, 0);
    if (procs > 1) {
        // The pool. Its threads live until the process ends, which std::_Exit does below: the
        // scheduler has no way to stop while a million fibers wait.
        for (unsigned i = 1; i < procs; ++i) {
            std::thread([procs] {
                fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(procs);
                fibers::mutex mu;
                std::unique_lock lock(mu);
                fibers::condition_variable never;
                never.wait(lock, [] { return false; });
            }).detach();
        }
        fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(procs);
    }
    benchmark::RunSpecifiedBenchmarks();
    std::fflush(stdout);
    std::_Exit(0);
}
