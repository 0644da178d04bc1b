// clock::now(). CLOCK_MONOTONIC and not CLOCK_BOOTTIME: a laptop that wakes up must not find that
// every timeout of the program has passed while it slept.
#include <vole/time.hpp>

#include <ctime>

#include "time/src/heaps.hpp"

namespace vole::inline v0 {

namespace {
// Virtual time is nanoseconds since 1970, as the calendar counts; it begins in 2000.
using wall_time = std::chrono::sys_time<clock::duration>;
}  // namespace

clock::time_point clock::now() noexcept {
    return time_point{duration{detail::now_in(detail::current_bubble())}};
}

std::chrono::sys_time<clock::duration> clock::wall() noexcept {
    if (const detail::bubble* b = detail::current_bubble(); b != nullptr) {
        return wall_time{duration{b->now.load(detail::memory_order_relaxed)}};
    }
    std::timespec t{};
    ::clock_gettime(CLOCK_REALTIME, &t);
    return wall_time{std::chrono::seconds{t.tv_sec} + duration{t.tv_nsec}};
}

}  // namespace vole
