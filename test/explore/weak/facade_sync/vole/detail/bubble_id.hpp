// In the place of runtime/include/vole/detail/bubble_id.hpp: there are no bubbles in the model.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {
inline std::uint32_t current_bubble_id() noexcept { return 0; }
}  // namespace vole::detail
