// mutex: the slow paths. The rules are Go's sync.Mutex's (SYNC-5..11); the state is our own.
//
// Bits of state_:
//   locked    somebody holds it
//   waiters   the queue of this address may be non-empty
//   woken     a waiter has been taken from the queue to compete for the lock and has neither got it
//             nor queued again: nobody else needs to be woken
//   starving  a waiter has waited too long: unlock hands the lock to the head of the queue, with
//             `locked` set throughout, so that nobody else can take it
//
// waiters, woken and starving are changed only under the bucket's lock (woken is cleared also by
// the woken waiter as it takes the lock, by compare-and-swap); locked is set by compare-and-swap
// anywhere, and cleared, when no other bit is set, by compare-and-swap or by the restartable
// "compare, then store" of arch/rseq.hpp (the fast path), else under the bucket's lock.
//
// Why no wake-up is lost: a locker sets `waiters` by a read-modify-write that finds `locked` set,
// under the bucket's lock, and queues itself before it lets go of that lock. The holder's fast
// path fails from then on, and its slow path takes the bucket's lock: it finds the waiter queued.
//
// Destruction (SYNC-96): an unlocker's last touch of the mutex is the operation that clears
// `locked`. Before it, it is the holder, and the mutex is alive.
//
// Locks: the bucket's. Stack: goroutine, or an ordinary thread's.
#include <vole/sync.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/membarrier.hpp"
#include "sync/src/wait_table.hpp"

namespace vole::inline v0 {

VOLE_FITS_SMALL_STACK;

using namespace detail;

namespace {
constexpr std::int64_t starvation_ns = 1'000'000;
}

void mutex::lock_slow() {
    const runtime_entry entry;
    park_scope self;
    addr_waiter w;
    w.g = self.g();
    w.addr = this;
    bool awake = false;  // this goroutine is the one that `woken` speaks of
    bool queued_before = false;
    int spins = 0;
    for (;;) {
        std::uint32_t seen = state_.load(memory_order_relaxed);
        if ((seen & (locked | starving)) == 0) {
            std::uint32_t taken = seen | locked;
            if (awake) taken &= ~woken;
            if (state_.compare_exchange_weak(seen, taken, memory_order_acquire,
                                             memory_order_relaxed)) {
                return;
            }
            continue;
        }
        // Spinning pays when the holder runs on another P and will be out in a moment.
        if ((seen & (locked | starving)) == locked && can_spin(spins)) {
            ++spins;
            spin_once();
            continue;
        }
        wait_bucket& b = bucket_of(this);
        b.mu.acquire();
        std::uint32_t add = waiters;
        if (queued_before && explored_time() - w.since > starvation_ns) add |= starving;
        seen = state_.load(memory_order_relaxed);
        bool set = false;
        while ((seen & locked) != 0) {
            std::uint32_t next = seen | add;
            if (awake) next &= ~woken;
            if (state_.compare_exchange_weak(seen, next, memory_order_relaxed,
                                             memory_order_relaxed)) {
                set = true;
                break;
            }
        }
        // An unlocker may release by "compare, then store" (arch/rseq.hpp): the first bit that is
        // set beside `locked` needs the fence, and a second look. Later ones find it set. The
        // bucket's lock is held over a system call here: once per queue that forms.
        if (set && seen == locked && fence_releasers()) {
            set = (state_.load(memory_order_relaxed) & waiters) != 0;
        }
        if (!set) {  // unlocked meanwhile: compete again
            b.mu.release();
            continue;
        }
        awake = false;
        if (queued_before) {
            b.push_front(&w);
        } else {
            w.since = explored_time();
            b.push_back(&w);
        }
        queued_before = true;
        const bool inside = bubble_ != 0 && bubble_ == current_bubble_id();
        park_unlock(self.g(), b.mu, durable_if(inside, wait_reason::mutex_lock), &w);
        if (w.handed) return;  // starvation mode: it is ours, `locked` has stayed set
        awake = true;
        spins = 0;
    }
}

// Whoever is to give way does so without the lock.
void mutex::unlock_slow() {
    release();
    const runtime_entry entry;
}

void mutex::release() {
    std::uint32_t held = locked;
    // release: pairs with the acquire of whoever locks next.
    if (state_.compare_exchange_strong(held, 0, memory_order_release, memory_order_relaxed)) return;
    const runtime_pin pin;
    if ((state_.load(memory_order_relaxed) & locked) == 0) {
        fatal("sync: unlock of unlocked mutex");
    }
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    const std::uint32_t seen = state_.load(memory_order_relaxed);
    if ((seen & starving) != 0) {
        addr_waiter* w = b.pop(this);
        if (w != nullptr) {
            const bool last = !b.has(this);
            if (last || explored_time() - w->since <= starvation_ns) {
                state_.fetch_and(~(starving | (last ? waiters : 0)), memory_order_relaxed);
            }
            w->handed = true;
            G* g = w->g;
            b.mu.release();
            ready(g);
            // The rest of the time slice goes with the lock (SYNC-8).
            if (may_park()) yield_to_others();
            return;
        }
    }
    if ((seen & woken) != 0) {
        // release: the next holder sees what this one did.
        state_.fetch_and(~(locked | starving), memory_order_release);
        b.mu.release();
        return;
    }
    addr_waiter* w = b.pop(this);
    std::uint32_t clear = locked | starving;
    if (w == nullptr || !b.has(this)) clear |= waiters;
    std::uint32_t now = seen;
    while (!state_.compare_exchange_weak(now, (now & ~clear) | (w != nullptr ? woken : 0),
                                         memory_order_release, memory_order_relaxed)) {
    }
    b.mu.release();
    if (w != nullptr) ready(w->g);
}

}  // namespace vole
