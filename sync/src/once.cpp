// once: its slow path.
//
// state_: 0 at first; `running`, with `waiters` beside it once somebody may be queued, and above them the bubble
// of whoever runs the function; `done` at last. A waiter of the same bubble waits durably: nobody else can
// end it.
//
// A mutex inside would do, but for destruction (SYNC-96): whoever sees `done` returns, and may destroy the once before the
// mutex is unlocked. So `done` is the last touch of it, and what is left to do then concerns waiters, who have not returned.
//
// Locks: the bucket's. Stack: goroutine, or an ordinary thread's.
#include <vole/once.hpp>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/deep.hpp"
#include "sync/src/wait_table.hpp"

namespace vole::inline v0 {

VOLE_FITS_SMALL_STACK;

using namespace detail;

// True: the caller is the one who runs it.
bool once::begin() {
    const std::uint32_t here = current_bubble_id();
    std::uint32_t seen = 0;
    if (state_.compare_exchange_strong(seen, here << 2 | running, memory_order_acquire,
                                       memory_order_acquire)) {
        return true;
    }
    if (seen == done) return false;
    const runtime_entry entry;
    park_scope self;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    do {
        if (seen == done) {
            b.mu.release();
            return false;
        }
    } while (!state_.compare_exchange_weak(seen, seen | waiters, memory_order_acquire,
                                           memory_order_acquire));
    addr_waiter w;
    w.g = self.g();
    w.addr = this;
    b.push_back(&w);
    const bool inside = here != 0 && seen >> 2 == here;
    park_unlock(self.g(), b.mu, durable_if(inside, wait_reason::mutex_lock), &w);
    return false;
}

void once::end() noexcept {
    std::uint32_t seen = state_.load(memory_order_relaxed);
    // release: pairs with the acquire of whoever finds it done.
    if ((seen & waiters) == 0 &&
        state_.compare_exchange_strong(seen, done, memory_order_release, memory_order_relaxed)) {
        return;
    }
    const runtime_pin pin;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    state_.store(done, memory_order_release);
    addr_waiter* all = b.pop_all(this);
    b.mu.release();
    ready_all(all);
}

}  // namespace vole
