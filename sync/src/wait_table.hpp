// Waiters by address: the queues of locks, groups and conditions, kept outside the objects, so that an
// object is a word or two and may be destroyed as soon as nobody waits on it.
//
// 251 buckets; in a bucket a treap keyed by address whose nodes are the first waiters of their
// addresses, the others hanging from it in FIFO order: many addresses in one bucket cost log n
// (SYNC-59). The rule that makes destruction safe (SYNC-96): a waiter leaves only by somebody who
// holds the bucket's lock, so whoever holds it and sees a waiter may touch the object.
//
// Lock: the bucket's, rank sema. Stack: goroutine, or an ordinary thread's.
#pragma once

#include <cstdint>

#include "runtime/internal/lock.hpp"
#include "runtime/internal/park.hpp"

namespace vole::inline v0::detail {

/// A waiter moves with its stack, unless what it waits on lies there too.
extern const waiter_kind address_waiter;

struct addr_waiter : parked_waiter {
    addr_waiter() noexcept : parked_waiter{&address_waiter} {}
    G* g = nullptr;
    const void* addr = nullptr;
    addr_waiter* next = nullptr;  // in the FIFO of one address
    addr_waiter* last = nullptr;  // of the first: the end of that FIFO
    addr_waiter* left = nullptr;  // of the first: the treap
    addr_waiter* right = nullptr;
    std::uint32_t priority = 0;
    bool handed = false;       // out: got what it waited for, need not compete
    std::uint32_t ticket = 0;  // of a cond
    std::int64_t since = 0;    // when it first queued, CLOCK_MONOTONIC ns
};

struct wait_bucket {
    lock mu{lock_rank::sema};
    addr_waiter* root VOLE_GUARDED_BY(mu) = nullptr;
    std::uint32_t random VOLE_GUARDED_BY(mu) = 2463534242u;

    bool has(const void* addr) const noexcept VOLE_REQUIRES(mu);
    void push_back(addr_waiter* w) noexcept VOLE_REQUIRES(mu);
    void push_front(addr_waiter* w) noexcept VOLE_REQUIRES(mu);
    /// Null: nobody waits there.
    addr_waiter* pop(const void* addr) noexcept VOLE_REQUIRES(mu);
    /// All of them, a list in their order.
    addr_waiter* pop_all(const void* addr) noexcept VOLE_REQUIRES(mu);
    /// The one with this ticket, wherever it is in the queue. Null: it is not there.
    addr_waiter* take(const void* addr, std::uint32_t ticket) noexcept VOLE_REQUIRES(mu);
    const addr_waiter* first(const void* addr) const noexcept VOLE_REQUIRES(mu);

    /// `old` has been copied: links to it follow. False: it is not queued, and nothing has been copied.
    bool move(const addr_waiter* old, stack_move& mv) noexcept VOLE_REQUIRES(mu);

  private:
    std::uint32_t next_priority() noexcept VOLE_REQUIRES(mu);
};

wait_bucket& bucket_of(const void* addr) noexcept;

/// Readies a list of waiters that have been taken from their queue. With no lock held.
void ready_all(addr_waiter* all) noexcept;

}  // namespace vole::detail
