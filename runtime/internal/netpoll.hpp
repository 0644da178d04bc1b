// What the scheduler knows of input and output: that there is a poller, and how many goroutines wait for it.
// What it polls, and how, is the network library's business, which installs one with its first descriptor.
//
// Who polls:
//  - a thread that has a P and finds nothing to run looks, without waiting, if nobody waits in the poller;
//  - a thread that goes to sleep keeps watch, if nobody does (sched/keeper.cpp): it waits in the poller, until the first
//    of all deadlines;
//  - while no thread keeps watch, sysmon looks: at once if a P is idle, else after 10 ms (NET-13).
// So one thread at a time waits, and one at a time looks.
//
// No descriptor that becomes ready is slept over: the kernel keeps its events until somebody polls, and while somebody
// waits for one, `io_waiters` is not 0, so that a thread that goes to sleep keeps watch. Who begins to wait counts
// himself, then sees to it that somebody does (watch_io): the counterpart of watch_deadline, by the same argument
// (timers.hpp). test/model/keeper.pml tries all orders.
//
// Stack: as noted.
#pragma once

#include <cstdint>

#include "runtime/internal/g_list.hpp"

namespace vole::inline v0::detail {

struct poller {
    /// Adds goroutines that can go on to `runnable`, each by make_runnable. wait_ns: 0 looks; else waits for an event, a
    /// wake() or so long, negative: without limit; may return early. Any thread, without locks; no two at once wait.
    void (*poll)(std::int64_t wait_ns, g_list& runnable) noexcept;
    /// Makes the thread that waits return, or the next one that is about to. Any thread, any lock held; in signal handlers.
    void (*wake)() noexcept;
};

/// Before the first goroutine waits. The first one counts; again: no effect. Starts the runtime, and throws what that
/// throws.
void install_poller(const poller* p);

/// A goroutine (or a thread) begins to wait for the poller; before it can be found. `leaving` as in watch_deadline.
void io_wait_begins() noexcept;
/// ... and after that, when it can be found.
void watch_io(bool leaving) noexcept;
/// n of them have been found, or have given up.
void io_waits_end(std::uint32_t n) noexcept;
/// How many there are.
std::uint32_t io_waiters() noexcept;

/// Makes g, which is parked and which the caller owns, runnable, and adds it to the list. One that stands for a thread is
/// woken instead. Any stack; with no lock that is taken while a goroutine parks.
void make_runnable(G* g, g_list& runnable) noexcept;

}  // namespace vole::detail
