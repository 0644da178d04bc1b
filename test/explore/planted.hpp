// Programs with a bug that only some orders of their goroutines show. Each is what f of explore() is, and fails by throwing, by a
// deadlock, or by leaving goroutines over. explore_planted.cpp looks for them; test/README.md has the list.
#pragma once

#include <span>
#include <stdexcept>

namespace vole::test {

struct planted_bug {
    const char* name;
    void (*run)();
    bool hangs = false;  // where it is not explored, nobody notices that it is deadlocked
};

std::span<const planted_bug> bugs_with_locks();
std::span<const planted_bug> bugs_with_channels();
std::span<const planted_bug> bugs_with_atomics();

struct bug_shown : std::logic_error {
    using std::logic_error::logic_error;
};
inline void must(bool holds, const char* what) {
    if (!holds) throw bug_shown(what);
}

}  // namespace vole::test
