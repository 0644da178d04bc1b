// The loops of the sync benchmarks: the same for Vole, Boost.Fiber and std, and once more in go/sync.go. A side says
// what they are made of, and registers those for which it has something:
//
//   run(f)              f(), where tasks may be started; what it returns
//   yield()             another task may go first
//   crew                tasks: go(f) starts one, wait() waits for all
//   group               the same, as the side would have it for a group of tasks that are one piece of work
//   mutex, cond         cond: wait(lock, condition) and notify_one()
//   rw_mutex            lock() and lock_shared()
//   once                call(f)
//   pool                of std::unique_ptr<block>, made from what makes one: get() and put()
//   map                 of counts: store(key, value), and load(key), whose result says whether there is one
//   semaphore           made from the number of places: acquire(n) and release(n)
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "test/bench/harness.hpp"

namespace vole_bench {

/// Measures f(n) where the side's tasks live.
template <class Side, class F>
void timed(benchmark::State& state, F f) {
    in_one_batch(state, [&](count n) { return Side::run([&] { return f(n); }); });
}

/// work(t, i) for n operations, shared by as many tasks; seconds.
template <class Side, class F>
double shared_by(int tasks, count n, F work) {
    typename Side::crew all;
    const auto start = bench_clock::now();
    for (int t = 0; t < tasks; ++t) {
        all.go([&work, t, each = n / tasks] {
            for (count i = 0; i < each; ++i) work(t, i);
        });
    }
    all.wait();
    return since(start);
}

inline constexpr int sharers = 8;
inline constexpr count keys = 1024;

// ---- one operation: a reader's lock and unlock

template <class Side>
void rw_read(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::rw_mutex m;
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            m.lock_shared();
            m.unlock_shared();
        }
        return since(start);
    });
}

template <class Side>
void rw_read_shared(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::rw_mutex m;
        return shared_by<Side>(sharers, n, [&m](int, count) {
            m.lock_shared();
            m.unlock_shared();
        });
    });
}

// Every 16th writes.
template <class Side>
void rw_mixed(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::rw_mutex m;
        count written = 0;
        return shared_by<Side>(sharers, n, [&m, &written](int, count i) {
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

// ---- cond_pingpong: two tasks take turns. One op: one turn.

template <class Side>
void cond_pingpong(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::mutex m;
        typename Side::cond changed;
        int turn = 0;
        typename Side::crew both;
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

template <class Side>
void once(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::once o;
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

template <class Side>
void pool(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::pool p([] { return std::make_unique<block>(); });
        return shared_by<Side>(sharers, n, [&p](int, count) {
            auto b = p.get();
            benchmark::DoNotOptimize(b->bytes);
            p.put(std::move(b));
        });
    });
}

// ---- maps: 1024 keys, eight tasks; one operation in 16, or in two, stores

template <class Side, int every>
void map(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::map m;
        for (count k = 0; k < keys; ++k) m.store(k, k);
        return shared_by<Side>(sharers, n, [&m](int t, count i) {
            const count k = (i * 7 + t * 131) % keys;
            if (i % every == 0) {
                m.store(k, i);
            } else if (!m.load(k)) {
                wrong("map");
            }
        });
    });
}

// ---- semaphore: three of ten places taken and given back, alone; one of two, by eight tasks

template <class Side>
void semaphore(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::semaphore s(10);
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            s.acquire(3);
            s.release(3);
        }
        return since(start);
    });
}

template <class Side>
void semaphore_contended(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        typename Side::semaphore s(2);
        return shared_by<Side>(sharers, n, [&s](int, count) {
            s.acquire(1);
            Side::yield();
            s.release(1);
        });
    });
}

// ---- group_1000. One op: a group of 1000 tasks, waited for.

template <class Side>
void group_1000(benchmark::State& state) {
    timed<Side>(state, [](count n) {
        std::atomic<count> ran{0};
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            typename Side::group group;
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

}  // namespace vole_bench
