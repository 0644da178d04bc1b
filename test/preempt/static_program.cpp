// A program that is linked statically: its own code is preempted, what lies behind it in the same text is
// not. Exit status 0: as it should be; else a line says what is wrong.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include <unwind.h>

#include <vole/vole.hpp>

#include "runtime/src/preempt/preempt.hpp"

namespace {

[[gnu::noinline]] void spin(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
    }
}

template <class F>
bool is_preemptible(F* f) {
    return vole::detail::is_preemptible(reinterpret_cast<std::uintptr_t>(f));
}

int fail(const char* what) {
    std::printf("static link: %s\n", what);
    return 1;
}

}  // namespace

int main() {
    // On a busy machine a goroutine may be detached before the signal comes: some tries.
    for (int i = 0; i < 50 && vole::read_stats().preempt.freezes == 0; ++i) {
        vole::run({.max_procs = 1}, [] {
            std::atomic<bool> stop{false};
            std::atomic<bool> begun{false};
            vole::wait_group all;
            all.go([&] {
                begun = true;
                spin(stop);
            });
            while (!begun) vole::gosched();
            stop = true;
            all.wait();
        });
    }
    if (vole::read_stats().preempt.freezes == 0)
        return fail("a loop in the program was not stopped by a signal");
    if (!is_preemptible(&spin)) return fail("the program's code is not preemptible");
    if (is_preemptible(&std::malloc) || is_preemptible(&std::qsort) ||
        is_preemptible(&pthread_mutex_lock) || is_preemptible(&_Unwind_RaiseException) ||
        is_preemptible(static_cast<void* (*)(std::size_t)>(&::operator new))) {
        return fail("library code counts as preemptible");
    }
    return 0;
}
