// A look at a goroutine from outside: its state, whether its stack can be walked, and that walk. What
// tracebacks and the leak check are made of.
//
// Two kinds of users. A traceback is written while other threads go on (after a fatal error nothing can be
// relied on): there every field is a guess, at worst a line is out of date. The leak check stops the world
// first: then what is found here is true, since
//  - no goroutine runs on a P, and those that run without one (in blocking(), or detached) come back to
//    none: they are `syscall` until they are off their stacks (wait_for_p), and on the system stack they
//    stay their M's curg (wait_for_p_here);
//  - so `waiting`, `runnable` and not the curg of an M, is off its stack, its context saved;
//  - a goroutine that a signal has stopped stays so until a P is handed to its thread;
//  - sysmon, which moves stacks of goroutines that wait, is kept away by stack_hold (reclaim.hpp).
//
// Lock: none. Nothing allocates. Stack: any with some KiB of room, signal handlers' included.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/internal/g.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/frames_text.hpp"

namespace vole::inline v0::detail {

/// What the brackets of a traceback say, but for the time.
struct shown_state {
    g_status status;
    wait_reason reason;  // none unless waiting
    bool frozen;         // stopped by a signal
    bool locked;         // to its thread

    auto operator<=>(const shown_state&) const = default;
};
/// "chan receive", "runnable, preempted"
void print_state(text_out& out, const shown_state& s) noexcept;
/// The same, and ", 5 minutes" unless that is 0, and ", locked to thread".
void print_state(text_out& out, const shown_state& s, std::uint32_t minutes,
                 const char* before_minutes = ", ") noexcept;

struct look {
    const G* g;
    shown_state state;
    const void* frozen;  // the context of a goroutine that a signal has stopped
    bool self;           // the caller's own

    explicit look(const G* goroutine) noexcept;

    bool exists() const noexcept;
    bool walkable() const noexcept;
    std::uint32_t minutes() const noexcept;  // since it waits
};

/// Whether g is a goroutine that has not ended: what look(g).exists() says, at a lower price.
bool exists(const G* g) noexcept;

/// Of one that is walkable. Without the `skip` innermost frames, if it is the caller's own.
void walk(const look& l, std::size_t skip, frame_list& frames) noexcept;

/// What stands in place of the frames of one that is not, or nothing.
const char* no_frames_text(const look& l) noexcept;

/// Calls f(look) for every goroutine but the caller's own.
template <class F>
void each_other(F f) noexcept {
    for_each_g(
        [](G* g, void* p) {
            const look l(g);
            if (l.exists() && !l.self) (*static_cast<F*>(p))(l);
        },
        &f);
}

}  // namespace vole::detail
