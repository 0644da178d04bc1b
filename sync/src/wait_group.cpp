// wait_group: a counter and who waits in one word; the first waiter in a second one, others in the table.
//
// Nearly every group has one waiter. It claims the second word by setting the direct bit, and writes
// itself there once its stack is left: a read-modify-write for it, one for the done() that wakes it, and no
// table. Whoever brings the counter to zero and finds the bit set may have to wait for that write, for as
// long as for a lock.
//
// The others set a bit under the bucket's lock, where they also queue; so whoever brings the counter
// to zero and sees waiters finds all of them in the queue once it holds that lock. Until it has
// taken them out, they are in wait() and the group is alive (SYNC-96).
//
// Locks: the bucket's. Stack: goroutine, or an ordinary thread's.
#include <cstddef>
#include <limits>

#include <vole/detail/explore_point.hpp>
#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "sync/src/wait_table.hpp"

namespace vole::inline v0 {

using namespace detail;

VOLE_FITS_SMALL_STACK;

namespace {
// Upper half of the state: the counter, as int32. Lower half: two bits for who waits, and the bubble that
// the group belongs to (SYN-30..35), which ends with the count.
constexpr std::uint32_t direct_waits = std::uint32_t{1} << 31;
constexpr std::uint32_t others_wait = std::uint32_t{1} << 30;
constexpr std::uint32_t anybody = direct_waits | others_wait;

constexpr std::int64_t count_of(std::uint64_t s) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(s >> 32));
}
constexpr std::uint32_t waiters_of(std::uint64_t s) noexcept {
    return static_cast<std::uint32_t>(s) & anybody;
}
constexpr std::uint32_t bubble_in(std::uint64_t s) noexcept {
    return static_cast<std::uint32_t>(s) & ~anybody;
}
constexpr std::uint64_t make_state(std::int64_t count, std::uint32_t waiters,
                                   std::uint32_t bubble) noexcept {
    return std::uint64_t{static_cast<std::uint32_t>(static_cast<std::int32_t>(count))} << 32 |
           waiters | bubble;
}

[[noreturn]] void wrong_bubble(std::uint32_t owner, std::uint32_t caller) noexcept {
    fatal(owner != 0 && caller != 0
              ? "sync: WaitGroup.Add called from multiple synctest bubbles"
              : "sync: WaitGroup.Add called from inside and outside synctest bubble");
}

wait_reason reason_for(std::uint64_t s) noexcept {
    const std::uint32_t bubble = bubble_in(s);
    return durable_if(bubble != 0 && bubble == current_bubble_id(), wait_reason::wait_group_wait);
}

// Nothing refers to it but its goroutine.
struct direct_waiter : parked_waiter {
    explicit direct_waiter(const wait_group* g) noexcept;
    const wait_group* group;
};

bool move_direct_waiter(const parked_waiter* self, stack_move& mv) noexcept {
    if (mv.leaves(static_cast<const direct_waiter*>(self)->group)) return false;
    mv.copy(mv);
    return true;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"  // both compilers define it for derived structs
constinit const waiter_kind direct_waiter_kind{.move = move_direct_waiter,
                                               .object = offsetof(direct_waiter, group)};
#pragma GCC diagnostic pop

direct_waiter::direct_waiter(const wait_group* g) noexcept
    : parked_waiter{&direct_waiter_kind}, group(g) {}

}  // namespace

G* wait_group::take_direct() noexcept {
    // acquire: pairs with the commit's release, after which the waiter is off its stack.
    G* g = nullptr;
    for (int round = 0; (g = direct_.load(memory_order_acquire)) == nullptr; ++round) {
        spin_or_yield(round);
    }
    direct_.store(nullptr, memory_order_relaxed);  // ordered by the release of the state
    return g;
}

addr_waiter* wait_group::take_queued() noexcept {
    wait_bucket& b = bucket_of(this);
    const lock_guard held(b.mu);
    return b.pop_all(this);
}

// The counter is zero, and the state still says who waits: until it does not, nobody adds.
void wait_group::release_all(std::uint32_t waiters) noexcept {
    const runtime_pin pin;
    G* direct = (waiters & direct_waits) != 0 ? take_direct() : nullptr;
    addr_waiter* queued = nullptr;
    if ((waiters & others_wait) != 0) [[unlikely]]
        queued = take_queued();
    state_.store(0, memory_order_release);
    if (direct != nullptr) [[likely]]
        ready(direct);
    while (queued != nullptr) {
        addr_waiter* w = queued;
        queued = w->next;
        ready(w->g);
    }
}

void wait_group::add(int delta) {
    explore_point(delta < 0 ? "done" : "add", this);
    const std::uint32_t here = current_bubble_id();
    std::uint64_t seen = state_.load(memory_order_relaxed);
    std::int64_t count = 0;
    std::uint64_t next = 0;
    do {
        count = count_of(seen) + delta;
        if (count < 0) throw_runtime_error("sync: negative WaitGroup counter");
        if (count > std::numeric_limits<std::int32_t>::max()) {
            throw_runtime_error("sync: WaitGroup counter overflow");
        }
        if (waiters_of(seen) != 0 && delta > 0 && count_of(seen) == 0) {
            throw_runtime_error("sync: WaitGroup misuse: Add called concurrently with Wait");
        }
        if (bubble_in(seen) != here && count_of(seen) != 0) [[unlikely]]
            wrong_bubble(bubble_in(seen), here);
        const bool ends = count == 0 && waiters_of(seen) == 0;
        next = make_state(count, waiters_of(seen), ends ? 0 : here);
        // acq_rel: a chain of done() calls orders all of them before the waits they release.
    } while (!state_.compare_exchange_weak(seen, next, memory_order_acq_rel, memory_order_relaxed));
    if (count == 0 && waiters_of(seen) != 0) release_all(waiters_of(seen));
}

void wait_group::wait_direct(std::uint64_t seen) {
    park_scope self;
    direct_waiter w(this);
    park(
        self.g(),
        [](G* g, void* p) { static_cast<wait_group*>(p)->direct_.store(g, memory_order_release); },
        this, reason_for(seen), &w);
}

// False: the counter is zero.
bool wait_group::wait_queued() {
    wait_bucket& b = bucket_of(this);
    b.mu.acquire();
    std::uint64_t seen = state_.load(memory_order_acquire);
    do {
        if (count_of(seen) == 0) {
            b.mu.release();
            return false;
        }
    } while (!state_.compare_exchange_weak(seen, seen | others_wait, memory_order_acq_rel,
                                           memory_order_acquire));
    park_scope self;
    addr_waiter w;
    w.g = self.g();
    w.addr = this;
    b.push_back(&w);
    park_unlock(self.g(), b.mu, reason_for(seen), &w);
    return true;
}

void wait_group::wait() {
    explore_point("wait", this);
    const runtime_entry entry;
    // acquire: pairs with add's release.
    std::uint64_t seen = state_.load(memory_order_acquire);
    do {
        if (count_of(seen) == 0) return;
        if (waiters_of(seen) != 0) [[unlikely]] {
            if (!wait_queued()) return;
            break;
        }
        if (state_.compare_exchange_weak(seen, seen | direct_waits, memory_order_acq_rel,
                                         memory_order_acquire)) {
            wait_direct(seen);
            break;
        }
    } while (true);
    if (state_.load(memory_order_acquire) != 0) {
        throw_runtime_error("sync: WaitGroup is reused before previous Wait has returned");
    }
}

}  // namespace vole
