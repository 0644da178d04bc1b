// In the place of the runtime's own: a clock that the test sets, two heaps, and nobody who sleeps until a deadline.
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

inline constexpr std::int64_t no_deadline = INT64_MAX;
inline constexpr std::uint32_t most_heaps = 2;

struct timer_driver {
    void (*run)(std::uint32_t p) noexcept;
    std::int64_t (*first)(std::uint32_t p) noexcept;
    void (*retire)(std::uint32_t p) noexcept;
};
void install_timer_driver(const timer_driver* d);
/// Threads by turns.
std::uint32_t timer_home() noexcept;
void set_first_timer(std::uint32_t p, std::int64_t when) noexcept;
/// A thread looks at the heaps, if it is that late already.
void watch_deadline(std::int64_t when, bool leaving) noexcept;
inline bool many_wait_here() noexcept { return false; }

std::int64_t timer_now() noexcept;
inline std::int64_t timer_now_about() noexcept { return timer_now(); }

}  // namespace vole::inline v0::detail
