// In the place of the runtime's own: time stands still.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {
constexpr std::int64_t timer_now() noexcept { return 1000; }
constexpr bool has_come(std::int64_t when) noexcept { return when <= timer_now(); }
}  // namespace vole::detail
