// M: one thread of the runtime.
//
// An M needs a P to run goroutines. Ms are never freed: that of a thread that has ended is used again,
// so a stale pointer names some M, not nothing.
//
// Who may touch what: everything belongs to the thread itself, but for `attention` (anybody), the notes,
// and what somebody who wakes it leaves in next_p. `p` and `curg` may also be read by sysmon, and `p` be
// taken away by it, by the protocol of runtime/src/preempt/detach.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/arch/port.hpp>
#include <vole/detail/atomic.hpp>

#include "runtime/internal/futex.hpp"
#include "runtime/internal/g.hpp"
#include "runtime/internal/quick_clock.hpp"

namespace vole::inline v0::detail {

struct P;

/// Runs after the parking goroutine is off its stack, on g0 or on the next goroutine's stack.
/// Must not park, throw or touch the heap. From here on the goroutine may run elsewhere.
using park_commit = void (*)(G* g, void* arg);

/// Bits of M::attention: what a thread must see to when it enters the runtime.
enum : std::uint32_t {
    attend_preempt = 1,   // its goroutine's time slice is over, or the world stops
    attend_retaking = 2,  // sysmon is about to take its P, or not: wait for the answer
    attend_detached = 4,  // its P has been taken: it goes on only with another one
};

struct M {
    // switch path
    G* curg = nullptr;  // null on g0
    P* p = nullptr;
    void* g0_top = nullptr;    // where mcall and system-stack calls start
    eh_state* eh = nullptr;    // this thread's C++ exception state
    int* errno_ptr = nullptr;  // this thread's errno
    park_commit commit = nullptr;
    void* commit_arg = nullptr;
    G* commit_g = nullptr;
    G* pending = nullptr;            // chosen, but locked to another thread: for g0 to pass on
    stack_segment* spare = nullptr;  // 64 KiB segments to borrow; popped by __morestack
    std::uint32_t spare_count = 0;
    bool spinning = false;
    bool on_system_stack = false;
    bool owes_watch = false;  // it was to keep the time: if it finds work, somebody else has to
    std::uint32_t blocking_depth = 0;
    atomic<std::uint32_t> attention{0};
    quick_clock clock;

    G* locked_g = nullptr;
    P* next_p = nullptr;  // handed over by whoever wakes this M
    P* old_p = nullptr;   // the one it had when it went into a system call
    note parked;
    M* link = nullptr;     // idle list
    M* all = nullptr;      // sched.all_ms; Ms are not freed, dead ones are reused
    bool exiting = false;  // its locked goroutine ended: the thread ends too
    std::uint32_t id = 0;
    arch::gobuf exit_context;  // the bottom frame of the thread, to leave by
    void* signal_stack = nullptr;

    // preemption: see runtime/src/preempt/README.md
    atomic<int> tid{0};
    int cpu_timer = -1;                      // the kernel's number; -1: none to be had
    atomic<bool> signal_sent{false};         // and not yet seen by the handler
    bool signals_useless = false;            // runs on a foreign signal stack
    std::uint64_t signal_mask = 0;           // as the thread began
    atomic<std::uint32_t>* depth = nullptr;  // its runtime_depth; null: no thread (sched.mu)
    int frozen_cpu = -1;                     // where it was when its goroutine was frozen
    const void* frozen_context = nullptr;    // the ucontext_t its goroutine will go on with
    atomic<std::int64_t> detached_since{0};  // nanotime; 0: not detached
    std::int64_t detached_seen = 0;          // sysmon's: the detachment that is about,
    std::int64_t detached_cpu = 0;           // and the CPU clock at the last look
#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
    void* sanitizer = nullptr;  // g0's fake stack or fiber
    const void* stack_bottom = nullptr;
    std::size_t stack_bytes = 0;
#endif
};

inline M* current_m() noexcept { return static_cast<M*>(arch::this_port::current_m()); }

/// The running goroutine, null on an ordinary thread or on g0. Only inside the runtime (entry.hpp), where
/// the thread cannot change between the two loads.
inline G* running_g() noexcept {
    const M* m = current_m();
    return m != nullptr ? m->curg : nullptr;
}

}  // namespace vole::detail
