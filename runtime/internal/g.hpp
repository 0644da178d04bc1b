// G: one goroutine.
//
// A G is small and dense; it has a stack only from its first run to its end, so a million Gs that
// wait for their first turn cost 192 bytes each, and a short one runs on a stack that is still warm
// in the cache. That a stack can be had at the first run is promised when the G is made
// (promise_stack): memory exhaustion shows in go(), in the caller.
//
// Gs are never freed, only recycled: a stale pointer names some G, not nothing.
//
// Who may touch what: everything but `status` belongs to the goroutine itself while it runs, to
// the M that switches it, and to whoever took it from a queue; there is no lock. The hand-over is
// ordered by the queue (release/acquire) the pointer travelled through.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/arch/port.hpp>
#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>
#include <vole/detail/spawn.hpp>

#include "runtime/internal/g_status.hpp"

namespace vole::inline v0::detail {

struct M;
struct stack_segment;
struct parked_waiter;
struct recover_frame;
struct g_tags;

enum class wait_reason : std::uint8_t {
    none,
    chan_send,
    chan_recv,
    chan_send_nil,
    chan_recv_nil,
    select,
    select_no_cases,
    mutex_lock,
    wait_group_wait,
    sleep,
    io,
    other,
    synctest_run,
    synctest_wait,
    rw_mutex_rlock,
    rw_mutex_lock,
    cond_wait,
    semaphore,
    coroutine,
};
/// Of a goroutine in a bubble: nothing but the bubble can wake it (bubble.hpp).
constexpr wait_reason durable(wait_reason r) noexcept {
    return static_cast<wait_reason>(static_cast<unsigned>(r) | 0x80);
}
constexpr wait_reason durable_if(bool inside, wait_reason r) noexcept {
    return inside ? durable(r) : r;
}
constexpr bool is_durable(wait_reason r) noexcept { return (static_cast<unsigned>(r) & 0x80) != 0; }
/// What it waits for, durably or not.
constexpr wait_reason plain(wait_reason r) noexcept {
    return static_cast<wait_reason>(static_cast<unsigned>(r) & 0x7f);
}
const char* to_text(wait_reason r) noexcept;

/// Swapped at every switch: what the C++ runtime keeps per thread about exceptions.
struct eh_state {
    void* caught = nullptr;
    unsigned uncaught = 0;
};

struct G {
    arch::gobuf sched;               // where it goes on; valid while it does not run
    M* m = nullptr;                  // the M that runs it or ran it last
    G* link = nullptr;               // in whatever single list it is in
    stack_segment* stack = nullptr;  // the newest segment; null: no stack yet
    char* stack_guard = nullptr;     // its guard; before the first run: memory set aside
    void* eh_caught = nullptr;       // eh_state, packed beside errno
    unsigned eh_uncaught = 0;
    int saved_errno = 0;
    atomic<g_status> status{g_status::idle};
    wait_reason reason = wait_reason::none;
    bool is_thread : 1 = false;   // stands for an ordinary thread that waits: no context
    bool is_main : 1 = false;     // of some run()
    bool wakes_run : 1 = false;   // its run() waits on the note in param
    bool was_frozen : 1 = false;  // see preempt/hogs.hpp
    bool closure_on_heap : 1 = false;
    unsigned policy : 2 = 0;        // stack_policy::kind
    atomic<std::uint8_t> looks{0};  // sysmon's: see stack/reclaim.hpp
    std::uint16_t batch_size = 0;   // first of a batch: how many (runq.hpp)
    std::uint16_t lock_count = 0;   // lock_os_thread nesting
    std::uint64_t id = 0;
    void* param = nullptr;  // from the waker: which waiter fired
    M* locked_m = nullptr;
    // On the cache line of param: a park writes it, its waker writes that.
    union {
        G* next_batch = nullptr;      // first of a batch: the next batch
        const parked_waiter* parked;  // waiting: its waiter, or null
    };
    union {
        atomic<std::uint32_t> thread_note{0};  // is_thread: the futex word
        std::uint32_t waiting_since;           // else: sched.seconds when it was parked
    };
    std::uint32_t stack_size = 0;  // of its first segment, as asked for
    const closure_type* closure = nullptr;
    const void* created_at = nullptr;  // the PC behind the go()
    recover_frame* frames = nullptr;   // its recovering() frames: panic/frames.hpp
    std::uint64_t parent_id = 0;
    g_tags* tags = nullptr;  // name, bubble: bubble.hpp
    union {
        alignas(inline_closure_align) std::byte inline_closure[inline_closure_bytes] = {};
        void* heap_closure;
    };
#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
    void* sanitizer = nullptr;  // fake stack or fiber
#endif
};

#if !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
// One stack page, one eighth of a page of page table and this must stay under 4.7 KiB.
static_assert(sizeof(G) <= 192);
#endif

}  // namespace vole::detail
