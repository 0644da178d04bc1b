// Frozen goroutines: stopped by a signal at some instruction, and kept there by their thread, which waits
// in the signal handler while its P runs others.
//
// A frozen goroutine is runnable and tied to its thread by the mechanism of lock_os_thread: whoever takes
// it from the queue gives its P to that thread. The kernel's frame on the signal stack holds every
// register there is; nothing is saved, nothing restored, and nothing that belongs to the thread
// (thread_local, errno, the owner of a mutex, a half-done unwinding) is seen by anybody else.
//
// The price is a thread for each, so there is a cap, and an order:
//  - goroutines that have parked or yielded before go before frozen ones, in turn when they come through
//    the global queue (schedule.cpp);
//  - when more are frozen than there are Ps: of those that have not begun, the likely hogs (hogs.hpp) wait
//    while frozen ones go first, seven times out of eight;
//  - from half the cap on, likely hogs are not begun at all;
//  - at the cap, who is stopped gives its P to one that is frozen: their number does not grow.
//
// Everything here but prefer_frozen runs in the signal handler: no allocation, no new thread, no C library
// but system calls. sched.mu may be taken, because the interrupted code is outside the runtime (depth
// zero), so it does not hold it.
//
// test/model/freeze.pml tries all orders of freezing, detaching and stopping the world.
#include <sched.h>

#include "runtime/internal/fatal.hpp"
#include "runtime/src/preempt/hogs.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/sched/status.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

constinit atomic<std::uint32_t> now_frozen{0};
constexpr std::uint32_t hog_starts = 8;
constinit std::uint32_t starts_of_hogs VOLE_GUARDED_BY(sched.mu) = 0;  // occasions to start one

void count_frozen() noexcept {
    const std::uint64_t n = now_frozen.fetch_add(1, memory_order_relaxed) + 1;
    std::uint64_t most = preempt_total.most_frozen.load(memory_order_relaxed);
    while (most < n && !preempt_total.most_frozen.compare_exchange_weak(
                           most, n, memory_order_relaxed, memory_order_relaxed)) {
    }
}

// Who goes on with the P; `to` null: the world is being stopped, or nobody, if why says so.
struct successor {
    M* to = nullptr;
    bool keeps = false;  // watch
    refusal why = refusal::none;
};

bool more_than_running() noexcept {
    return frozen_threads() > sched.procs.load(memory_order_relaxed);
}
bool crowded() noexcept { return frozen_threads() >= (preempt_settings.max_frozen + 1) / 2; }

// Whether g, which has not begun, goes before those that are frozen.
bool may_start(const G* g) noexcept VOLE_REQUIRES(sched.mu) {
    if (!more_than_running() || !is_likely_hog(g)) return true;
    return !crowded() && ++starts_of_hogs % hog_starts == 0;
}

// Likely hogs at the head of p's ring go to its tail, so that one of the others comes to the head. On p's
// thread.
void pass_by_hogs(P* p) noexcept VOLE_REQUIRES(sched.mu) {
    constexpr int most = 16;
    for (int i = 0; i < most; ++i) {
        const G* first = p->runq.peek_ring();
        if (first == nullptr || !is_likely_hog(first)) return;
        G* g = p->runq.pop();
        if (g == nullptr) return;
        p->runq.push(g);  // there is room: one has just been taken out
    }
}

// Whether p's next would be put back by prefer_frozen: then the frozen one can have the P at once. A
// guess by who is first in each queue. A thief may have taken that one; Gs are never freed.
bool only_hogs_wait(const P* p) noexcept VOLE_REQUIRES(sched.mu) {
    if (p->runq.peek_next() != nullptr) return false;
    const G* in_ring = p->runq.peek_ring();
    const G* in_global = sched.global.front();
    return (in_ring == nullptr || is_likely_hog(in_ring)) &&
           (in_global == nullptr || is_likely_hog(in_global));
}

successor choose(P* p) noexcept VOLE_REQUIRES(sched.mu) {
    if (sched.stopping.load(memory_order_relaxed)) return {};
    const bool full = frozen_threads() >= preempt_settings.max_frozen;
    const bool nothing_else = p->runq.empty_hint() && sched.global.size() == 0 && !timers_due(p);
    // Not when the next start is due: prefer_frozen will count it.
    if (sched.frozen.size != 0 && !nothing_else) pass_by_hogs(p);
    const bool hog_waits = more_than_running() && (starts_of_hogs + 1) % hog_starts != 0 &&
                           !nothing_else && only_hogs_wait(p);
    if (sched.frozen.size != 0 && (full || nothing_else || hog_waits)) {
        if (hog_waits) ++starts_of_hogs;
        --sched.locked_m_idle;
        M* to = global_take_frozen()->locked_m;
        to->spinning = false;
        to->next_p = p;
        return {to};
    }
    if (nothing_else) return {.why = refusal::work};
    if (full) return {.why = refusal::cap};
    const sleeper idle = idle_m_take(p);
    if (idle.m == nullptr) return {.why = refusal::thread};
    idle.m->spinning = false;
    return {idle.m, idle.keeps};
}

// The goroutine is in the queue from here on, tied to m.
void queue_frozen(M* m, G* g, g_status from) noexcept VOLE_REQUIRES(sched.mu) {
    set_status(g, from, g_status::runnable);
    g->locked_m = m;
    m->locked_g = g;
    global_put_frozen(g);
    ++sched.locked_m_idle;
    ++sched.sleep_generation;
}

void hand_over(P* p, const successor& next) noexcept {
    if (next.to != nullptr) {
        sleeper{next.to, next.keeps}.wake();
        return;
    }
    p->status.store(p_status::stopped, memory_order_release);
    count_stopped();
}

// Waits until somebody hands over a P to run m's goroutine with.
void sleep_frozen(M* m, G* g, bool tied, void* context) noexcept {
    sched.futex_sleeps.fetch_add(1, memory_order_relaxed);
    m->parked.sleep();
    m->parked.clear();
    m->frozen_context = nullptr;
    now_frozen.fetch_sub(1, memory_order_relaxed);
    P* p = m->next_p;
    m->next_p = nullptr;
    acquire_p(m, p);
    p->resumed_at.store(nanotime(), memory_order_relaxed);
    p->sched_tick.store(p->sched_tick.load(memory_order_relaxed) + 1, memory_order_relaxed);
    bump(p->stats.switches);
    m->attention.fetch_and(~attend_preempt, memory_order_relaxed);
    set_status(g, g_status::runnable, g_status::running);
    if (!tied) {
        m->locked_g = nullptr;
        g->locked_m = nullptr;
    }
    (void)context;
}

void begin_freeze(M* m, G* g, void* context) noexcept VOLE_REQUIRES(sched.mu) {
    m->frozen_context = context;
    m->frozen_cpu = sched_getcpu();
    note_frozen(g);
    count_frozen();
    count_up(preempt_total.freezes);
}

preempt_event event(preempt_event::what kind, const M* m, const G* g, void* context) noexcept {
    const arch::interrupted_point at = arch::this_port::interrupted(context);
    return {.kind = kind,
            .goroutine = g->id,
            .tid = m->tid.load(memory_order_relaxed),
            .pc = at.pc,
            .sp = at.sp,
            .bytes = preempt_is_told ? arch::this_port::signal_frame_bytes(context) : 0};
}

refusal freeze_with_p(M* m, G* g, void* context) noexcept {
    P* p = m->p;
    const bool tied = m->locked_g != nullptr;
    preempt_event told = event(preempt_event::what::frozen, m, g, context);
    successor next;
    {
        lock_guard held(sched.mu);
        next = choose(p);
        if (next.why != refusal::none) return next.why;
        begin_freeze(m, g, context);
        queue_frozen(m, g, g_status::running);
        release_p(m);  // afterwards: while a goroutine is running its thread has a P
        if (next.to != nullptr) record_p(record_kind::hand, p, next.to);
    }
    told.to_tid = next.to != nullptr ? next.to->tid.load(memory_order_relaxed) : 0;
    tell(told);
    const std::int64_t since = preempt_is_told ? nanotime() : 0;
    hand_over(p, next);
    sleep_frozen(m, g, tied, context);
    told.kind = preempt_event::what::resumed;
    told.ns = preempt_is_told ? nanotime() - since : 0;
    tell(told);
    return refusal::none;
}

// Detached, and found at a safe point: an idle P will do, else it waits for one as a frozen goroutine.
refusal freeze_without_p(M* m, G* g, void* context) noexcept {
    const bool tied = m->locked_g != nullptr;
    preempt_event told = event(preempt_event::what::frozen, m, g, context);
    {
        lock_guard held(sched.mu);
        P* p = sched.stopping.load(memory_order_relaxed) ? nullptr : idle_p_get();
        if (p == nullptr && frozen_threads() >= preempt_settings.max_frozen) return refusal::cap;
        m->attention.fetch_and(~(attend_detached | attend_preempt), memory_order_relaxed);
        m->detached_since.store(0, memory_order_relaxed);
        count_up(preempt_total.returns);
        if (p != nullptr) {
            acquire_p(m, p);
            p->sched_tick.store(p->sched_tick.load(memory_order_relaxed) + 1, memory_order_relaxed);
            set_status(g, g_status::syscall, g_status::running);
            return refusal::work;
        }
        begin_freeze(m, g, context);
        queue_frozen(m, g, g_status::syscall);
    }
    tell(told);
    const std::int64_t since = preempt_is_told ? nanotime() : 0;
    sleep_frozen(m, g, tied, context);
    told.kind = preempt_event::what::resumed;
    told.ns = preempt_is_told ? nanotime() - since : 0;
    tell(told);
    return refusal::none;
}

}  // namespace

VOLE_NO_TSAN bool only_hogs_wait_for(const P* p) noexcept {
    lock_guard held(sched.mu);
    return !sched.stopping.load(memory_order_relaxed) && only_hogs_wait(p);
}

std::uint32_t frozen_threads() noexcept { return now_frozen.load(memory_order_relaxed); }

refusal freeze(M* m, G* g, void* context) noexcept {
    if ((m->attention.load(memory_order_relaxed) & attend_detached) != 0) {
        return freeze_without_p(m, g, context);
    }
    if (m->p == nullptr) return refusal::runtime;  // in blocking()
    return freeze_with_p(m, g, context);
}

G* prefer_frozen(P* p, G* g) noexcept {
    if (now_frozen.load(memory_order_relaxed) == 0) return g;
    {
        lock_guard held(sched.mu);
        if (sched.frozen.size == 0 || may_start(g)) {
            note_begun(g);
            return g;
        }
    }
    run_queue_put(p, g, false);
    lock_guard held(sched.mu);
    pass_by_hogs(p);
    if (const G* first = p->runq.peek_ring(); first != nullptr && !is_likely_hog(first)) {
        if (G* other = p->runq.pop(); other != nullptr) {
            if (other->sched.sp == nullptr) note_begun(other);
            return other;
        }
    }
    if (const G* first = sched.global.front(); first != nullptr && !is_likely_hog(first)) {
        if (G* other = global_take(1).head; other != nullptr) return other;
    }
    // Another thread may have taken the last of the frozen; then a hog it is.
    if (sched.frozen.size != 0) return global_take_frozen();
    if (G* other = p->runq.pop(); other != nullptr) return other;
    return global_take(1).head;
}

}  // namespace vole::detail
