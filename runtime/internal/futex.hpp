// Sleeping and waking of threads. Errors are returned, errno is left as it was.
// Stack: any. May block the thread: never with a runtime lock held.
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

/// Sleeps while *word == expected, at most timeout_ns (negative: no limit). May return early.
void futex_wait(const atomic<std::uint32_t>* word, std::uint32_t expected,
                std::int64_t timeout_ns = -1) noexcept;
/// Wakes up to `count` sleepers. The word's memory may be gone by now: only its address is used.
void futex_wake(const atomic<std::uint32_t>* word, int count) noexcept;

/// A one-shot event for one sleeper: wake before sleep is not lost.
class note {
  public:
    /// release: what was written before wake() is seen after sleep().
    void wake() noexcept;
    /// The same for one who does not sleep on it. seq_cst, both: with another word that says where he sleeps.
    void set() noexcept { word_.store(1, memory_order_seq_cst); }
    bool is_set() const noexcept { return word_.load(memory_order_seq_cst) != 0; }
    void sleep() noexcept;
    /// True if woken, false after timeout_ns.
    bool sleep_for(std::int64_t timeout_ns) noexcept;
    /// acquire, and not a store: a wake() that came after a timeout, and that this undoes, is seen with what was
    /// written before it.
    void clear() noexcept { word_.exchange(0, memory_order_acquire); }

  private:
    atomic<std::uint32_t> word_{0};
};

std::int64_t nanotime() noexcept;  ///< CLOCK_MONOTONIC, nanoseconds

}  // namespace vole::detail
