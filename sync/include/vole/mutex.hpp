// A lock. What all headers of <vole/sync.hpp> have in common is said there.
#pragma once

#include <cstdint>
#include <type_traits>

#include <vole/detail/atomic.hpp>
#include <vole/detail/bubble_id.hpp>
#include <vole/detail/explore_point.hpp>
#include <vole/runtime.hpp>

namespace vole::inline v0 {

/// Go's sync.Mutex: not recursive, no owner (another goroutine or thread may unlock), two modes.
/// Normal: a woken waiter competes with newcomers. Starvation, once a waiter has waited 1 ms: the
/// lock goes from hand to hand in FIFO order. Meets Lockable.
/// May be destroyed as soon as it is unlocked for the last time, by whoever locked it last.
/// One that is made in a bubble blocks durably there (<vole/synctest.hpp>).
class mutex {
  public:
    constexpr mutex() noexcept
        : bubble_(std::is_constant_evaluated() ? 0 : detail::current_bubble_id()) {}
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    /// Waits until the lock is free. Happens-before: every earlier unlock() -> return.
    void lock() {
        detail::explore_point("lock", this);
        std::uint32_t free = 0;
        // acquire: pairs with unlock's release.
        if (!state_.compare_exchange_strong(free, locked, detail::memory_order_acquire,
                                            detail::memory_order_relaxed)) [[unlikely]] {
            lock_slow();
        }
    }

    /// Never waits; false also in starvation mode. A failure orders nothing.
    bool try_lock() noexcept {
        detail::explore_point("try_lock", this);
        std::uint32_t seen = state_.load(detail::memory_order_relaxed);
        return (seen & (locked | starving)) == 0 &&
               state_.compare_exchange_strong(seen, seen | locked, detail::memory_order_acquire,
                                              detail::memory_order_relaxed);
    }

    /// Fatal error "sync: unlock of unlocked mutex" if it is not locked.
    void unlock() {
        detail::explore_point("unlock", this);
        static_assert(sizeof(state_) == sizeof(unsigned));
        if (detail::release_mode.load(detail::memory_order_relaxed) ==
                detail::release_restartable &&
            vole_clear_if(reinterpret_cast<unsigned*>(&state_), locked) != 0) [[likely]] {
            return;
        }
        unlock_slow();
    }

  private:
    // Bits of state_; the meaning of the upper three is in sync/src/mutex.cpp.
    static constexpr std::uint32_t locked = 1;
    static constexpr std::uint32_t waiters = 2;
    static constexpr std::uint32_t woken = 4;
    static constexpr std::uint32_t starving = 8;

    void lock_slow();
    void unlock_slow();
    void release();

    detail::atomic<std::uint32_t> state_{0};
    std::uint32_t bubble_;  // where it was made
};

}  // namespace vole
