// The rest of sync, contexts and task groups, beside go/sync.go, and beside std where it has the like (on threads, hence
// only what one thread does alone). Each is the same loop on all sides.
#include <vole/context.hpp>
#include <vole/task_group.hpp>
#include <vole/vole.hpp>

#include <memory>
#include <shared_mutex>
#include <vector>

#include "test/bench/harness.hpp"

namespace {

using namespace vole_bench;

/// Runs f(n) as the main goroutine.
template <class F>
void in_goroutine(benchmark::State& state, F f) {
    in_one_batch(state, [&](count n) { return vole::run([&] { return f(n); }); });
}

/// work(i) for n operations, shared by as many goroutines; seconds.
template <class F>
double shared_by(int goroutines, count n, F work) {
    vole::wait_group all;
    const auto start = bench_clock::now();
    for (int g = 0; g < goroutines; ++g) {
        all.go([&work, g, each = n / goroutines] {
            for (count i = 0; i < each; ++i) work(g, i);
        });
    }
    all.wait();
    return since(start);
}

constexpr int sharers = 8;
constexpr int keys = 1024;

// ---- one operation: a reader's lock and unlock

void rw_read(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::rw_mutex m;
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            m.lock_shared();
            m.unlock_shared();
        }
        return since(start);
    });
}

void rw_read_shared(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::rw_mutex m;
        return shared_by(sharers, n, [&m](int, count) {
            m.lock_shared();
            m.unlock_shared();
        });
    });
}

// Every 16th writes.
void rw_mixed(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::rw_mutex m;
        count written = 0;
        return shared_by(sharers, n, [&m, &written](int, count i) {
            if (i % 16 == 0) {
                m.lock();
                ++written;
                m.unlock();
            } else {
                m.lock_shared();
                benchmark::DoNotOptimize(written);
                m.unlock_shared();
            }
        });
    });
}

// ---- cond_pingpong: two goroutines take turns. One op: one turn.

void cond_pingpong(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::mutex m;
        vole::cond changed;
        int turn = 0;
        vole::wait_group both;
        const auto start = bench_clock::now();
        for (int me = 0; me < 2; ++me) {
            both.go([&, me] {
                for (count i = 0; i < n / 2; ++i) {
                    std::unique_lock lock(m);
                    changed.wait(lock, [&] { return turn == me; });
                    turn = 1 - me;
                    changed.notify_one();
                }
            });
        }
        both.wait();
        return since(start);
    });
}

void once(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::once o;
        count calls = 0;
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            o.call([&] { ++calls; });
            benchmark::DoNotOptimize(o);
        }
        if (calls != 1) wrong("once");
        return since(start);
    });
}

struct block {
    char bytes[256];
};

void pool(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::pool<block> p([] { return std::make_unique<block>(); });
        return shared_by(sharers, n, [&p](int, count) {
            auto b = p.get();
            benchmark::DoNotOptimize(b->bytes);
            p.put(std::move(b));
        });
    });
}

// ---- maps: 1024 keys, eight goroutines; one operation in 16, or in two, stores

template <int every>
void map(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::sync_map<count, count> m;
        for (count k = 0; k < keys; ++k) m.store(k, k);
        return shared_by(sharers, n, [&m](int g, count i) {
            const count k = (i * 7 + g * 131) % keys;
            if (i % every == 0) {
                m.store(k, i);
            } else if (!m.load(k)) {
                wrong("map");
            }
        });
    });
}

void semaphore(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::weighted_semaphore s(10);
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            s.acquire(3);
            s.release(3);
        }
        return since(start);
    });
}

void semaphore_contended(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        vole::weighted_semaphore s(2);
        return shared_by(sharers, n, [&s](int, count) {
            s.acquire(1);
            vole::gosched();
            s.release(1);
        });
    });
}

// ---- contexts

void context_cancel(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        const auto [root, stop] = vole::with_cancel(vole::context::background());
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            const auto [ctx, cancel] = vole::with_cancel(root);
            cancel();
            if (!ctx.err()) wrong("context_cancel");
        }
        const double seconds = since(start);
        stop();
        return seconds;
    });
}

// One op: a context with 1000 children is made and cancelled.
void context_children(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            const auto [ctx, cancel] = vole::with_cancel(vole::context::background());
            std::vector<std::pair<vole::context, vole::cancel_func>> children;
            children.reserve(1000);
            for (int k = 0; k < 1000; ++k) children.push_back(vole::with_cancel(ctx));
            cancel();
            if (!children.back().first.err()) wrong("context_children");
        }
        return since(start);
    });
}

// One op: a group of 1000 tasks, waited for.
void group_1000(benchmark::State& state) {
    in_goroutine(state, [](count n) {
        std::atomic<count> ran{0};
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            vole::task_group group;
            for (int k = 0; k < 1000; ++k) {
                group.go([&ran] { ran.fetch_add(1, std::memory_order_relaxed); });
            }
            group.wait();
        }
        const double seconds = since(start);
        if (ran != n * 1000) wrong("group_1000");
        return seconds;
    });
}

BENCHMARK(rw_read)->UseManualTime();
BENCHMARK(rw_read_shared)->UseManualTime();
BENCHMARK(rw_mixed)->UseManualTime();
BENCHMARK(cond_pingpong)->UseManualTime();
BENCHMARK(once)->UseManualTime();
BENCHMARK(pool)->UseManualTime();
BENCHMARK(map<16>)->Name("map_read_mostly")->UseManualTime();
BENCHMARK(map<2>)->Name("map_write_heavy")->UseManualTime();
BENCHMARK(semaphore)->UseManualTime();
BENCHMARK(semaphore_contended)->UseManualTime();
BENCHMARK(context_cancel)->UseManualTime();
BENCHMARK(context_children)->UseManualTime();
BENCHMARK(group_1000)->UseManualTime();

}  // namespace
