// A P's run queue: a ring of 256 with one producer (the P's owner) and many consumers, and one
// slot, runnext, for the goroutine that shall run next in the current time slice.
//
// Rules (numbers of the scheduler specification):
//  - a goroutine that was just started or readied takes runnext and kicks the old one to the
//    ring's tail (SCHED-13, 14); one taken from runnext inherits the time slice (SCHED-15);
//  - a full ring gives half of itself and the new one to the global queue, in order (SCHED-16);
//  - thieves take half of the ring from its head (SCHED-23), runnext only when it has been left
//    there for a while (SCHED-24).
//
// Memory order. Ring: the owner writes a slot, then stores tail (release); a consumer loads head
// (acquire), tail (acquire), reads slots, then moves head by compare-and-swap (release), which
// fails if anybody else consumed meanwhile, so a stale slot is never used. The owner reads head
// with acquire before it overwrites a slot: pairs with that release, so the reads are done.
// runnext: see runnext.hpp.
//
// Stack: any, on the thread that owns the P, except steal_* (any thread that holds another P).
#pragma once

#include <cstdint>

#include "runtime/internal/g.hpp"
#include "runtime/internal/g_list.hpp"
#include "runtime/src/sched/runnext.hpp"

namespace vole::inline v0::detail {

/// A queue of batches: lists that are put in and mostly taken out whole, so that its lock is held
/// for a few loads, not for a cache miss per goroutine. FIFO.
class batch_queue {
  public:
    std::uint32_t size() const noexcept { return size_; }
    const G* front() const noexcept { return first_; }

    void push(g_list& list) noexcept {
        G* first = list.head;
        if (first == nullptr) return;
        first->next_batch = nullptr;
        first->batch_size = static_cast<std::uint16_t>(list.size);
        (last_ != nullptr ? last_->next_batch : first_) = first;
        last_ = first;
        size_ += list.size;
        list = {};
    }
    void push(G* g) noexcept {
        g_list one;
        one.push_back(g);
        push(one);
    }
    /// To the front: what was used last is warm.
    void push_front(g_list& list) noexcept {
        G* first = list.head;
        if (first == nullptr) return;
        first->next_batch = first_;
        first->batch_size = static_cast<std::uint16_t>(list.size);
        if (last_ == nullptr) last_ = first;
        first_ = first;
        size_ += list.size;
        list = {};
    }
    /// About n: whole batches as long as they fit, one of them split if it is the only way.
    g_list take(std::uint32_t n) noexcept;

  private:
    G* first_ = nullptr;
    G* last_ = nullptr;
    std::uint32_t size_ = 0;
};

class run_queue {
  public:
    static constexpr std::uint32_t capacity = 256;

    /// Without other Ps, who may steal, the owner needs no read-modify-write, 7 ns each. Changed only
    /// while the world is stopped.
    void set_sharing(sharing s) noexcept {
        shared_ = s != sharing::alone;
        next_.set_sharing(s);
    }

    /// Makes g the next to run; gives back the goroutine it displaces.
    G* exchange_next(G* g) noexcept { return next_.exchange(g); }

    /// Owner only. False: the ring is full.
    bool push(G* g) noexcept {
        const std::uint32_t h = head_.load(memory_order_acquire);
        const std::uint32_t t = tail_.load(memory_order_relaxed);
        if (t - h >= capacity) return false;
        ring_[t % capacity].store(g, memory_order_relaxed);
        tail_.store(t + 1, memory_order_release);
        return true;
    }

    /// Owner only. Takes half of a full ring, in order; false if a thief was faster.
    bool take_half(g_list& out) noexcept;

    /// Owner only.
    G* pop_next() noexcept { return next_.pop(); }
    G* pop() noexcept {
        std::uint32_t h = head_.load(memory_order_acquire);
        for (;;) {
            if (tail_.load(memory_order_relaxed) == h) return nullptr;
            G* g = ring_[h % capacity].load(memory_order_relaxed);
            if (!shared_) {
                head_.store(h + 1, memory_order_relaxed);
                return g;
            }
            if (head_.compare_exchange_weak(h, h + 1, memory_order_release, memory_order_acquire)) {
                return g;
            }
        }
    }

    /// Whether there is anything; a snapshot without an order between its parts, good as a hint.
    bool empty_hint() const noexcept {
        return head_.load(memory_order_relaxed) == tail_.load(memory_order_relaxed) &&
               next_.peek() == nullptr;
    }
    bool ring_empty() const noexcept {
        return head_.load(memory_order_relaxed) == tail_.load(memory_order_relaxed);
    }
    /// Whether there is nothing, at one moment: see runq.cpp. For the re-check before sleeping.
    bool empty() const noexcept;

    /// The next in the ring, or null. A thief may take it at any moment.
    G* peek_ring() const noexcept {
        const std::uint32_t head = head_.load(memory_order_acquire);
        if (head == tail_.load(memory_order_relaxed)) return nullptr;
        return ring_[head % capacity].load(memory_order_relaxed);
    }

    std::uint32_t ring_size() const noexcept {
        return tail_.load(memory_order_relaxed) - head_.load(memory_order_relaxed);
    }

    /// Moves half of this ring to `to`'s and returns the last of them, to be run at once.
    G* steal_into(run_queue& to, std::uint32_t* count) noexcept;
    /// Takes runnext if it is still `seen`. Names the thief: see runnext.hpp.
    bool steal_next(G* seen, const void* thief) noexcept { return next_.steal(seen, thief); }
    G* peek_next() const noexcept { return next_.peek(); }

  private:
    friend struct debug_offsets;
    std::uint32_t grab(run_queue& to, std::uint32_t to_tail) noexcept;

    alignas(64) atomic<std::uint32_t> head_{0};
    alignas(64) atomic<std::uint32_t> tail_{0};
    runnext next_;
    bool shared_ = true;
    atomic<G*> ring_[capacity] = {};
};

}  // namespace vole::detail
