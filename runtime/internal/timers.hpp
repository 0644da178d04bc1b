// What the scheduler knows of time: that each P has a heap of deadlines, who looks after them, and a clock.
// What is in the heaps is the time library's business, which installs a timer_driver with its first timer.
//
// Who runs what is due:
//  - each thread that comes to g0 with a P looks at that P's first deadline, before it looks for goroutines;
//    and each switch from one goroutine to another goes that way if it is due. What is due goes before the
//    goroutines that are queued, but for every 32nd turn;
//  - a P that is far behind with that calls for help (sched.detour), and so does sysmon for one that computes:
//    the next P that switches and has nothing due itself runs something of the heap that is furthest behind;
//  - a thread that finds nothing to run takes what is due from the heaps of all Ps;
//  - a thread that goes to sleep keeps the time, if nobody does: it sleeps until the first of all deadlines,
//    and is in the list of idle threads as well, the last to be taken from it;
//  - if all Ps are busy, and nobody keeps the time, sysmon watches: to the microsecond when that has been of
//    use, and only each millisecond while the Ps, which switch often, see to what is due themselves.
//
// No deadline is slept over: the one who adds it publishes it (set_first_timer), then looks who sleeps until
// when (watch_deadline); the one who goes to sleep publishes until when, then looks at all first deadlines
// again. All four are seq_cst: one of the two sees the other.
//
// Stack: as noted. Locks: sched.mu, inside.
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>

#include "runtime/internal/futex.hpp"

namespace vole::inline v0::detail {

inline constexpr std::int64_t no_deadline = INT64_MAX;
inline constexpr std::uint32_t most_heaps = 4096;

/// The heaps, one for each P, by its index.
struct timer_driver {
    /// Runs what is due in a heap: some of it, if there is much. g0, of a thread that has some P.
    void (*run)(std::uint32_t p) noexcept;
    /// When the first that counts is due; no_deadline: none. Any thread.
    std::int64_t (*first)(std::uint32_t p) noexcept;
    /// Moves a heap's content to the first P's, its own being about to end. The world is stopped.
    void (*retire)(std::uint32_t p) noexcept;
};
/// Before the first deadline is published. Again: no effect. Starts the runtime, and throws what that throws.
void install_timer_driver(const timer_driver* d);

/// Whose heap the caller is to use: inside the runtime, any stack.
std::uint32_t timer_home() noexcept;
/// Of a heap, as it is now; under that heap's lock.
void set_first_timer(std::uint32_t p, std::int64_t when) noexcept;
/// A deadline was added and published. Inside the runtime, any stack; not under a heap's lock.
/// `leaving`: the caller's thread has nothing else to run, and is going to look at all heaps.
void watch_deadline(std::int64_t when, bool leaving) noexcept;
/// Whether that is so if the calling goroutine gives way now.
bool nothing_else_to_run() noexcept;

/// Whether more than a few goroutines are queued on the calling thread's P, which it has. g0.
bool many_wait_here() noexcept;

/// A clock for the runtime's timers in place of the system's, for simulators. Only before anything has asked for the
/// time; null: the system's. It must never run backwards.
struct clock_base {
    /// Nanoseconds. Any stack, signal handlers included.
    std::int64_t (*now)() noexcept;
    /// Called by one thread at a time, which has nothing to do until then. Returns when that time has come or
    /// `woken` was woken; it may return early. `all_asleep`: nothing in the process that the runtime knows of goes on before;
    /// if that becomes true later, `woken` is woken.
    void (*sleep)(note& woken, std::int64_t until, bool all_asleep) noexcept;
};
void set_clock_base(const clock_base* base) noexcept;

extern atomic<const clock_base*> current_clock_base;

/// timer_now(), to within some 10 ns; cheaper. Inside the runtime, any stack.
std::int64_t timer_now_about() noexcept;

/// What timers are measured on: nanoseconds since some past event.
inline std::int64_t timer_now() noexcept {
    const clock_base* base = current_clock_base.load(memory_order_acquire);
    return base == nullptr ? nanotime() : base->now();
}

/// when <= timer_now(), for what mostly is not: then it costs no clock of the system's. Inside the runtime, any stack.
inline bool has_come(std::int64_t when) noexcept {
    constexpr std::int64_t margin = 1'000;  // of the estimate
    return when <= timer_now_about() + margin && when <= timer_now();
}

}  // namespace vole::detail
