// Parking and readying goroutines: what locks, channels, timers and pollers are built on.
//
// The protocol that no wake-up can slip through: a waiter queues itself under some lock L and calls
// park(unlock L). The lock is released by `commit`, which runs only after the goroutine's context
// is saved and its stack left, on the stack of whoever runs next. A waker takes L, removes the
// waiter and calls ready(): so it finds either no waiter, or one that is completely parked.
//
// Every operation that parks or readies has a runtime_entry at its top (entry.hpp).
//
// Ordinary threads take the same path: park_scope gives them a G of their own for one operation,
// and ready() wakes the thread instead of queueing it.
#pragma once

#include <cstdint>

#include "runtime/internal/entry.hpp"
#include "runtime/internal/g.hpp"
#include "runtime/internal/lock.hpp"

namespace vole::inline v0::detail {

/// The running goroutine, null on an ordinary thread or on g0. From anywhere.
G* current_g() noexcept;

/// A stack on its way to another place, while its goroutine waits.
struct stack_move {
    std::uintptr_t lo, hi;    // the old one
    std::uintptr_t distance;  // to the new one
    /// Copies the stack; from then on the new one counts. What lies on it and points into it has been
    /// adjusted in the copy.
    void (*copy)(stack_move& self) noexcept;

    bool leaves(const void* p) const noexcept {
        return reinterpret_cast<std::uintptr_t>(p) - lo < hi - lo;
    }
    template <class T>
    T* moved(T* p) const noexcept {
        return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(p) + distance);
    }
};

struct parked_waiter;

/// What is the same for all waiters of a type.
struct waiter_kind {
    /// Locks what it must (without blocking), makes sure that nobody has taken the waiter, calls
    /// mv.copy, and mends the links that come from outside. False: not now, and nothing has happened.
    /// Called by sysmon, the goroutine excluded from running.
    bool (*move)(const parked_waiter* self, stack_move& mv) noexcept;

    // What it waits on, for debuggers, which see only memory; offsets in the waiter.
    std::uint32_t object;      // of a pointer to it, or to an array whose elements begin with one
    std::uint32_t count = 0;   // of an array: of the number of elements, 32 bits; 0: no array
    std::uint32_t stride = 0;  // of an array: bytes of an element
};

/// What waits on a stack and is linked from elsewhere.
struct parked_waiter {
    const waiter_kind* kind;
};

/// Suspends g, the running goroutine or the thread's own G, until ready(g). `waiter`, if there is one,
/// allows its stack to be moved meanwhile, and tells debuggers what it waits on.
/// Stack: goroutine (or the thread's). Fatal on the system stack or inside blocking().
void park(G* g, park_commit commit, void* arg, wait_reason reason,
          const parked_waiter* waiter = nullptr);

/// The usual case: parks and releases `l`.
void park_unlock(G* g, lock& l, wait_reason reason, const parked_waiter* waiter = nullptr)
    VOLE_RELEASE(l);

/// Makes a parked g runnable, first in line on this P (next) or at its tail; from any thread.
/// Does not switch. The caller must own g: have taken it from the queue it waited in.
void ready(G* g, bool next = true);

/// The same, first in line, and no other P is woken for it: for hand-overs that are not worth one. A P that has
/// nothing to do finds it all the same, and sysmon wakes one if it is kept waiting.
void ready_quietly(G* g);

/// True on a goroutine that has a P and is on its own stack: not in blocking(), not on_system_stack().
bool may_park() noexcept;

/// Puts the running goroutine behind all others, then lets them run. For hand-offs.
void yield_to_others();

/// The G that stands for the caller in one blocking operation.
class park_scope {
  public:
    park_scope() noexcept : g_(running_g()) {
        if (g_ == nullptr) [[unlikely]]
            adopt_thread();
    }
    ~park_scope() {
        if (adopted_) [[unlikely]]
            release_thread();
    }
    park_scope(const park_scope&) = delete;
    park_scope& operator=(const park_scope&) = delete;
    G* g() noexcept { return g_; }

  private:
    void adopt_thread() noexcept;
    void release_thread() noexcept;
    G* g_;
    bool adopted_ = false;
};

/// A random number for spreading choices; never 0. Cheap: a few cycles, no shared state.
std::uint32_t fast_random() noexcept;

/// True when spinning for a lock may pay: several Ps, another one running, nothing queued here.
bool can_spin(int round) noexcept;
void spin_once() noexcept;
/// In the round-th turn of waiting for what another thread is in the middle of: spins, and gives the CPU away once it
/// looks as if the kernel has taken that thread off its own.
void spin_or_yield(int round) noexcept;

}  // namespace vole::detail
