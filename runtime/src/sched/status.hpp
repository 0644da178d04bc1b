// The one function that changes a goroutine's status, with the table of legal transitions.
//
//   idle     -> runnable   go(): the G is complete and about to be queued
//   runnable -> running    whoever took it from a queue resumes it
//   running  -> runnable   it yields or is preempted
//   running  -> waiting    it parks; its waiter is queued and that queue's lock held
//   waiting  -> runnable   ready(), by whoever removed the waiter
//   running  -> syscall    it enters blocking() or a system call
//   syscall  -> running    it comes back and has a P
//   syscall  -> runnable   it comes back and finds none
//   running  -> dead       it has returned
//   dead     -> idle       recycled
//
// At each moment one party has the right to make the next change: the goroutine itself while it
// runs, whoever took it from its queue else. So a compare-and-swap cannot fail for a good reason,
// and costs 7 ns on the machine this was measured on, three times a channel hop, which is a third
// of it: a release build loads, compares and stores (a wrong transition is still caught, unless two
// happen in the same instant); a debug build (assertions on) compares and swaps.
#pragma once

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

[[noreturn]] void bad_transition(const G* g, g_status from, g_status to) noexcept;

constexpr bool legal(g_status from, g_status to) noexcept {
    using enum g_status;
    switch (from) {
        case idle: return to == runnable;
        case runnable: return to == running;
        case running: return to == runnable || to == waiting || to == syscall || to == dead;
        case syscall: return to == running || to == runnable;
        case waiting: return to == runnable;
        case dead: return to == idle;
    }
    return false;
}

inline void set_status(G* g, g_status from, g_status to) noexcept {
#ifndef NDEBUG
    g_status expected = from;
    // acq_rel: a reader of the status (traceback) sees what was written before the change.
    if (!legal(from, to) || !g->status.compare_exchange_strong(expected, to, memory_order_acq_rel,
                                                               memory_order_relaxed)) {
        bad_transition(g, from, to);
    }
#else
    if (g->status.load(memory_order_relaxed) != from) [[unlikely]]
        bad_transition(g, from, to);
    g->status.store(to, memory_order_release);
#endif
}

}  // namespace vole::detail
