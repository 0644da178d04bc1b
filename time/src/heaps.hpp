// The heaps of the Ps, and the bubble's where there is one: which of them a caller uses.
//
// A heap is made with the first deadline of its P, and stays. That of a P that ends gives its entries to the
// first P's.
//
// Stack: inside the runtime, any.
#pragma once

#include <cstdint>

#include "runtime/internal/bubble.hpp"
#include "time/src/heap.hpp"

namespace vole::inline v0::detail {

/// A bubble with its timers.
struct timed_bubble : bubble {
    timer_heap heap{timer_heap::no_proc};
};
inline timer_heap* heap_of(bubble* b) noexcept { return &static_cast<timed_bubble*>(b)->heap; }

/// For the caller's P. Throws std::bad_alloc.
timer_heap* heap_here();

/// What operations on the time touch, where schedules are explored: which of two timers that are due at once was set first
/// may matter.
inline constexpr char explored_clock = 0;

/// What a timer or sleeper of b, or of none, goes by.
inline std::int64_t now_in(const bubble* b) noexcept {
    return b != nullptr ? b->now.load(memory_order_relaxed) : timer_now();
}

/// The same to within some 10 ns, for deadlines. Inside the runtime.
inline std::int64_t about_now_in(const bubble* b) noexcept {
    return b != nullptr ? b->now.load(memory_order_relaxed) : timer_now_about();
}

/// now + d, within what can be waited for; the longest is not "none".
constexpr std::int64_t deadline_after(std::int64_t now, std::int64_t d) noexcept {
    if (d <= 0) return now;
    return d >= no_deadline - 1 - now ? no_deadline - 1 : now + d;
}

/// Of a bubble that has ended: the entry, and a timer's being set, are no more. Destroys functions.
void drop_entry(const deadline& d);

/// How what a timer wakes is queued: in order; alone, first in line; by a bubble's driver, which waits for it.
enum class queueing : std::uint8_t { in_order, first, quietly };

/// Does what an entry stands for, at its time or behind it.
void fire(timer_heap* from, const deadline& d, std::int64_t now, queueing how) noexcept;

}  // namespace vole::detail
