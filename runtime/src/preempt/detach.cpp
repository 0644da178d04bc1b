// Taking a P from a goroutine behind its back: the answer for those that no signal can stop, because they
// sleep in the kernel or never are where they may be stopped.
//
// The goroutine goes on, on its thread, as if it had announced a system call, and takes a P again at its
// next entry into the runtime (attention.cpp). The question is only whether the thread is inside the
// runtime, using the P, at this very moment:
//
//   sysmon                                        thread that enters
//   D1  attention |= retaking                     E1  depth++
//   D2  membarrier                                E2  compiler barrier
//   D3  load depth  (acquire)                     E3  load attention
//
// membarrier makes each running thread pass a full fence between D1 and D3. If that fence comes after E1
// in the thread's order, D3 sees the depth, and sysmon rolls back. If it comes before E1, it comes before
// E3, so E3 sees D1, and the thread waits until sysmon has decided (await_retake). The thread leaves by
// depth-- with release: what it did with the P happened before D3 reads zero.
//
// sched.mu is held throughout: the thread cannot end (its depth is a thread-local), nor can a handler
// freeze it at the same time. The fence takes some microseconds, and this happens some hundred times a
// second at most. No thread waits for the answer with that lock held, since who enters holds none.
//
// test/model/detach.pml tries all orders of these steps; freeze.pml this and the signal handler together.
//
// Stack: sysmon's.
#include "runtime/internal/membarrier.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/sched/status.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

// False: whose p it is, is inside the runtime. `told`: who has lost it.
bool take(P* p, preempt_event& told) noexcept VOLE_REQUIRES(sched.mu) {
    M* m = p->m.load(memory_order_acquire);
    if (m == nullptr || m->depth == nullptr) return false;
    // Most threads that are inside are so for long: spares them the fence.
    if (m->depth->load(memory_order_relaxed) != 0) return false;
    m->attention.fetch_or(attend_retaking, memory_order_seq_cst);
    const bool fenced = fence_all_threads();
    const bool outside = fenced && m->depth->load(memory_order_acquire) == 0 &&
                         p->m.load(memory_order_acquire) == m && m->p == p &&
                         p->status.load(memory_order_relaxed) == p_status::running &&
                         m->curg != nullptr;
    if (!outside) {
        m->attention.fetch_and(~attend_retaking, memory_order_release);
        return false;
    }
    told.goroutine = m->curg->id;
    told.tid = m->tid.load(memory_order_relaxed);
    set_status(m->curg, g_status::running, g_status::syscall);
    record_p(record_kind::detach, p, m, m->curg);
    m->p = nullptr;
    p->m.store(nullptr, memory_order_relaxed);
    m->detached_since.store(nanotime(), memory_order_relaxed);
    // In one step: the thread finds a complete answer.
    m->attention.fetch_xor(attend_retaking | attend_detached, memory_order_release);
    return true;
}

}  // namespace

bool detach(P* p, detach_reason why) noexcept {
    preempt_event told{};
    {
        lock_guard held(sched.mu);
        if (!take(p, told)) return false;
    }
    p->slice = {.tick = p->slice.tick};
    count_up(why == detach_reason::blocked ? preempt_total.detached_blocked
                                           : preempt_total.detached_running);
    told.kind = preempt_event::what::detached;
    told.how = why;
    tell(told);
    hand_off(p);
    return true;
}

std::uint64_t detached_threads() noexcept {
    return preempt_total.detached_blocked.load(memory_order_relaxed) +
           preempt_total.detached_running.load(memory_order_relaxed) -
           preempt_total.returns.load(memory_order_relaxed);
}

}  // namespace vole::detail
