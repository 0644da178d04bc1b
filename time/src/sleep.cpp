// sleep: a goroutine in a heap, and nothing else.
//
// It pushes itself and parks, holding the heap's lock in between; whoever takes it out when it is due finds it
// completely parked. No record of its own: the entry names the goroutine. Nothing can wake it but its time.
//
// Stack: goroutine, or an ordinary thread's.
#include <vole/detail/explore_point.hpp>
#include <vole/detail/timer_core.hpp>

#include <cerrno>
#include <ctime>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/park.hpp"
#include "time/src/heaps.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

struct sleeping {
    timer_heap* heap;
    std::int64_t when;
    bool watch;    // it is the first of its heap now
    bool leaving;  // nothing else is there to run
};

// A thread that is none of ours, without a simulated clock: the kernel can do that alone.
void sleep_thread(std::int64_t when) noexcept {
    const timespec t{when / 1'000'000'000, when % 1'000'000'000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
    }
}

void release_and_watch(G*, void* p) noexcept VOLE_NO_TS {
    const sleeping s = *static_cast<const sleeping*>(p);  // its stack may go on at the release
    s.heap->mu.release();
    if (s.watch) watch_deadline(s.when, s.leaving);
}

void park_until(G* g, std::int64_t when) VOLE_NO_TS {
    bubble* b = g->is_thread ? nullptr : bubble_of(g);
    timer_heap* h = b != nullptr ? heap_of(b) : heap_here();
    const bool leaving = nothing_else_to_run();
    h->lock_with_room();
    const bool first = h->push(deadline::of(when, g));
    sleeping s{h, when, first && b == nullptr, leaving};
    park(g, release_and_watch, &s, durable_if(b != nullptr, wait_reason::sleep));
}

bool is_thread_of_the_system() noexcept {
    return current_g() == nullptr && current_clock_base.load(memory_order_acquire) == nullptr;
}

void park_here_until(std::int64_t when) {
    park_scope self;
    park_until(self.g(), when);
}

}  // namespace

void sleep_for(std::int64_t d) {
    explore_point("sleep", &explored_clock);
    if (d <= 0) return;
    if (is_thread_of_the_system()) {
        sleep_thread(deadline_after(nanotime(), d));
        return;
    }
    const runtime_entry entry;
    park_here_until(deadline_after(about_now_in(current_bubble()), d));
}

void sleep_until(std::int64_t t) {
    explore_point("sleep", &explored_clock);
    if (t <= now_in(current_bubble())) return;
    if (t == no_deadline) --t;
    if (is_thread_of_the_system()) {
        sleep_thread(t);
        return;
    }
    const runtime_entry entry;
    park_here_until(t);
}

}  // namespace vole::detail
