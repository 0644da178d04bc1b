// Waiting until somebody says that something has changed. What all headers of <vole/sync.hpp> have in common is said there.
#pragma once

#include <cstdint>
#include <system_error>

#include <vole/detail/atomic.hpp>
#include <vole/detail/explore_point.hpp>
#include <vole/mutex.hpp>

namespace vole::inline v0 {

namespace detail {

/// std::unique_lock and the like know whether they hold their lock; for others the caller answers.
template <class Lock>
void check_owned(const Lock& lock) {
    if constexpr (requires { lock.owns_lock(); }) {
        if (!lock.owns_lock()) {
            throw std::system_error(std::make_error_code(std::errc::operation_not_permitted));
        }
    }
}

}  // namespace detail

/// Go's sync.Cond, a condition variable. Waiters are served in the order in which they began to wait, one for each
/// notify_one(), which is not kept for later ones; nobody wakes up unasked. Notifying needs no lock.
/// May be destroyed when those that waited have returned, even if who woke them is still in notify_one().
/// Waiting is always durable in a bubble (<vole/synctest.hpp>); to wake one of its goroutines from outside is the
/// fatal error "semaphore wake of synctest goroutine from outside bubble".
class cond {
  public:
    constexpr cond() noexcept = default;
    cond(const cond&) = delete;
    cond& operator=(const cond&) = delete;

    /// Unlocks `lock`, waits to be notified, and locks it again. Lock: std::unique_lock of a vole::mutex, usually;
    /// or anything that has lock() and unlock(), std::shared_lock of a rw_mutex for instance, and whose unlock()
    /// does not throw. Throws std::system_error (operation_not_permitted) if it has owns_lock() and says no, before it waits;
    /// and what lock() throws, having been notified. Happens-before: a notification -> the return of the wait that it ends.
    template <class Lock>
    void wait(Lock& lock) {
        detail::check_owned(lock);
        detail::explore_point("wait", this);
        const std::uint32_t ticket = enter();
        [&]() noexcept { lock.unlock(); }();
        wait_for(ticket);
        lock.lock();
    }

    /// The same until pred() holds; it is called with the lock held. What it throws leaves wait().
    template <class Lock, class Pred>
    void wait(Lock& lock, Pred pred) {
        while (!pred()) wait(lock);
    }

    /// Wakes the one that has waited longest, if anybody waits.
    void notify_one();
    /// Wakes all that wait now.
    void notify_all();

  private:
    // relaxed: the lock of the caller orders it before notifications that must see it.
    std::uint32_t enter() noexcept { return entered_.fetch_add(1, detail::memory_order_relaxed); }
    void wait_for(std::uint32_t ticket);

    detail::atomic<std::uint32_t> entered_{0};
    detail::atomic<std::uint32_t> notified_{0};
};

}  // namespace vole
