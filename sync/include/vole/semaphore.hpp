// A semaphore whose holders take as much as they need. What all headers of <vole/sync.hpp> have in common is
// said there.
#pragma once

#include <cstdint>
#include <system_error>
#include <type_traits>

#include <vole/detail/bubble_id.hpp>
#include <vole/detail/context_base.hpp>

namespace vole::inline v0 {

namespace detail {
struct semaphore_waiter;
}

/// x/sync's semaphore.Weighted: `size` tokens, any number of which can be taken at once. First come, first served: who asks
/// for few waits behind who asks for many, so that nobody starves. A negative n is a runtime_error.
/// May be destroyed as soon as nobody is in acquire() and the last release() has been seen to have happened.
/// One that is made in a bubble blocks durably there.
class weighted_semaphore {
  public:
    explicit constexpr weighted_semaphore(std::int64_t size) noexcept
        : free_(size), size_(size),
          bubble_(std::is_constant_evaluated() ? 0 : detail::current_bubble_id()) {}
    weighted_semaphore(const weighted_semaphore&) = delete;
    weighted_semaphore& operator=(const weighted_semaphore&) = delete;

    /// Waits for n tokens, and takes them. For more than there are in all: for ever, without keeping others waiting.
    /// Happens-before: the release() of what is taken -> return.
    void acquire(std::int64_t n = 1);

    /// The same, but not once ctx is done: then takes nothing, though tokens be free, and throws std::system_error
    /// with ctx.err(), or sets `error` to it.
    void acquire(const context& ctx, std::int64_t n = 1);
    void acquire(const context& ctx, std::int64_t n, std::error_code& error);

    /// Takes n tokens if they are free and nobody waits.
    bool try_acquire(std::int64_t n = 1);

    /// Gives n tokens back, and wakes from the front of the queue as many as they are enough for. By anybody.
    /// Throws runtime_error "semaphore: released more than held"; then nothing has changed.
    void release(std::int64_t n = 1);

  private:
    bool acquire_or_wait(detail::cancel_node* until, std::int64_t n);
    bool take_free(std::int64_t n) noexcept;
    bool wait(detail::cancel_node* until, std::int64_t n);
    detail::semaphore_waiter* take_served() noexcept;

    // All under the lock of the wait table's bucket for this address.
    std::int64_t free_;
    const std::int64_t size_;
    detail::semaphore_waiter* first_ = nullptr;
    detail::semaphore_waiter* last_ = nullptr;
    std::uint32_t bubble_;  // where it was made
};

}  // namespace vole
