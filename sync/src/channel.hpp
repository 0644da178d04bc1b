// channel: the state of a channel, and the transfers that need its lock.
//
// Invariants while the lock is free (CHAN-21):
//  - not both queues hold waiters, except those of one select with both directions on an unbuffered
//    channel;
//  - buffered: count > 0 means no parked receiver; count < capacity means no parked sender;
//  - closed means no waiters.
//
// Lock: mu, rank chan; select takes several in the order of their addresses.
// Stack: goroutine, or an ordinary thread's.
#pragma once

#include <cstring>

#include <vole/detail/chan_core.hpp>

#include "runtime/internal/lock.hpp"
#include "sync/internal/source.hpp"
#include "sync/src/waiter.hpp"

namespace vole::inline v0::detail {

struct channel : chan_core {
    constexpr channel() noexcept = default;
    explicit constexpr channel(bool is_closed) noexcept : closed(is_closed) {}

    lock mu{lock_rank::chan};
    atomic<bool> closed{false};
    bool special = false;  // has a bubble or a source: operations have more to do
    std::uint32_t elem_size = 0;
    std::uint32_t bubble = 0;  // where it was made; 0: outside of all
    std::size_t capacity = 0;
    atomic<std::size_t> count{0};  // written under mu
    std::size_t send_at = 0;
    std::size_t recv_at = 0;
    std::byte* buffer = nullptr;
    atomic<box_base*> returned{nullptr};  // given back by receivers: go before the buffer
    waiter_queue receivers;
    waiter_queue senders;
    std::size_t align = 0;
    chan_source* source = nullptr;

    wait_reason waiting(wait_reason r) const noexcept { return durable_if(bubble != 0, r); }

    void copy(void* to, const void* from) const noexcept {
        // Words are the common case, by far: worth a branch before memcpy's own.
        if (elem_size == sizeof(std::uint64_t)) {
            std::memcpy(to, from, sizeof(std::uint64_t));
        } else if (elem_size == sizeof(std::uint32_t)) {
            std::memcpy(to, from, sizeof(std::uint32_t));
        } else if (elem_size != 0) {
            std::memcpy(to, from, elem_size);
        }
    }

    std::byte* slot(std::size_t i) const noexcept { return buffer + i * elem_size; }

    void push(const void* elem) noexcept VOLE_REQUIRES(mu) {
        copy(slot(send_at), elem);
        if (++send_at == capacity) send_at = 0;
        count.store(count.load(memory_order_relaxed) + 1, memory_order_release);
    }
    void pop(void* out) noexcept VOLE_REQUIRES(mu) {
        copy(out, slot(recv_at));
        if (++recv_at == capacity) recv_at = 0;
        count.store(count.load(memory_order_relaxed) - 1, memory_order_release);
    }

    // What a look without the lock can tell. CHAN-44: "not ready" may be said only if there was
    // one moment when the channel was open and not ready; hence the order of the loads in the
    // callers.
    bool send_blocked() const noexcept {
        return capacity == 0 ? receivers.empty() : count.load(memory_order_acquire) == capacity;
    }
    bool recv_blocked() const noexcept {
        const bool nothing =
            capacity == 0 ? senders.empty() : count.load(memory_order_acquire) == 0;
        return nothing && returned.load(memory_order_relaxed) == nullptr;
    }

    /// Sends if that is possible now. `wake` is to be readied after the lock is released.
    bool send_now(const void* elem, G** wake) noexcept VOLE_REQUIRES(mu);
    /// Receives if that is possible now; not for a drained, closed channel.
    bool recv_now(void* out, G** wake) noexcept VOLE_REQUIRES(mu);
};

inline channel* as_channel(chan_core* c) noexcept { return static_cast<channel*>(c); }
inline const channel* as_channel(const chan_core* c) noexcept {
    return static_cast<const channel*>(c);
}

[[noreturn]] void throw_send_on_closed();

/// Fatal unless the caller belongs to the channel's bubble: "receive on" and so on (SYN-40).
void check_bubble(const channel* c, const char* operation) noexcept;
inline void check_inside(const channel* c, const char* operation) noexcept {
    if (c->bubble != 0) [[unlikely]]
        check_bubble(c, operation);
}

// The partner's side of a transfer is over: from here on it may run.
inline G* finish(waiter* w, bool success) noexcept {
    G* g = w->g;
    w->success = success;
    g->param = w;
    return g;
}

inline bool channel::send_now(const void* elem, G** wake) noexcept {
    if (waiter* w = receivers.pop(); w != nullptr) {
        copy(w->elem, elem);  // straight into the receiver's variable, past the buffer
        *wake = finish(w, true);
        return true;
    }
    if (count.load(memory_order_relaxed) < capacity) {
        push(elem);
        return true;
    }
    return false;
}

inline bool channel::recv_now(void* out, G** wake) noexcept {
    if (box_base* box = returned.load(memory_order_relaxed); box != nullptr) [[unlikely]] {
        returned.store(box->next, memory_order_relaxed);
        std::memcpy(out, &box, sizeof(box));
        return true;
    }
    if (count.load(memory_order_relaxed) > 0) {
        pop(out);
        // A parked sender means the buffer was full: its value takes the slot at the tail.
        if (!senders.empty()) {
            if (waiter* w = senders.pop(); w != nullptr) {
                push(w->elem);
                *wake = finish(w, true);
            }
        }
        return true;
    }
    if (senders.empty()) return false;
    if (waiter* w = senders.pop(); w != nullptr) {  // unbuffered
        copy(out, w->elem);
        *wake = finish(w, true);
        return true;
    }
    return false;
}

}  // namespace vole::detail
