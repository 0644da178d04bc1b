// Who uses a descriptor: reads one after the other, writes one after the other, anything else at any time; and closing,
// which lets nobody in any more and ends when the last one has left.
//
// One word: closed, a bit for each direction that is taken, how many use it, and how many wait for each direction. Whoever
// leaves a direction wakes one who waits for it, whom it has taken out of the count; he tries again.
//
// Who waits uses it, too: he looks at the word when he wakes, perhaps long after a close, which must not be over before.
//
// Locks: buckets of the wait table, for those who wait. Stack: goroutine or thread, inside the runtime.
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>

#include "net/src/poll_desc.hpp"

namespace vole::inline v0::detail {

class fd_lock {
  public:
    static constexpr std::uint64_t most = (1 << 20) - 1;

    enum class entered : std::uint8_t { yes, closed, closed_last };
    /// Takes the direction, after those who came before. closed_last: the caller has waited, and was the last: as leave().
    /// Throws runtime_error if 2^20 - 1 use it or wait.
    [[nodiscard]] entered enter(io_dir dir);
    /// True: it is closed, and the caller was the last: it ends the descriptor, then calls ended().
    [[nodiscard]] bool leave(io_dir dir) noexcept;

    /// The same without a direction.
    bool hold();
    [[nodiscard]] bool let_go() noexcept;

    /// Lets nobody in, wakes who waits to get in, and holds. False: it was closed before.
    bool close();
    /// Who has closed it waits until the descriptor has been ended.
    void await_end() { sema_acquire_end(); }
    void ended() noexcept;

    bool is_closed() const noexcept {
        return (state_.load(memory_order_relaxed) & closed_bit) != 0;
    }

  private:
    static constexpr std::uint64_t closed_bit = 1;
    static constexpr std::uint64_t taken_bit(io_dir d) noexcept {
        return std::uint64_t{2} << static_cast<unsigned>(d);
    }
    static constexpr std::uint64_t use = 1 << 3;
    static constexpr std::uint64_t use_mask = most * use;
    static constexpr std::uint64_t wait(io_dir d) noexcept {
        return std::uint64_t{1} << (23 + 20 * static_cast<unsigned>(d));
    }
    static constexpr std::uint64_t wait_mask(io_dir d) noexcept { return most * wait(d); }

    entered enter_slow(io_dir dir);
    bool leave_slow(io_dir dir) noexcept;
    void sema_acquire_end();

    atomic<std::uint64_t> state_{0};
    std::uint32_t turn_[2] = {};  // semaphores
    std::uint32_t end_ = 0;
};

inline fd_lock::entered fd_lock::enter(io_dir dir) {
    std::uint64_t free = 0;
    // acquire: pairs with the release of whoever had it before.
    if (state_.compare_exchange_strong(free, taken_bit(dir) | use, memory_order_acquire,
                                       memory_order_relaxed)) [[likely]] {
        return entered::yes;
    }
    return enter_slow(dir);
}

inline bool fd_lock::leave(io_dir dir) noexcept {
    std::uint64_t alone = taken_bit(dir) | use;
    if (state_.compare_exchange_strong(alone, 0, memory_order_release, memory_order_relaxed))
        [[likely]] {
        return false;
    }
    return leave_slow(dir);
}

}  // namespace vole::detail
