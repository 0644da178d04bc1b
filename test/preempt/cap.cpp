// Many goroutines that loop at once: threads stay few, everybody gets a turn, nobody is mistaken for dead.
#include <catch2/catch.hpp>

#include "test/preempt/preempt_support.hpp"

#include <memory>
#include <vector>

namespace vole::test {

namespace {

// Loops until told to stop, and counts.
struct loops {
    std::atomic<bool> stop{false};
    std::vector<std::atomic<long>> progress;
    explicit loops(std::size_t n) : progress(n) {}

    void start(wait_group& all) {
        for (auto& mine : progress) {
            all.go([this, &mine] {
                while (!stop.load(std::memory_order_relaxed)) {
                    mine.store(mine.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
                }
            });
        }
    }
    std::size_t begun() const {
        std::size_t n = 0;
        for (const auto& p : progress) n += p != 0 ? 1u : 0u;
        return n;
    }
};

void check_child(const char* name) {
    const auto r = run_case_in_subprocess(name);
    INFO(r.text());
    CHECK(r.succeeded());
}

void many_loops(std::uint32_t cap, int procs) {
    preempt::configure({.max_frozen = cap});
    run_on(procs, [&] {
        loops l(20);
        wait_group all;
        l.start(all);
        wait_until([&] { return l.begun() >= 2; }, "some to begin");
        // A pair that parks and is readied goes on beside them.
        auto there = make_chan<int>();
        auto back = make_chan<int>();
        all.go([&] {
            while (auto x = there.recv()) back.send(*x + 1);
        });
        for (int i = 0; i < 10; ++i) {
            there.send(i);
            CHECK(back.recv() == i + 1);
        }
        // Those that have begun all go on.
        std::vector<long> seen;
        for (const auto& p : l.progress) seen.push_back(p);
        for (std::size_t i = 0; i < seen.size(); ++i) {
            if (seen[i] != 0) wait_until([&] { return l.progress[i] != seen[i]; });
        }
        const auto c = counts();
        if (has_signals) {
            CHECK(c.freezes > 0);
            CHECK(c.most_frozen <= cap + static_cast<std::uint64_t>(procs));
        }
        CHECK(read_stats().threads <=
              cap + 3 * static_cast<std::uint64_t>(procs) + 6 + c.detached_running - c.returns);
        l.stop = true;
        there.close();
        all.wait();
        CHECK(l.begun() > 0);
    });
    CHECK(counts().frozen == 0);
}

}  // namespace

TEST_CASE("child: 20 loops, cap 4, one P", "[.child]") { many_loops(4, 1); }
TEST_CASE("child: 20 loops, cap 4, two Ps", "[.child]") { many_loops(4, 2); }
TEST_CASE("child: 20 loops, cap 16, two Ps", "[.child]") { many_loops(16, 2); }
TEST_CASE("no more threads are frozen than max_frozen says") {
    check_child("child: 20 loops, cap 4, one P");
    check_child("child: 20 loops, cap 4, two Ps");
    check_child("child: 20 loops, cap 16, two Ps");
}

TEST_CASE("a crowd of goroutines that compute needs few threads") {
    constexpr int n = 200;
    std::atomic<int> finished{0};
    run_on(2, [&] {
        wait_group all;
        for (int i = 0; i < n; ++i) {
            all.go([&] {
                const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(15);
                while (std::chrono::steady_clock::now() < end) {
                }
                ++finished;
            });
        }
        all.wait();
    });
    CHECK(finished == n);
    CHECK(counts().most_frozen <= preempt::settings{}.max_frozen + 4);
}

TEST_CASE("goroutines of one function that never end all get their turn") {
    run_on(1, [] {
        loops l(8);
        wait_group all;
        l.start(all);
        wait_until([&] { return l.begun() == 8; }, "all to begin");
        l.stop = true;
        all.wait();
    });
}

TEST_CASE("a goroutine that is tied to its thread stays on it when it is frozen") {
    const auto before = counts();
    run_on(1, [&] {
        std::atomic<bool> stop{false};
        bool same = false;
        wait_group all;
        all.go([&] {
            lock_os_thread();
            lock_os_thread();
            const int thread = thread_id();
            // Enters the runtime now and then: see first_turn.
            for (long turn = first_turn; !stop.load(std::memory_order_relaxed); turn *= 2) {
                for (long i = 0; i < turn && !stop.load(std::memory_order_relaxed); ++i) {
                }
                gosched();
            }
            unlock_os_thread();
            gosched();
            same = thread_id() == thread;
            unlock_os_thread();
        });
        gosched();
        wait_until([&] { return !has_signals || counts().freezes > before.freezes; });
        stop = true;
        all.wait();
        CHECK(same);
    });
}

TEST_CASE("child: loops, then a deadlock", "[.child]") {
    run([] {
        std::atomic<bool> stop{false};
        go([&] {
            while (!stop.load(std::memory_order_relaxed)) {
            }
        });
        for (int i = 0; i < 5; ++i) gosched();
        stop = true;
        make_chan<int>().recv();
    });
}
TEST_CASE("loops are no deadlock; what comes after them is") {
    const auto r = run_case_in_subprocess("child: loops, then a deadlock");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("all goroutines are asleep - deadlock!"));
}

}  // namespace vole::test
