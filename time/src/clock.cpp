// clock::now(). CLOCK_MONOTONIC and not CLOCK_BOOTTIME: a laptop that wakes up must not find that
// every timeout of the program has passed while it slept.
#include <vole/time.hpp>

#include <ctime>

namespace vole::inline v0 {

clock::time_point clock::now() noexcept {
    // Cannot fail: the clock exists on every Linux we run on, and the pointer is good.
    std::timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return time_point{std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec}};
}

}  // namespace vole
