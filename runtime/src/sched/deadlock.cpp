// "all goroutines are asleep": when every thread of ours sleeps and nothing that is known could
// wake one of them.
//
// Asked by the last thread that goes to sleep. Nothing is reported unless a run() waits, and
// nothing while something may still come from outside:
//  - an external_waker exists;
//  - a deadline is pending in a heap of timers;
//  - somebody waits for the poller;
//  - a goroutine is in blocking() or a system call: its thread does not count as asleep;
//  - the process has a thread that we did not create and that is not waiting in run(): it may
//    send, unlock or start goroutines at any time. The kernel says how many threads there are.
//
// What keeps a report back has to see to it that somebody asks again. A wake-up or a deadline that comes wakes a
// thread of ours, which asks when it goes to sleep. In the other cases there is a *suspicion*: an external_waker that
// goes raises one, and who finds a foreign thread does, for that may end without a word. sysmon asks again 100 ms
// after it has seen one. It alone takes a suspicion back, and before it looks: who looked earlier and saw somebody
// awake knows nothing of a waker that has gone since. test/model/deadlock.py tries the orders.
//
// Locks: sched.mu. Stack: g0 or sysmon's.
#include <vole/runtime.hpp>

#include "runtime/internal/fatal.hpp"
#include "runtime/src/os/process_threads.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

namespace {

#if defined(VOLE_TSAN)
constexpr std::uint64_t sanitizer_threads = 1;
#else
constexpr std::uint64_t sanitizer_threads = 0;
#endif

bool everything_asleep() noexcept VOLE_REQUIRES(sched.mu) {
    if (sched.m_count == 0 || sched.idle_m_count + sched.locked_m_idle != sched.m_count) {
        return false;
    }
    if (global_count() != 0 || sched.stopping.load(memory_order_relaxed)) return false;
    if (sched.keeper != nullptr || timers_pending() || io_waiters() != 0) return false;
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    if (sched.idle_p_count.load(memory_order_relaxed) != n) return false;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (!sched.all_ps[i].load(memory_order_relaxed)->runq.empty()) return false;
    }
    return true;
}

// Everything asleep, under the lock. What was found, to be compared with a second look.
struct finding {
    bool asleep;
    bool no_goroutines;
    std::uint64_t generation;
    std::uint64_t threads;  // that we know of
};

finding look() noexcept {
    lock_guard held(sched.mu);
    const bool asleep = sched.runs_waiting != 0 && sched.runs_undetected == 0 &&
                        sched.external_wakers.load(memory_order_relaxed) == 0 &&
                        everything_asleep();
    return {asleep, sched.mains_gone != 0 && count_goroutines() == 0, sched.sleep_generation,
            std::uint64_t{sched.m_count} + 1 + sched.runs_waiting + sanitizer_threads +
                narrator_threads()};
}

// release: sysmon, which takes it, sees why it was raised.
void suspect_deadlock() noexcept {
    if (!sched.deadlock_suspected.exchange(true, memory_order_release)) wake_sysmon();
}

}  // namespace

// The threads are counted between two looks that must agree: a thread of somebody else's may have
// readied goroutines and ended in the meantime. If it had, some thread of ours has woken, so is
// awake now or has gone to sleep once more, which changes the generation (and asks again).
void check_deadlock() noexcept {
    const finding first = look();
    if (!first.asleep) return;
    const std::uint64_t all = process_threads();
    const finding second = look();
    if (!second.asleep || second.generation != first.generation) return;
    // 0: without /proc, or without a descriptor to read it, nobody knows, and nobody is accused.
    if (all == 0 || all > second.threads || sched.threads_parked.load(memory_order_relaxed) != 0) {
        return suspect_deadlock();
    }
    fatal(second.no_goroutines ? "no goroutines (main called runtime.Goexit) - deadlock!"
                               : "all goroutines are asleep - deadlock!");
}

}  // namespace vole::detail

namespace vole::inline v0 {

external_waker::external_waker() noexcept {
    detail::sched.external_wakers.fetch_add(1, detail::memory_order_relaxed);
}
external_waker::~external_waker() {
    detail::sched.external_wakers.fetch_sub(1, detail::memory_order_relaxed);
    detail::suspect_deadlock();  // everybody may have fallen asleep while it existed
}

}  // namespace vole
