// The setter's half of arch/include/vole/arch/rseq.hpp: whether lock words are released by
// restartable sequences in this process, and the fence against those under way.
//
// Off under sanitizers (they do not see the store) and where kernel or C library have no rseq.
#pragma once

#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

/// Once, when the runtime starts.
void enable_restartable_release() noexcept;

/// After setting a bit: true when releasers may have overwritten it, but no longer will (look
/// again); false when they cannot. A system call that interrupts the process's running threads.
bool fence_releasers() noexcept;

/// Makes every running thread of the process pass a full fence. False: the kernel cannot.
bool fence_all_threads() noexcept;

/// Whether it can, as found out at the first call.
bool can_fence_all_threads() noexcept;

}  // namespace vole::inline v0::detail
