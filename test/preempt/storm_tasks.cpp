// See storm_tasks.hpp.
#include "test/preempt/storm_tasks.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace vole::test {

namespace {

std::atomic<bool> stop{false};
std::atomic<long> wrong{0};

std::chrono::milliseconds duration() {
    const char* text = std::getenv("VOLE_TEST_LONG");
    return std::chrono::milliseconds(text != nullptr && *text == '1' ? 60'000 : 1'000);
}

}  // namespace

void expect(bool ok, const char* file, int line) {
    if (ok) return;
    if (wrong.fetch_add(1) < 5) std::fprintf(stderr, "%s:%d: a wrong value\n", file, line);
}

bool going_on() { return !stop.load(std::memory_order_relaxed); }

std::uint64_t blow(std::span<const storm_task> tasks, int procs, storm::kind kind, bool only_free) {
    stop.store(false);
    wrong.store(0);
    const auto before = counts();
    std::vector<counter> done(tasks.size());
    run_on(procs, [&] {
        const storm around(kind);
        wait_group all;
        for (std::size_t i = 0; i < tasks.size(); ++i) {
            for (int n = 0; n < 2 && (tasks[i].free || !only_free); ++n) {
                all.go([&, i] { tasks[i].run(done[i]); });
            }
        }
        const auto end = std::chrono::steady_clock::now() + duration();
        wait_until(
            [&] {
                bool each = true;
                for (std::size_t i = 0; i < tasks.size(); ++i) {
                    each &= done[i] != 0 || (only_free && !tasks[i].free);
                }
                return each && std::chrono::steady_clock::now() >= end;
            },
            "each task to do something");
        stop.store(true);
        all.wait();
    });
    const auto after = counts();
    CHECK(wrong == 0);
    if (has_signals) {
        const auto stopped = after.freezes + after.injections - before.freezes - before.injections;
        CHECK(stopped > 0);
    }
    return after.interrupted_calls - before.interrupted_calls;
}

}  // namespace vole::test
