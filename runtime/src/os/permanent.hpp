// Memory that is never given back: Gs, Ms, Ps. Straight from the kernel, because a parked goroutine
// may hold any lock of malloc's, and zeroed. Stack: any. Lock: gslab.
#pragma once

#include <cstddef>

namespace vole::inline v0::detail {

/// Null: no memory.
void* permanent_alloc(std::size_t bytes, std::size_t align) noexcept;

}  // namespace vole::detail
