// One run of a program on the real runtime, and what came of it.
#pragma once

#include "test/proof/csp_outcome.hpp"
#include "test/proof/csp_program.hpp"

#include <cstdint>

namespace vole::proof {

/// Chance, as far as we are the ones to throw the dice: who begins first, who
/// gives way where and for how long. The threads and the kernel add their own,
/// so a schedule cannot be repeated exactly.
struct schedule {
    std::uint64_t seed = 0;
    /// Elements that are moved through boxes, not copied as bytes; selects are
    /// made at run time.
    bool boxed = false;
    /// No process begins before all are there.
    bool together = false;
    /// Processes have stacks of policy copying, and use more of them now and then, so that there is something to move.
    /// Only in a program built for it; in others it means nothing. Selects are made by vole::select then: what a
    /// selector keeps on the heap refers to the stack.
    bool moving = false;
    /// The program's, for tracebacks: a fatal error of the runtime says nothing else of what it was.
    std::uint64_t program_seed = 0;
};

/// Call it from a goroutine, on as many Ps as wanted. A process that can never
/// be woken again stays behind, waiting: the outcome is wrong then, and the
/// process about to end.
outcome run(const program& p, const schedule& s);

}  // namespace vole::proof
