// Vole's side of the comparison. Shapes and counts are those of go/main.go and boost_bench.cpp;
// harness.hpp tells how a benchmark is measured. The number of Ps is VOLE_MAXPROCS.
//
// Every body runs in the main goroutine of its own vole::run, except switch_raw, which has no
// runtime under it at all.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <utility>

#include <vole/arch/port.hpp>
#include <vole/vole.hpp>

#include "test/bench/harness.hpp"

namespace {

using namespace vole_bench;

/// Runs f(n) as the main goroutine.
template <class F>
void in_goroutine(benchmark::State& state, F f) {
    in_one_batch(state, [&](count n) { return vole::run([&] { return f(n); }); });
}

// ---- switch_raw: the assembly alone, without a runtime. One op: one switch, half of a round trip.
// Both contexts switch in the same place, as goroutines do, whose every switch is the scheduler's.

struct raw_pair {
    vole::arch::gobuf here;
    vole::arch::gobuf there;
};

[[gnu::noinline]] void switch_often(vole::arch::gobuf* from, vole::arch::gobuf* to, count n) {
    for (count i = 0; i < n; ++i) vole::arch::vole_switch(from, to);
}

void same_place(void* arg) {
    auto* p = static_cast<raw_pair*>(arg);
    for (;;) switch_often(&p->there, &p->here, 1 << 20);
}

// switch_raw_sites: the partner switches in another place of the code, so that the processor's
// return predictor is wrong each time. It shows what a mispredicted switch costs.
void other_place(void* arg) {
    auto* p = static_cast<raw_pair*>(arg);
    for (;;) vole::arch::vole_switch(&p->there, &p->here);
}

template <void (*Partner)(void*)>
void switch_raw(benchmark::State& state) {
    in_one_batch(state, [](count n) {
        constexpr std::size_t bytes = 64 * 1024;
        auto stack = std::make_unique<std::byte[]>(bytes);
        raw_pair p;
        // The first entry; the partner comes back at once and is from then on a suspended context.
        vole::arch::vole_mcall(&p.here, stack.get() + bytes, Partner, &p);
        const auto start = bench_clock::now();
        switch_often(&p.here, &p.there, n / 2);
        return since(start);
    });
}

// ---- yield: two goroutines, n/2 calls each. One op: one call of gosched.

void yield(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::wait_group wg;
        const auto start = bench_clock::now();
        wg.add(2);
        for (int k = 0; k < 2; ++k) {
            vole::go([&wg, n] {
                for (count i = 0; i < n / 2; ++i) vole::gosched();
                wg.done();
            });
        }
        wg.wait();
        return since(start);
    });
}

// ---- spawn_exit. One op: one goroutine started, run to its end and waited for.

void spawn_exit(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::wait_group wg;
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            wg.add(1);
            vole::go([&wg] { wg.done(); });
            wg.wait();
        }
        return since(start);
    });
}

// ---- pingpong: two goroutines, two unbuffered channels. One op: one hop, half of a round trip.

/// One side's partner; it ends when ping is closed.
void bounce(vole::chan<count> ping, vole::chan<count> pong) {
    while (auto v = ping.recv()) pong.send(*v);
    pong.close();
}

void pingpong(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        auto ping = vole::make_chan<count>();
        auto pong = vole::make_chan<count>();
        vole::go(bounce, ping, pong);
        const auto start = bench_clock::now();
        for (count i = 0; i < n / 2; ++i) {
            ping.send(i);
            pong.recv();
        }
        const double seconds = since(start);
        ping.close();
        pong.recv();
        return seconds;
    });
}

// ---- pingpong_pairs: 32 pairs at once, so that every P has work. One op: one hop of any pair.

void pingpong_pairs(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::wait_group wg;
        const auto start = bench_clock::now();
        wg.add(pairs);
        for (int k = 0; k < pairs; ++k) {
            vole::go([&wg, n] {
                auto ping = vole::make_chan<count>();
                auto pong = vole::make_chan<count>();
                vole::go(bounce, ping, pong);
                for (count i = 0; i < n / 2 / pairs; ++i) {
                    ping.send(i);
                    pong.recv();
                }
                ping.close();
                pong.recv();
                wg.done();
            });
        }
        wg.wait();
        return since(start);
    });
}

// ---- pingpong_locked: both goroutines locked to threads of their own, hence always across
// threads and Ps. One op: one hop.

void pingpong_locked(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        auto ping = vole::make_chan<count>();
        auto pong = vole::make_chan<count>();
        vole::lock_os_thread();
        vole::go([ping, pong] {
            vole::lock_os_thread();
            bounce(ping, pong);
            vole::unlock_os_thread();
        });
        const auto start = bench_clock::now();
        for (count i = 0; i < n / 2; ++i) {
            ping.send(i);
            pong.recv();
        }
        const double seconds = since(start);
        ping.close();
        pong.recv();
        vole::unlock_os_thread();
        return seconds;
    });
}

// ---- buffered: one producer, one consumer, capacity 128. One op: one item sent and received.

void buffered(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        auto c = vole::make_chan<count>(128);
        const auto start = bench_clock::now();
        vole::go([c, n]() mutable {
            for (count i = 0; i < n; ++i) c.send(i);
            c.close();
        });
        while (c.recv()) {
        }
        return since(start);
    });
}

// ---- select. `case_of` makes the cases; the pack keeps the number of cases a constant, as the
// select statement of Go does.

template <std::size_t N>
using channels = std::array<vole::chan<count>, N>;

template <std::size_t N>
channels<N> make_channels(std::size_t capacity) {
    channels<N> c;
    for (auto& one : c) one = vole::make_chan<count>(capacity);
    return c;
}

template <std::size_t N>
std::size_t select_any(channels<N>& c) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
        return vole::select(vole::on_recv(c[I])...);
    }
    (std::make_index_sequence<N>{});
}

// select_ready: the first channel holds a stock of values, filled while the clock stands; the
// others are empty. One op: one select that takes a value at once.
template <std::size_t N>
void select_ready(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        auto c = make_channels<N>(stock);
        double total = 0;
        for (count done = 0; done < n;) {
            const count m = std::min<count>(n - done, stock);
            for (count i = 0; i < m; ++i) c[0].send(i);
            const auto start = bench_clock::now();
            for (count i = 0; i < m; ++i) select_any(c);
            total += since(start);
            done += m;
        }
        return total;
    });
}

// select_blocked: unbuffered channels, served in turn by a partner that waits for an
// acknowledgement before it sends again, so that the select always finds nothing and parks.
// One op: one parked select, woken, and its acknowledgement.
template <std::size_t N>
void select_blocked(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        auto c = make_channels<N>(0);
        auto ack = vole::make_chan<count>();
        vole::go([c, ack, n]() mutable {
            for (count i = 0; i < n; ++i) {
                c[static_cast<std::size_t>(i) % N].send(i);
                ack.recv();
            }
        });
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            select_any(c);
            ack.send(i);
        }
        return since(start);
    });
}

// ---- mutex: nobody else wants it. One op: one lock and unlock around an increment.

void mutex(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::mutex mu;
        count counter = 0;
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            mu.lock();
            benchmark::DoNotOptimize(++counter);
            mu.unlock();
        }
        const double seconds = since(start);
        if (counter != n) wrong("mutex");
        return seconds;
    });
}

// ---- mutex_contended: 64 goroutines on one mutex. One op: one lock and unlock around an
// increment.

void mutex_contended(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::mutex mu;
        vole::wait_group wg;
        count counter = 0;
        const auto start = bench_clock::now();
        wg.add(contenders);
        for (int k = 0; k < contenders; ++k) {
            vole::go([&, n] {
                for (count i = 0; i < n / contenders; ++i) {
                    mu.lock();
                    benchmark::DoNotOptimize(++counter);
                    mu.unlock();
                }
                wg.done();
            });
        }
        wg.wait();
        const double seconds = since(start);
        if (counter != n / contenders * contenders) wrong("mutex_contended");
        return seconds;
    });
}

// ---- skynet: a tree of goroutines ten wide and six deep, a million leaves; every node sums its
// children over one unbuffered channel. One op: one whole tree. One tree before the clock runs.

void skynet_node(vole::chan<count> parent, count num, count size) {
    if (size == 1) {
        parent.send(num);
        return;
    }
    auto c = vole::make_chan<count>();
    for (count i = 0; i < 10; ++i) vole::go(skynet_node, c, num + i * (size / 10), size / 10);
    count sum = 0;
    for (int i = 0; i < 10; ++i) sum += *c.recv();
    parent.send(sum);
}

void skynet_once() {
    auto c = vole::make_chan<count>();
    vole::go(skynet_node, c, count{0}, leaves);
    if (c.recv() != leaf_sum) wrong("skynet");
}

void skynet(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        skynet_once();
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) skynet_once();
        return since(start);
    });
}

// ---- parked: a million goroutines started; each reports itself and blocks on one channel. One
// op: the whole million; the clock stops when the last has reported. Fresh memory, on purpose:
// this is what a program pays that does it once. Counter: resident memory and page tables of each.

void parked(benchmark::State& state) {
    in_goroutine(state, [&state](count) {
        const double before = resident();
        // Never freed: the million still waits on it when the process ends.
        static auto& gate = *new vole::chan<count>(vole::make_chan<count>());
        static std::atomic<count> ready = 0;
        const auto start = bench_clock::now();
        for (count i = 0; i < crowd; ++i) {
            vole::go([] {
                ready.fetch_add(1);
                gate.recv();
            });
        }
        while (ready.load() != crowd) vole::gosched();
        const double seconds = since(start);
        state.counters["bytes_each"] = (resident() - before) / static_cast<double>(crowd);
        return seconds;
    });
}

// ---- steal_balance: one goroutine starts bursts of 1024 tasks of a few microseconds each and
// waits for each burst; the other Ps can only live by stealing. One op: one task.
// Counter: what the work of one task takes alone; the driver makes the balance of it.

void steal_balance(benchmark::State& state) {
    in_goroutine(state, [&state](count n) {
        const auto t = bench_clock::now();
        for (count i = 0; i < burst; ++i) {
            benchmark::DoNotOptimize(work(static_cast<std::uint64_t>(i)));
        }
        const double alone = since(t) / static_cast<double>(burst);
        std::atomic<std::uint64_t> sum = 0;
        const auto start = bench_clock::now();
        for (count done = 0; done < n;) {
            const count m = std::min(n - done, burst);
            vole::wait_group wg;
            wg.add(static_cast<int>(m));
            for (count i = 0; i < m; ++i) {
                vole::go([&sum, &wg, i] {
                    sum.fetch_add(work(static_cast<std::uint64_t>(i)));
                    wg.done();
                });
            }
            wg.wait();
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
BENCHMARK(yield)->UseManualTime();
BENCHMARK(spawn_exit)->UseManualTime();
BENCHMARK(pingpong)->UseManualTime();
BENCHMARK(pingpong_pairs)->UseManualTime();
BENCHMARK(pingpong_locked)->UseManualTime();
BENCHMARK(buffered)->UseManualTime();
BENCHMARK(select_ready<2>)->Name("select_ready_2")->UseManualTime();
BENCHMARK(select_ready<8>)->Name("select_ready_8")->UseManualTime();
BENCHMARK(select_blocked<2>)->Name("select_blocked_2")->UseManualTime();
BENCHMARK(select_blocked<8>)->Name("select_blocked_8")->UseManualTime();
BENCHMARK(mutex)->UseManualTime();
BENCHMARK(mutex_contended)->UseManualTime();
BENCHMARK(skynet)->UseManualTime()->Iterations(1);
BENCHMARK(parked)->UseManualTime()->Iterations(1);
BENCHMARK(steal_balance)->UseManualTime();

}  // namespace

BENCHMARK_MAIN();
