// See futex.hpp.
#include "runtime/internal/futex.hpp"

namespace vole::inline v0::detail {

void note::wake() noexcept {
    word_.store(1, memory_order_release);
    futex_wake(&word_, 1);
}

void note::sleep() noexcept {
    while (word_.load(memory_order_acquire) == 0) futex_wait(&word_, 0);
}

bool note::sleep_for(std::int64_t timeout_ns) noexcept {
    if (word_.load(memory_order_acquire) == 0) futex_wait(&word_, 0, timeout_ns);
    return word_.load(memory_order_acquire) != 0;
}

}  // namespace vole::detail
