// Work to be stopped at every place where it may be. Each task works until it is told to stop and counts what it has done;
// a wrong value is counted apart, since Catch2's assertions are for its own thread only.
#pragma once

#include "test/preempt/preempt_support.hpp"

#include <atomic>
#include <cstdint>
#include <span>

namespace vole::test {

void expect(bool ok, const char* file, int line);
#define EXPECT(x) expect((x), __FILE_NAME__, __LINE__)

bool going_on();

// Some instructions between two things that belong together.
[[gnu::noinline]] inline void linger(int n) {
    for (int i = 0; i < n; ++i) asm volatile("" ::: "memory");
}

struct random_numbers {
    std::uint32_t x;
    std::uint32_t operator()() {
        x = x * 1103515245 + 12345;
        return x >> 8;
    }
};

using counter = std::atomic<long>;

struct storm_task {
    const char* name;
    void (*run)(counter& done);
    bool free;  // has nothing that belongs to a thread: right under free migration, too
};

/// All tasks at once, two goroutines each, until the time is over and each has done something. Gives how many system
/// calls were interrupted: none of the program's is, in a gentle storm; but an idle thread of the runtime may be hit as it goes
/// to sleep until a deadline.
std::uint64_t blow(std::span<const storm_task> tasks, int procs, storm::kind kind,
                   bool only_free = false);

}  // namespace vole::test
