// Two goroutines that meet again and again at nearly the same moment, for races whose window is a few
// instructions wide. A goroutine made anew for each round would not do: it begins to run when its maker blocks.
#pragma once

#include <vole/runtime.hpp>
#include <vole/sync.hpp>

#include <atomic>
#include <cstdint>
#include <thread>

namespace vole::test {

/// Cheap, and different for each seed.
struct dice {
    std::uint64_t state;
    explicit dice(std::uint64_t seed) : state(seed * 0x9E3779B97F4A7C15U + 1) {}
    std::uint64_t operator()(std::uint64_t n) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state % n;
    }
};

/// A round: prepare() alone, then first() and second() at once, each by its own goroutine, after a delay
/// that differs from round to round. Call it from a goroutine, with two Ps or more.
template <class Prepare, class First, class Second>
void duel(int rounds, Prepare prepare, First first, Second second) {
    std::atomic<int> begun{-1};
    std::atomic<int> ended{-1};
    const auto meet = [](dice& roll) {
        const std::atomic<int> nothing{0};
        for (std::uint64_t i = roll(64); i > 0; --i) (void)nothing.load();
    };
    // Both spin on CPUs of their own. When the machine has no CPU to spare for that, whoever waits must give
    // his away, or each round costs a time slice of the kernel's.
    const auto wait_for = [](const std::atomic<int>& word, int value) {
        for (int spin = 1; word != value; ++spin) {
            // Mostly by looking alone: so both leave the wait within some nanoseconds of each other.
            if (spin % 128 == 0) vole::gosched();
            if (spin % 1024 == 0) std::this_thread::yield();
        }
    };
    vole::wait_group other;
    other.go([&] {
        dice roll(1);
        for (int i = 0; i < rounds; ++i) {
            wait_for(begun, i);
            meet(roll);
            second();
            ended = i;
        }
    });
    dice roll(2);
    for (int i = 0; i < rounds; ++i) {
        prepare();
        begun = i;
        meet(roll);
        first();
        wait_for(ended, i);
    }
    other.wait();
}

}  // namespace vole::test
