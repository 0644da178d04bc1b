// A heap of deadlines: four children to a node, entries of 16 bytes that hold the deadline itself.
//
// An entry is a goroutine that sleeps, or a timer. Four-ary: half the levels of a binary heap, and the four
// children of a node lie in one cache line. The deadline is in the entry: sifting touches no timer. Rejected:
// wheels, whose slots are either coarser than a timer may be late or many; pairing heaps, a cache miss for
// each step.
//
// Lazy deletion. A timer that is stopped, or set to another time, leaves its entry where it is. An entry
// counts only if it is due when its timer says (timer_core::armed). Others are dropped where they come up, and
// swept out when they are more than a quarter of the heap.
//
// Lock: mu. Stack: any; user code never runs here. What could allocate says so.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/internal/lock.hpp"
#include "runtime/internal/timers.hpp"

namespace vole::inline v0::detail {

struct G;
struct timer_core;

struct deadline {
    std::int64_t when;
    std::uintptr_t who;  // a goroutine, with the lowest bit set, or a timer

    static deadline of(std::int64_t when, G* g) noexcept {
        return {when, reinterpret_cast<std::uintptr_t>(g) | 1};
    }
    static deadline of(std::int64_t when, timer_core* t) noexcept {
        return {when, reinterpret_cast<std::uintptr_t>(t)};
    }
    G* sleeper() const noexcept {
        return (who & 1) != 0 ? reinterpret_cast<G*>(who & ~std::uintptr_t{1}) : nullptr;
    }
    timer_core* timer() const noexcept { return reinterpret_cast<timer_core*>(who); }
};

class timer_heap {
  public:
    static constexpr std::uint32_t no_proc = ~std::uint32_t{0};

    /// Of a P: its first deadline is published there.
    explicit timer_heap(std::uint32_t proc) noexcept : proc_(proc) {}
    /// The entries' timers must have been released.
    ~timer_heap();
    timer_heap(const timer_heap&) = delete;
    timer_heap& operator=(const timer_heap&) = delete;

    lock mu{lock_rank::timer_heap};

    /// Takes mu, with room for one entry. Allocates; throws std::bad_alloc, with no lock held.
    void lock_with_room() VOLE_ACQUIRE(mu);
    bool has_room() const noexcept VOLE_REQUIRES(mu) { return size_ + owed_ < capacity_; }

    /// Needs room. True: it is the first now.
    bool push(deadline d) noexcept VOLE_REQUIRES(mu);
    /// Takes up to `most` out that are due by then. Room for them is kept until settle().
    std::size_t take_due(std::int64_t now, deadline* out, std::size_t most) noexcept
        VOLE_REQUIRES(mu);
    /// n of those that were taken are done with, or have been pushed again.
    void settle(std::size_t n) noexcept VOLE_REQUIRES(mu) { owed_ -= n; }
    bool empty() const noexcept VOLE_REQUIRES(mu) { return size_ == 0; }
    std::int64_t first() const noexcept VOLE_REQUIRES(mu) {
        return size_ == 0 ? no_deadline : entries_[0].when;
    }
    /// first(), after dropping what is dead in front.
    std::int64_t first_alive() noexcept VOLE_EXCLUDES(mu);

    /// A timer no longer counts on its entry: sweeps if there are many like that. Any lock but mu and
    /// those below it may be held.
    void add_dead() noexcept VOLE_EXCLUDES(mu);

  private:
    static bool is_alive(const deadline& d) noexcept;
    void sift_up(std::size_t hole, deadline d) noexcept VOLE_REQUIRES(mu);
    void sift_down(std::size_t hole, deadline d) noexcept VOLE_REQUIRES(mu);
    void remove_first() noexcept VOLE_REQUIRES(mu);
    void publish() noexcept VOLE_REQUIRES(mu);
    void sweep() noexcept VOLE_EXCLUDES(mu);
    std::size_t partition_dead() noexcept VOLE_REQUIRES(mu);

    deadline* entries_ VOLE_GUARDED_BY(mu) = nullptr;
    std::size_t size_ VOLE_GUARDED_BY(mu) = 0;
    std::size_t capacity_ VOLE_GUARDED_BY(mu) = 0;
    std::size_t owed_ VOLE_GUARDED_BY(mu) = 0;  // taken out, perhaps to come back
    // About how many do not count: written without the lock, updates may be lost.
    atomic<std::size_t> dead_{0};
    atomic<std::size_t> about_{0};  // size_
    std::uint32_t proc_;
};

/// Drops an entry's claim on its timer.
void release_entry(timer_core* t) noexcept;

}  // namespace vole::detail
