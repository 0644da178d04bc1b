// cond: tickets. The rules are Go's sync.Cond's (SYNC-48..56).
//
// Whoever begins to wait takes the next number of entered_ with the caller's lock still held; notifications go to the
// numbers one after the other: those below notified_ have got theirs. Only then the lock is released, and the
// waiter queues. In between, its notification may come: then its number is below notified_ when it has the
// bucket's lock, and it does not queue. So nothing is lost, and nobody who begins to wait later can take what
// is meant for an earlier one, although the queue is not in the order of the numbers.
// Rejected: to queue first and to release the lock then. A waiter that is linked from elsewhere lies on the stack, which
// may move while the lock's unlock() runs.
//
// notified_ is changed under the bucket's lock and never passes entered_; both are compared by their
// distance, for they wrap around.
//
// Destruction (SYNC-96): whoever notifies does not touch the cond after it has released the bucket's lock, without
// which nobody who is notified returns.
//
// Locks: the bucket's. Stack: goroutine, or an ordinary thread's.
#include <vole/cond.hpp>

#include "runtime/internal/deep.hpp"
#include "sync/src/wait_table.hpp"

namespace vole::inline v0 {

VOLE_FITS_SMALL_STACK;

using namespace detail;

namespace {
bool is_before(std::uint32_t ticket, std::uint32_t end) noexcept {
    return static_cast<std::int32_t>(ticket - end) < 0;
}
}  // namespace

void cond::wait_for(std::uint32_t ticket) {
    const runtime_entry entry;
    park_scope self;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    if (is_before(ticket, notified_.load(memory_order_relaxed))) {
        b.mu.release();
        return;
    }
    addr_waiter w;
    w.g = self.g();
    w.addr = this;
    w.ticket = ticket;
    b.push_back(&w);
    park_unlock(self.g(), b.mu, durable(wait_reason::cond_wait), &w);
}

void cond::notify_one() {
    explore_point("notify_one", this);
    const runtime_entry entry;
    // relaxed: of a wait that must see this notification, the caller knows by other means (SYNC-51).
    if (entered_.load(memory_order_relaxed) == notified_.load(memory_order_relaxed)) return;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    const std::uint32_t ticket = notified_.load(memory_order_relaxed);
    addr_waiter* w = nullptr;
    if (ticket != entered_.load(memory_order_relaxed)) {
        notified_.store(ticket + 1, memory_order_relaxed);
        w = b.take(this, ticket);
    }
    b.mu.release();
    if (w != nullptr) ready(w->g);
}

void cond::notify_all() {
    explore_point("notify_all", this);
    const runtime_entry entry;
    if (entered_.load(memory_order_relaxed) == notified_.load(memory_order_relaxed)) return;
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    notified_.store(entered_.load(memory_order_relaxed), memory_order_relaxed);
    addr_waiter* all = b.pop_all(this);
    b.mu.release();
    ready_all(all);
}

}  // namespace vole
