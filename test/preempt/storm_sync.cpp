// Our own primitives, stopped at every place where they may be.
#include <catch2/catch.hpp>

#include <vole/context.hpp>
#include <vole/managed.hpp>
#include <vole/sync.hpp>
#include <vole/task_group.hpp>
#include <vole/time.hpp>

#include "test/preempt/storm_tasks.hpp"
#include "test/support/rw_probe.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>

namespace vole::test {

namespace {

using namespace std::chrono_literals;

// Two goroutines of each task share what is outside of its function.

rw_mutex read_or_written;
long written_once, written_twice;

void lock_rw(counter& done) {
    random_numbers random{21};
    while (going_on()) {
        if (random() % 32 == 0) {
            const std::lock_guard held(read_or_written);
            ++written_once;
            linger(200);
            ++written_twice;
        } else {
            read_or_written.lock_shared();
            if (random() % 64 == 0) detail::rw_mutex_probe::spread(read_or_written);
            EXPECT(written_once == written_twice);
            linger(200);
            EXPECT(written_once == written_twice);
            read_or_written.unlock_shared();
        }
        ++done;
    }
}

void take_turns(counter& done) {
    mutex m;
    cond changed;
    bool mine = true;
    bool over = false;
    wait_group other;
    other.go([&] {
        std::unique_lock lock(m);
        for (;;) {
            changed.wait(lock, [&] { return !mine || over; });
            if (over) return;
            linger(50);
            mine = true;
            changed.notify_all();
        }
    });
    while (going_on()) {
        std::unique_lock lock(m);
        mine = false;
        changed.notify_all();
        changed.wait(lock, [&] { return mine; });
        ++done;
    }
    {
        const std::lock_guard lock(m);
        over = true;
    }
    changed.notify_all();
    other.wait();
}

void do_once(counter& done) {
    while (going_on()) {
        once o;
        std::atomic<int> ran{0};
        wait_group all;
        for (int i = 0; i < 4; ++i) {
            all.go([&] {
                o.call([&] {
                    linger(200);
                    ++ran;
                });
                EXPECT(ran == 1);
            });
        }
        all.wait();
        ++done;
    }
}

pool<long> spare([] { return std::make_unique<long>(0); });

void use_pool(counter& done) {
    for (long k = 1; going_on(); ++k) {
        auto mine = spare.get();
        *mine = k;
        linger(100);
        EXPECT(*mine == k);
        spare.put(std::move(mine));
        if (k % 1000 == 0) spare.shrink();
        ++done;
    }
}

sync_map<long, long> map;

void use_map(counter& done) {
    random_numbers random{22};
    while (going_on()) {
        const long key = random() % 100;
        switch (random() % 4) {
            case 0: map.store(key, key + 100 * static_cast<long>(random() % 100)); break;
            case 1: map.erase(key); break;
            default:
                if (const auto value = map.load(key)) EXPECT(*value % 100 == key);
        }
        ++done;
    }
}

weighted_semaphore places(3);
std::atomic<long> taken{0};

void take_places(counter& done) {
    random_numbers random{23};
    while (going_on()) {
        const long n = 1 + random() % 3;
        places.acquire(n);
        EXPECT(taken.fetch_add(n) + n <= 3);
        linger(100);
        taken -= n;
        places.release(n);
        ++done;
    }
}

single_flight<int, long> flights;
std::atomic<int> in_flight{0};

void fly(counter& done) {
    while (going_on()) {
        const auto r = flights.call(1, [] {
            EXPECT(++in_flight == 1);
            linger(500);
            gosched();
            --in_flight;
            return 7L;
        });
        EXPECT(r.value == 7);
        ++done;
    }
}

void cancel_contexts(counter& done) {
    while (going_on()) {
        auto [top, cancel] = with_cancel(context::background());
        wait_group all;
        std::atomic<int> told{0};
        for (int i = 0; i < 3; ++i) {
            all.go([&, below = with_cancel(top).first] {
                below.done().recv();
                EXPECT(below.err() == context_errc::canceled);
                ++told;
            });
        }
        const auto ended = make_chan<void>();
        after_func(top, [&] { ended.close(); });
        linger(200);
        cancel();
        ended.recv();
        all.wait();
        EXPECT(told == 3);
        ++done;
    }
}

void miss_deadlines(counter& done) {
    while (going_on()) {
        auto [ctx, cancel] = with_timeout(context::background(), 200us);
        const auto fired = make_chan<void>();
        timer early = after_func(50us, [&] { fired.close(); });
        fired.recv();
        ctx.done().recv();
        EXPECT(ctx.err() == context_errc::deadline_exceeded);
        EXPECT(!early.stop());
        cancel();
        ++done;
    }
}

void work_in_groups(counter& done) {
    while (going_on()) {
        std::atomic<int> sum{0};
        task_group g;
        g.set_limit(3);
        for (int i = 0; i < 10; ++i) {
            g.go([&] {
                linger(100);
                ++sum;
            });
        }
        g.wait();
        EXPECT(sum == 10);
        ++done;
    }
}

void fail_in_groups(counter& done) {
    while (going_on()) {
        task_group g;
        g.go([](const context& ctx) { ctx.done().recv(); });
        g.go([] {
            linger(100);
            throw std::runtime_error("fails");
        });
        bool caught = false;
        try {
            g.wait();
        } catch (const std::runtime_error&) {
            caught = true;
        }
        EXPECT(caught);
        ++done;
    }
}

void manage(counter& done) {
    while (going_on()) {
        std::atomic<int> cleaned{0};
        const auto over = make_chan<void>();
        auto p = make_managed<long>(5);
        const auto w = make_weak(p);
        add_cleanup(
            p,
            [over](std::atomic<int>* n) {
                ++*n;
                over.close();
            },
            &cleaned);
        if (const auto again = w.value(); again != nullptr) EXPECT(*again == 5);
        p.reset();
        EXPECT(w.value() == nullptr);
        over.recv();
        EXPECT(cleaned == 1);
        ++done;
    }
}

atomic_pair<long, long> both;

void change_pairs(counter& done) {
    while (going_on()) {
        auto seen = both.load();
        do {
            EXPECT(seen.first == -seen.second);
        } while (!both.compare_exchange(seen, {seen.first + 1, seen.second - 1}));
        ++done;
    }
}

// Those that throw or keep an exception are not among the free, nor are allocations: see storm.cpp.
constexpr std::array tasks{
    storm_task{"lock_rw", lock_rw, true},
    storm_task{"take_turns", take_turns, true},
    storm_task{"do_once", do_once, true},
    storm_task{"use_pool", use_pool, false},
    storm_task{"use_map", use_map, false},
    storm_task{"take_places", take_places, true},
    storm_task{"fly", fly, false},
    storm_task{"cancel_contexts", cancel_contexts, false},
    storm_task{"miss_deadlines", miss_deadlines, false},
    storm_task{"work_in_groups", work_in_groups, false},
    storm_task{"fail_in_groups", fail_in_groups, false},
    storm_task{"manage", manage, false},
    storm_task{"change_pairs", change_pairs, true},
};

}  // namespace

TEST_CASE("PRE-57 our primitives survive preemption, one P", "[storm]") {
    blow(tasks, 1, storm::kind::gentle);
}
TEST_CASE("PRE-57 our primitives survive preemption, two Ps", "[storm]") {
    blow(tasks, 2, storm::kind::gentle);
}
TEST_CASE("PRE-57 our primitives survive signals at once, one P", "[storm]") {
    blow(tasks, 1, storm::kind::dense);
}
TEST_CASE("PRE-57 our primitives survive signals at once, two Ps", "[storm]") {
    blow(tasks, 2, storm::kind::dense);
}

TEST_CASE("child: free storm of our primitives", "[.child]") {
    choose_migration();
    blow(tasks, 1, storm::kind::dense, true);
    blow(tasks, 2, storm::kind::dense, true);
    blow(tasks, 2, storm::kind::gentle, true);
    CHECK(counts().injections > 0);
    CHECK(counts().freezes == 0);
}
TEST_CASE("PRE-21 our primitives survive free migration", "[storm]") {
    if (!has_free_migration) return;
    const auto r = run_case_in_subprocess("child: free storm of our primitives",
                                          {.env = with_free_migration()});
    INFO(r.text());
    CHECK(r.succeeded());
}

}  // namespace vole::test
