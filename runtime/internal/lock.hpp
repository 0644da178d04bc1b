// The runtime's own lock: for critical sections of tens of nanoseconds that run no user code, do
// not allocate, do not park and do not enter the kernel.
//
// One byte. Taken by an exchange, released by a plain release store: a lock that could put its
// waiters to sleep would need a second read-modify-write on release, which is as dear as the
// whole section. The price is that waiters spin, then yield the processor, then nap: a holder that
// the kernel has taken off its CPU is waited for in 20 us naps.
//
// Stack: any (goroutine, g0, foreign thread); never in a signal handler, but for the one that stops
// goroutines. On a goroutine only inside the runtime (entry.hpp): stopped with the lock held, it would hold
// up whoever is to let it go on. Builds with assertions check that.
// Order (outermost first), checked by VOLE_DEBUG=lockrank=1: see HACKING.md, "Lock order".
//   sema -> timer -> chan (several: by address) -> poll -> timer_heap -> sched -> arena -> gslab
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>

#include "runtime/internal/thread_safety.hpp"

namespace vole::inline v0::detail {

enum class lock_rank : std::uint8_t {
    none,
    sema,
    timer,
    chan,
    poll,
    timer_heap,
    sched,
    arena,
    gslab
};

extern bool lock_ranks_checked;  // set once at start, before the first lock
void lock_rank_enter(lock_rank r) noexcept;
void lock_rank_leave(lock_rank r) noexcept;

class VOLE_CAPABILITY("lock") lock {
  public:
    explicit constexpr lock(lock_rank r) noexcept : rank_(r) {}
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;

    void acquire() noexcept VOLE_ACQUIRE() {
#ifndef NDEBUG
        check_inside();
#endif
        // acquire: pairs with the release store of the previous holder.
        if (held_.exchange(1, memory_order_acquire) != 0) [[unlikely]]
            acquire_slow();
        if (lock_ranks_checked) [[unlikely]]
            lock_rank_enter(rank_);
    }

    bool try_acquire() noexcept VOLE_TRY_ACQUIRE(true) {
        if (held_.exchange(1, memory_order_acquire) != 0) return false;
        if (lock_ranks_checked) [[unlikely]]
            lock_rank_enter(rank_);
        return true;
    }

    void release() noexcept VOLE_RELEASE() {
        if (lock_ranks_checked) [[unlikely]]
            lock_rank_leave(rank_);
        held_.store(0, memory_order_release);
    }

    bool held() const noexcept { return held_.load(memory_order_relaxed) != 0; }

  private:
    void acquire_slow() noexcept;
    static void check_inside() noexcept;
    atomic<std::uint8_t> held_{0};
    lock_rank rank_;
};

class VOLE_SCOPED_CAPABILITY lock_guard {
  public:
    explicit lock_guard(lock& l) noexcept VOLE_ACQUIRE(l) : l_(l) { l_.acquire(); }
    ~lock_guard() VOLE_RELEASE() { l_.release(); }
    lock_guard(const lock_guard&) = delete;
    lock_guard& operator=(const lock_guard&) = delete;

  private:
    lock& l_;
};

}  // namespace vole::detail
