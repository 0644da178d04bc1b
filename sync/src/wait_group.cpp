// wait_group: a counter and a number of waiters in one word, the waiters themselves in the table.
//
// Waiters are counted under the bucket's lock, where they also queue; so whoever brings the counter
// to zero and sees waiters finds all of them in the queue once it holds that lock. Until it has
// taken them out, they are in wait() and the group is alive (SYNC-96).
//
// Locks: the bucket's. Stack: goroutine, or an ordinary thread's.
#include <limits>

#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "runtime/internal/deep.hpp"
#include "sync/src/wait_table.hpp"

namespace vole::inline v0 {

using namespace detail;

VOLE_FITS_SMALL_STACK;

namespace {
constexpr std::int64_t count_of(std::uint64_t s) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(s >> 32));
}
constexpr std::uint32_t waiters_of(std::uint64_t s) noexcept {
    return static_cast<std::uint32_t>(s);
}
constexpr std::uint64_t make_state(std::int64_t count, std::uint32_t waiters) noexcept {
    return std::uint64_t{static_cast<std::uint32_t>(static_cast<std::int32_t>(count))} << 32 |
           waiters;
}
}  // namespace

void wait_group::add(int delta) {
    std::uint64_t seen = state_.load(memory_order_relaxed);
    std::int64_t count = 0;
    do {
        count = count_of(seen) + delta;
        if (count < 0) throw_runtime_error("sync: negative WaitGroup counter");
        if (count > std::numeric_limits<std::int32_t>::max()) {
            throw_runtime_error("sync: WaitGroup counter overflow");
        }
        if (waiters_of(seen) != 0 && delta > 0 && count_of(seen) == 0) {
            throw_runtime_error("sync: WaitGroup misuse: Add called concurrently with Wait");
        }
        // acq_rel: a chain of done() calls orders all of them before the waits they release.
    } while (!state_.compare_exchange_weak(seen, make_state(count, waiters_of(seen)),
                                           memory_order_acq_rel, memory_order_relaxed));
    if (count != 0 || waiters_of(seen) == 0) return;

    const runtime_pin pin;  // the waiters first
    wait_bucket& b = bucket_of(this);
    addr_waiter* all = nullptr;
    addr_waiter** last = &all;
    b.mu.acquire();
    state_.store(0, memory_order_release);
    while (addr_waiter* w = b.pop(this)) {
        w->next = nullptr;
        *last = w;
        last = &w->next;
    }
    b.mu.release();
    while (all != nullptr) {
        addr_waiter* w = all;
        all = w->next;
        ready(w->g);
    }
}

void wait_group::wait() {
    const runtime_entry entry;
    // acquire: pairs with add's release.
    if (count_of(state_.load(memory_order_acquire)) == 0) return;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    std::uint64_t seen = state_.load(memory_order_acquire);
    do {
        if (count_of(seen) == 0) {
            b.mu.release();
            return;
        }
    } while (
        !state_.compare_exchange_weak(seen, seen + 1, memory_order_acq_rel, memory_order_acquire));
    park_scope self;
    addr_waiter w;
    w.g = self.g();
    w.addr = this;
    b.push_back(&w);
    park_unlock(self.g(), b.mu, wait_reason::wait_group_wait, &w);
    if (state_.load(memory_order_acquire) != 0) {
        throw_runtime_error("sync: WaitGroup is reused before previous Wait has returned");
    }
}

}  // namespace vole
