// A waiter: one goroutine (or thread) in the queue of one channel. It lies on the waiting stack.
//
// It is in a queue, or it has been taken from it by exactly one party: a partner, close, or (select)
// its own goroutine. A select has one waiter on each of its channels; `claim` is shared by them,
// and who moves it from 0 to 1 has won the select. A partner that loses the race takes the next
// waiter in the queue.
//
// Everything is guarded by the channel's lock, but elem, success and G::param, which belong to the
// party that took the waiter until it calls ready().
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>

#include "runtime/internal/park.hpp"

namespace vole::inline v0::detail {

struct channel;

/// A waiter of a plain operation moves with its stack.
extern const waiter_kind channel_waiter;

struct waiter : parked_waiter {
    waiter() noexcept : parked_waiter{&channel_waiter} {}
    G* g = nullptr;
    void* elem = nullptr;  // to receive into, or to send from; null: a value nobody wants
    waiter* prev = nullptr;
    waiter* next = nullptr;
    atomic<std::uint32_t>* claim = nullptr;
    channel* c = nullptr;
    std::uint32_t index = 0;  // of the select's case
    bool success = false;     // false after waking: by close
    bool queued = false;
    bool is_sender = false;
};

class waiter_queue {
  public:
    bool empty() const noexcept { return head_.load(memory_order_relaxed) == nullptr; }

    void push(waiter* w) noexcept {
        w->queued = true;
        w->next = nullptr;
        w->prev = tail_;
        if (tail_ != nullptr) {
            tail_->next = w;
        } else {
            head_.store(w, memory_order_relaxed);
        }
        tail_ = w;
    }

    /// The first whose goroutine has not been won by another case.
    waiter* pop() noexcept {
        for (;;) {
            waiter* w = head_.load(memory_order_relaxed);
            if (w == nullptr) return nullptr;
            unlink(w);
            if (w->claim == nullptr) return w;
            std::uint32_t free = 0;
            // acq_rel: the winner and the select's own goroutine see each other's writes.
            if (w->claim->compare_exchange_strong(free, 1, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
                return w;
            }
        }
    }

    void remove(waiter* w) noexcept {
        if (w->queued) unlink(w);
    }

    /// `old` has been copied to its new place: links from outside the moved stack follow it.
    void follow(const waiter* old, const stack_move& mv) noexcept {
        waiter* now = mv.moved(const_cast<waiter*>(old));
        if (old->prev == nullptr) {
            head_.store(now, memory_order_relaxed);
        } else if (!mv.leaves(old->prev)) {
            old->prev->next = now;
        }
        if (old->next == nullptr) {
            tail_ = now;
        } else if (!mv.leaves(old->next)) {
            old->next->prev = now;
        }
    }

  private:
    void unlink(waiter* w) noexcept {
        if (w->prev != nullptr) {
            w->prev->next = w->next;
        } else {
            head_.store(w->next, memory_order_relaxed);
        }
        if (w->next != nullptr) {
            w->next->prev = w->prev;
        } else {
            tail_ = w->prev;
        }
        w->queued = false;
    }

    // Atomic for the look without the lock (try operations, select's first pass) only.
    atomic<waiter*> head_{nullptr};
    waiter* tail_ = nullptr;
};

}  // namespace vole::detail
