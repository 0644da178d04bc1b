// In the place of the runtime's own: time stands still.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {
constexpr std::int64_t timer_now() noexcept { return 1000; }
constexpr std::int64_t timer_now_about() noexcept { return timer_now(); }
}  // namespace vole::detail
