// Programs with a bug that only some orders of their goroutines show. Each is what f of explore() is, and fails by throwing, by a
// deadlock, or by leaving goroutines over. explore_planted.cpp looks for them; test/README.md has the list.
#pragma once

#include <vole/wait_group.hpp>

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

// Two goroutines, and waits for them.
template <class F, class G>
void both(F f, G g) {
    wait_group done;
    done.go(f);
    done.go(g);
    done.wait();
}
template <class F>
void twice(F f) {
    both(f, f);
}

struct bug_shown : std::logic_error {
    using std::logic_error::logic_error;
};
inline void must(bool holds, const char* what) {
    if (!holds) throw bug_shown(what);
}

}  // namespace vole::test
