// A goroutine that runs for too long does not hold up the others.
#include <catch2/catch.hpp>

#include "test/preempt/preempt_support.hpp"

namespace vole::test {

namespace {

// No call, no loop variable in memory but the flag: what a compiler makes of `for (;;) ++x`.
[[gnu::noinline]] void spin_until(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
    }
}

[[gnu::noinline]] void leaf(unsigned long& x) { asm volatile("" : "+r"(x)); }

}  // namespace

TEST_CASE("PRE-50 a loop that calls empty functions does not keep others from running") {
    std::atomic<bool> stop{false};
    run_on(1, [&] {
        go([&] {
            unsigned long x = 0;
            while (!stop.load(std::memory_order_relaxed)) leaf(x);
        });
        gosched();  // it runs now, and there is no entry in it
        stop.store(true);
    });
    CHECK(stop.load());
}

TEST_CASE("PRE-50 a loop without calls does not keep others from running") {
    std::atomic<bool> stop{false};
    run_on(1, [&] {
        const auto before = counts();
        go([&] { spin_until(stop); });
        gosched();
        stop.store(true);
        const auto after = counts();
        const bool stopped = after.freezes + after.injections + after.detached_running >
                             before.freezes + before.injections + before.detached_running;
        CHECK(stopped);
    });
}

}  // namespace vole::test
