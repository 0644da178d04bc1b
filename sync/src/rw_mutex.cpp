// rw_mutex: the slow paths. The rules are Go's sync.RWMutex's (SYNC-17..26); the state is our own.
//
// state_, one word:
//   readers  the upper half: who hold the lock for reading, and who wait to. Each counts itself as it comes, and
//            out as it unlocks
//   writer   a writer has announced itself: it holds the lock, or waits for the readers that were there before
//            it. Readers that come while it is set wait
//   waiters  the queue of writers may be non-empty
//   woken    a writer has been taken from that queue to compete for `writer`, and has neither got it nor queued
//            again: no other needs to be woken
//   spread   readers may count themselves elsewhere: rw_readers.cpp. Never together with `writer`: who is to set that
//   folding  has the count put right before
//   homed    with `spread`: only readers on the P whose index is in the bits of home_mask may. Never with `writer`, either:
//            rest_ says then what the state is to become again
// leaving_   how many readers the announced writer still waits for; below zero while it has not come to say so
// admitted_  readers that a leaving writer has let in and that had counted themselves, but had not queued yet
//
// waiters and woken are set, and leaving_ and admitted_ changed, only under the bucket's lock; so while one holds
// that lock and `writer` besides, of state_ only the count of readers changes. A mutex of their own
// for the writers, as in Go, would be touched by the one that unlocks after it has let the readers in, of whom the last
// one may destroy all this (SYNC-96): so what that mutex would do is done by `writer`, and
// everybody is let in by one operation, the last that touches the object, unless there are readers who cannot leave
// lock_shared() without the bucket's lock. mutex.cpp says why no wake-up of a writer is lost.
//
// A reader that found `writer` takes the bucket's lock, and there it is either let in already (admitted_), or queues, and
// whoever lets readers in finds it. These may be counted in any order: a reader that comes late may go in for one
// that came before, which then waits in its place. A writer that waits for n readers waits for n of them to leave.
//
// The queues are in the wait table, since a lock is two words then and stacks with waiters can be moved. They are
// three, of one bucket: their keys are addresses in the first word.
//
// A writer that has waited for a millisecond when another unlocks is given the lock at once, `writer` set
// throughout. That is Go's starvation mode without a mode: it is looked at each time (SYNC-7..9).
//
// Locks: the bucket's. Stack: goroutine, or an ordinary thread's.
#include <vole/rw_mutex.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "sync/src/wait_table.hpp"

namespace vole::inline v0 {

VOLE_FITS_SMALL_STACK;

using namespace detail;

namespace {

constexpr std::int64_t starvation_ns = 1'000'000;

constexpr std::int32_t readers_in(std::uint64_t state) noexcept {
    return static_cast<std::int32_t>(state >> 32);
}

}  // namespace

static_assert(alignof(rw_mutex) == 8);  // bucket_of() does not look at the lower three bits

const void* rw_mutex::queued_readers() const noexcept {
    return reinterpret_cast<const char*>(this) + 1;
}
const void* rw_mutex::waiting_writer() const noexcept {
    return reinterpret_cast<const char*>(this) + 2;
}

// ---- writers ----------------------------------------------------------------------------------

void rw_mutex::lock_slow() {
    const runtime_entry entry;
    park_scope self;
    addr_waiter w;
    w.g = self.g();
    bool awake = false;  // this is the writer that `woken` speaks of
    for (int spins = 0;;) {
        std::uint64_t seen = state_.load(memory_order_relaxed);
        bool at_home = false;
        if ((seen & (spread | folding)) != 0) {
            at_home = write_at_home(seen);
            if (!at_home) seen = gather_readers();
        }
        if (at_home || (seen & writer) == 0) {
            // acquire: pairs with the releases of all who unlocked; they are one chain of read-modify-writes.
            if (!at_home && !state_.compare_exchange_weak(seen, seen | writer, memory_order_acquire,
                                                          memory_order_relaxed)) {
                continue;
            }
            if (awake) state_.fetch_and(~woken, memory_order_relaxed);
            return wait_for_readers(w, seen);
        }
        if (can_spin(spins)) {
            ++spins;
            spin_once();
            continue;
        }
        wait_bucket& b = bucket_of(this);
        b.mu.acquire();
        // Takes the lock, or says that it waits.
        if (!announce(seen, awake ? woken : 0)) {
            b.mu.release();
            continue;
        }
        if ((seen & writer) == 0) {
            b.mu.release();
            return wait_for_readers(w, seen);
        }
        w.addr = this;
        if (awake) {
            b.push_front(&w);
        } else {
            w.since = explored_time();
            b.push_back(&w);
        }
        park_unlock(self.g(), b.mu, wait_reason::rw_mutex_lock, &w);
        if (w.handed) return;  // and no reader is left
        awake = true;
        spins = 0;
    }
}

// Sets `writer` and `waiters`; `seen` becomes what was there before. False: it cannot be now. Who is `woken` says that it is
// so no more in the same step: release() looks at these three without the bucket's lock.
bool rw_mutex::announce(std::uint64_t& seen, std::uint64_t no_more) noexcept {
    seen = state_.load(memory_order_relaxed);
    do {
        if ((seen & (spread | folding)) != 0) return false;
    } while (!state_.compare_exchange_weak(seen, (seen | writer | waiters) & ~no_more,
                                           memory_order_acquire, memory_order_relaxed));
    return true;
}

// `seen`: the state before `writer` was set.
void rw_mutex::wait_for_readers(addr_waiter& w, std::uint64_t seen) {
    if (readers_in(seen) == 0) return;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    leaving_ += readers_in(seen);
    if (leaving_ == 0) {  // they have left meanwhile
        b.mu.release();
        return;
    }
    w.addr = waiting_writer();
    b.push_back(&w);
    park_unlock(w.g, b.mu, wait_reason::rw_mutex_lock, &w);
}

// Whoever is to give way does so without the lock.
void rw_mutex::unlock_slow() {
    release();
    const runtime_entry entry;
}

void rw_mutex::release() {
    std::uint64_t seen = state_.load(memory_order_relaxed);
    // No reader waits, and no writer, or one of them has been woken: that may be long in coming, but sees to the others when it
    // has come. If it finds `writer` first, this fails, and finds it queued; else it takes the lock.
    while ((seen & writer) != 0 && seen < one_reader && (seen & (waiters | woken)) != waiters) {
        const std::uint64_t after = at_rest() | (seen & (waiters | woken));
        // release: pairs with the acquire of whoever locks next.
        if (state_.compare_exchange_weak(seen, after, memory_order_release, memory_order_relaxed)) {
            return;
        }
    }
    if ((seen & writer) == 0) fatal("sync: Unlock of unlocked RWMutex");
    rest_ = 0;  // others have come
    const runtime_pin pin;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    seen = state_.load(memory_order_relaxed);
    addr_waiter* next = (seen & woken) == 0 ? b.pop(this) : nullptr;
    const bool starving = next != nullptr && explored_time() - next->since > starvation_ns;
    addr_waiter* readers = starving ? hand_over(b, next) : let_go(b, seen, next);
    b.mu.release();
    ready_all(readers);
    if (next != nullptr) ready(next->g, readers == nullptr);
    // The rest of the time slice goes with the lock (SYNC-8).
    if (starving && may_park()) yield_to_others();
}

// `next`, if there is one, may compete for the lock. Returns the readers that are to be readied.
addr_waiter* rw_mutex::let_go(wait_bucket& b, std::uint64_t seen,
                              const addr_waiter* next) VOLE_NO_TS {
    std::uint64_t change = 0 - writer;
    if ((seen & waiters) != 0 && !b.has(this)) change -= waiters;
    if (next != nullptr) change += woken;
    // release: the next holders see what this one did.
    seen = state_.fetch_add(change, memory_order_release);
    return readers_in(seen) != 0 ? admit(b, seen) : nullptr;
}

// `next` has the lock when the readers that wait now have come and gone; null then: there are some.
addr_waiter* rw_mutex::hand_over(wait_bucket& b, addr_waiter*& next) VOLE_NO_TS {
    const std::uint64_t seen = b.has(this) ? state_.load(memory_order_relaxed)
                                           : state_.fetch_and(~waiters, memory_order_relaxed);
    next->handed = true;
    if (readers_in(seen) == 0) return nullptr;
    leaving_ = readers_in(seen);
    next->addr = waiting_writer();
    b.push_back(next);
    next = nullptr;
    return admit(b, seen);
}

// ---- readers ----------------------------------------------------------------------------------

// A writer leaves, and all readers that are counted in `seen` are let in. Returns those that had queued.
addr_waiter* rw_mutex::admit(wait_bucket& b, std::uint64_t seen) VOLE_NO_TS {
    addr_waiter* all = b.pop_all(queued_readers());
    std::int32_t on_their_way = readers_in(seen);
    for (const addr_waiter* w = all; w != nullptr; w = w->next) --on_their_way;
    // Where there is none, this object may be gone already.
    if (on_their_way != 0) admitted_ += on_their_way;
    return all;
}

void rw_mutex::lock_shared_slow() {
    const runtime_entry entry;
    park_scope self;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    if (admitted_ != 0) {
        --admitted_;
        b.mu.release();
        return;
    }
    addr_waiter w;
    w.g = self.g();
    w.addr = queued_readers();
    b.push_back(&w);
    park_unlock(self.g(), b.mu, wait_reason::rw_mutex_rlock, &w);
}

// `after`: the state that the reader left.
void rw_mutex::unlock_shared_slow(std::uint64_t after) {
    if ((after & below_zero) != 0) fatal("sync: RUnlock of unlocked RWMutex");
    if ((after & writer) != 0) {
        // The writer waits for this reader, so all this is there until it has said that it leaves.
        const runtime_pin pin;
        wait_bucket& b = bucket_of(this);
        b.mu.acquire();
        addr_waiter* next = --leaving_ == 0 ? b.pop(waiting_writer()) : nullptr;
        b.mu.release();
        if (next != nullptr) ready(next->g);
    }
    const runtime_entry entry;
}

}  // namespace vole
