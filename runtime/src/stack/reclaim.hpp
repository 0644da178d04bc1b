// Giving memory of long-parked goroutines back: pages below the frames of a deep slot, segments that
// were kept for a next time, and for policy copying the larger half of a stack.
//
// sysmon looks at goroutines at intervals. One that was found waiting, in the same wait, three times,
// is excluded from running for a moment and worked on. Exclusion needs no fence in ready():
//
//   ready():  status = runnable; (compiler barrier) ; look = g->looks; busy? wait until it is not
//   sysmon:   g->looks |= busy; membarrier(); status still waiting? then it cannot run before
//             sysmon takes `busy` away
//
// One of the two sees the other: a waker whose store of the status came before the membarrier is
// seen by sysmon; one whose store comes after it loads `looks` after that, and sees `busy`. Without
// membarrier (kernels before 4.14) nothing is given back.
//
// That the goroutine is off its stack, and not merely about to park, is told by its M: it is not
// its curg, and its commit has begun.
//
// Locks: those that parked_waiter::move tries. Stack: sysmon's thread, or a test's.
#pragma once

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

// G::looks
inline constexpr std::uint8_t look_busy = 0x80;  // sysmon works on it
inline constexpr std::uint8_t looks_enough = 2;  // seen waiting so often: next time
inline constexpr std::uint8_t looks_done = 3;    // nothing more to be had during this wait

/// The waker's side, when looks is not 0: waits for sysmon, and starts the count anew.
void wait_for_look(G* g) noexcept;

/// Keeps sysmon away from g's stack while it exists; waits for it first if need be. For who knows that g
/// does not run: the world is stopped. A waker of g waits, as for sysmon.
class stack_hold {
  public:
    explicit stack_hold(G* g) noexcept;
    ~stack_hold();
    stack_hold(const stack_hold&) = delete;
    stack_hold& operator=(const stack_hold&) = delete;

  private:
    G* g_;
};

struct reclaimed {
    std::uint64_t bytes;  // given back
    bool more;            // some goroutines have not been looked at often enough yet
};
/// Looks at every goroutine. `at_once`: takes one look for enough (tests).
reclaimed reclaim_parked(bool at_once = false) noexcept;

}  // namespace vole::detail
