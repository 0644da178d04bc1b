// In the place of the runtime's own: there are no bubbles in the model.
#pragma once
#include <vole/detail/bubble_id.hpp>

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {
// Nor names.
inline g_tags* make_tags(const char*, const void*, const void*) noexcept { return nullptr; }
inline void release_tags(g_tags*) noexcept {}
}  // namespace vole::inline v0::detail
