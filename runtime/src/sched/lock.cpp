// The slow path of the runtime's lock, and the check of lock order (VOLE_DEBUG=lockrank=1).
#include "runtime/internal/lock.hpp"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include <vole/arch/port.hpp>

#include "runtime/internal/entry.hpp"
#include "runtime/internal/fatal.hpp"

namespace vole::inline v0::detail {

constinit bool lock_ranks_checked = false;

void lock::acquire_slow() noexcept {
    for (unsigned round = 0;; ++round) {
        // Read first: an exchange in a loop would keep the line from the holder.
        for (unsigned i = 0; i < 40; ++i) {
            if (held_.load(memory_order_relaxed) == 0 &&
                held_.exchange(1, memory_order_acquire) == 0) {
                return;
            }
            arch::this_port::pause();
        }
        if (round < 20) {
            sched_yield();
        } else {
            const int saved = errno;
            const timespec nap{0, 20'000};
            nanosleep(&nap, nullptr);
            errno = saved;
        }
    }
}

void lock::check_inside() noexcept {
    const M* m = current_m();
    if (m == nullptr || m->curg == nullptr || m->blocking_depth != 0) return;
    if (runtime_depth()->load(memory_order_relaxed) != 0) return;
    fatal("runtime lock taken outside of an entry");
}

namespace {
// Per thread: runtime locks are never held over a switch by anybody who goes on afterwards, and
// park's commit releases on the thread that acquired.
struct held_ranks {
    lock_rank rank[64];
    unsigned count;
};
thread_local constinit held_ranks held{};
[[gnu::noinline]] held_ranks* held_here() noexcept { return &held; }
}  // namespace

void lock_rank_enter(lock_rank r) noexcept {
    held_ranks* h = held_here();
    if (h->count > 0) {
        const lock_rank last = h->rank[h->count - 1];
        // Channels may be locked several at a time (select, in order of address).
        if (last > r || (last == r && r != lock_rank::chan)) {
            message text;
            text << "vole: lock of rank " << static_cast<std::uint64_t>(r)
                 << " taken while holding rank " << static_cast<std::uint64_t>(last);
            fatal("lock order violated", text.c_str());
        }
    }
    if (h->count < 64) h->rank[h->count] = r;
    ++h->count;
}

void lock_rank_leave(lock_rank r) noexcept {
    held_ranks* h = held_here();
    for (unsigned i = h->count < 64 ? h->count : 64; i-- > 0;) {
        if (h->rank[i] != r) continue;
        for (unsigned k = i; k + 1 < h->count && k + 1 < 64; ++k) h->rank[k] = h->rank[k + 1];
        break;
    }
    if (h->count > 0) --h->count;
}

}  // namespace vole::detail
