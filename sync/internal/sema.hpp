// Semaphores by address, for slow paths: a word that counts, and the wait table's queue for its address.
//
// sema_release() does not touch the word any more once the waiter it serves can go on: so the word may be destroyed by
// whoever has been let through.
//
// Lock: the bucket's. Stack: goroutine, or an ordinary thread's; inside the runtime.
#pragma once

#include <cstdint>

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

/// Waits until *s is positive, and takes one. First come, first served.
void sema_acquire(std::uint32_t* s, wait_reason reason);
/// Lets one through, or the next one to come.
void sema_release(std::uint32_t* s) noexcept;

}  // namespace vole::detail
