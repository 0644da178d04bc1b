// In the place of the runtime's own: time stands still.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {
constexpr std::int64_t timer_now() noexcept { return 1000; }
}  // namespace vole::detail
