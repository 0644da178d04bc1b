// Being inside the runtime, which every operation says of itself on its way in.
//
// Each thread counts how deep it is inside (runtime_depth, a thread-local word of the port). At depth
// zero the goroutine runs the program's own code, and then two things may happen to it that must not
// happen in the middle of the runtime: a signal handler stops it and gives its P to another thread, and
// sysmon takes the P away behind its back. Where the count is not zero, M::p stays what it is.
//
// Who sees whom: a thread counts, then looks at M::attention; sysmon sets attend_retaking, makes every
// running thread pass a fence (membarrier), then looks at the count. Either the thread sees the bit, and
// waits, or sysmon sees the count, and gives up. The fence in the middle is why the thread's own side
// needs only a compiler barrier. Leaving is a release: whoever takes the P sees what was done with it.
//
// The count belongs to the thread and survives switches: a goroutine that is resumed sets it to what it
// was when that goroutine gave way (switch.cpp).
//
// Stack: any but a signal handler's. On ordinary threads all of this does nothing.
#pragma once

#include "runtime/internal/m.hpp"

namespace vole::inline v0::detail {

inline atomic<std::uint32_t>* runtime_depth() noexcept {
    return static_cast<atomic<std::uint32_t>*>(arch::this_port::runtime_depth());
}

#if defined(VOLE_TSAN) || !defined(__x86_64__)
// TSan must see the release that leaving is. A signal may fall between load and store; the handler
// leaves the count as it finds it, and the goroutine on this thread.
inline void count_in() noexcept {
    auto* depth = runtime_depth();
    depth->store(depth->load(memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}
inline void count_out() noexcept {
    auto* depth = runtime_depth();
    depth->store(depth->load(memory_order_relaxed) - 1, memory_order_release);
}
#else
// One instruction each: with preempt_migration = free a goroutine may be on another thread at the next
// one, unless the count is already up.
inline void count_in() noexcept { arch::this_port::count_in(); }
inline void count_out() noexcept { arch::this_port::count_out(); }
#endif

/// Counts a scope. Nearly all come from outside, where that is two stores; as two additions to one word, each waits for
/// the one before: 7 ns for the four of a pool's get() and put().
class depth_scope {
  public:
#if defined(VOLE_TSAN) || !defined(__x86_64__)
    depth_scope() noexcept { count_in(); }
    ~depth_scope() { count_out(); }
#else
    depth_scope() noexcept : from_outside_(arch::this_port::step_in()) {
        if (!from_outside_) [[unlikely]]
            count_in();
    }
    ~depth_scope() {
        if (from_outside_) [[likely]] {
            arch::this_port::step_out();
        } else {
            count_out();
        }
    }
#endif
    depth_scope(const depth_scope&) = delete;
    depth_scope& operator=(const depth_scope&) = delete;

#if !defined(VOLE_TSAN) && defined(__x86_64__)
  private:
    bool from_outside_;
#endif
};

/// Waits for sysmon's answer, takes a P again if ours is gone, gives way if asked to.
void answer_attention() noexcept;
/// Only the first of these.
void await_retake(M* m) noexcept;

/// Any operation of the public interface that uses the scheduler: one at its top, on the goroutine's
/// stack with no lock held. May give way, like any operation that blocks.
class runtime_entry {
  public:
    runtime_entry() noexcept {
        const M* m = current_m();
        if (m != nullptr && m->attention.load(memory_order_relaxed) != 0) [[unlikely]]
            answer_attention();
    }
    runtime_entry(const runtime_entry&) = delete;
    runtime_entry& operator=(const runtime_entry&) = delete;

  private:
    depth_scope inside_;
};

/// Where a goroutine must not give way, but M and P must stay: P may be null.
class runtime_pin {
  public:
    runtime_pin() noexcept {
        M* m = current_m();
        if (m != nullptr && m->attention.load(memory_order_relaxed) != 0) [[unlikely]]
            await_retake(m);
    }
    runtime_pin(const runtime_pin&) = delete;
    runtime_pin& operator=(const runtime_pin&) = delete;

  private:
    depth_scope inside_;
};

inline constexpr std::uint32_t no_proc = ~std::uint32_t{0};
/// The index of the caller's P, below 4096; no_proc: it has none. Inside the runtime, where it stays the
/// caller's; any stack.
inline std::uint32_t current_proc() noexcept {
    const M* m = current_m();
    if (m == nullptr || m->p == nullptr) return no_proc;
    return *reinterpret_cast<const std::uint32_t*>(m->p);  // a P begins with it: sched.hpp
}

}  // namespace vole::detail
