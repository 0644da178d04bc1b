// In the place of runtime/include/vole/detail/explore_point.hpp: the model's atomics are the points here.
#pragma once

#include <atomic>
#include <cstdint>

namespace vole::inline v0::detail {

enum class touch : std::uint8_t { reads, writes };
inline void explore_point(const char*, const void*, touch = touch::writes) noexcept {}

struct no_explorations {
    std::uint32_t load(std::memory_order) const noexcept { return 0; }
};
inline constexpr no_explorations explorations;

/// Each call may come 2 ms after the one before: so waiters may have starved, or not.
std::int64_t explored_time() noexcept;

}  // namespace vole::detail
