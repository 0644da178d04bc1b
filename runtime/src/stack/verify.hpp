// VOLE_DEBUG=stackverify=1: every stack that a copy has left stays inaccessible for as long as there
// is room, so that a stale address faults, and the fault handler can say whose it was.
//
// Not seen: what the kernel reads or writes for a system call (that fails with EFAULT instead).
//
// Lock: its own, of rank arena, in abandon_stack. Stack: abandon_stack g0 or sysmon's, explain any,
// also in a signal handler.
#pragma once

#include "runtime/src/stack/segment.hpp"

namespace vole::inline v0::detail {

bool keeps_abandoned_stacks() noexcept;
/// Takes over the memory of `old`, which g has left for `fresh`.
void abandon_stack(const G* g, stack_segment* old, const stack_segment* fresh) noexcept;
/// Whether the address lies in an abandoned stack; prints which, if so. Async-signal-safe.
bool explain_abandoned(std::uintptr_t address) noexcept;

}  // namespace vole::detail
