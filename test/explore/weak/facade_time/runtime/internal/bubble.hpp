// In the place of the runtime's own: there are no bubbles in the model.
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>
#include <vole/detail/bubble_id.hpp>

namespace vole::inline v0::detail {

struct bubble {
    atomic<std::int64_t> now{0};
};
inline bubble* current_bubble() noexcept { return nullptr; }

}  // namespace vole::inline v0::detail
