// What a thread does about M::attention when it enters the runtime (internal/entry.hpp).
// Stack: goroutine, also a small one. May switch.
#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

// sysmon holds the question open for the time of one membarrier; it may have been taken off its CPU.
void await_retake(M* m) noexcept {
    // acquire: pairs with the release of sysmon's answer.
    for (int i = 0; (m->attention.load(memory_order_acquire) & attend_retaking) != 0; ++i) {
        spin_or_yield(i);
    }
}

namespace {

void return_from_detachment(M* m) noexcept {
    m->attention.fetch_and(~(attend_detached | attend_preempt), memory_order_relaxed);
    const std::int64_t since = m->detached_since.exchange(0, memory_order_relaxed);
    count_up(preempt_total.returns);
    tell({.kind = preempt_event::what::returned,
          .goroutine = m->curg->id,
          .tid = m->tid.load(memory_order_relaxed),
          .ns = preempt_is_told ? nanotime() - since : 0});
    take_p_again(m, m->curg);
}

void follow_request(M* m) noexcept {
    if (sched.poisoned.load(memory_order_relaxed)) fatal("runtime used in a forked child");
    m->attention.fetch_and(~attend_preempt, memory_order_relaxed);
    if (!may_park()) return;
    count_up(preempt_total.yields);
    give_way_globally(m, m->curg);
}

}  // namespace

void answer_attention() noexcept {
    M* m = current_m();
    await_retake(m);
    const std::uint32_t a = m->attention.load(memory_order_relaxed);
    if ((a & attend_detached) != 0) {
        return_from_detachment(m);
    } else if ((a & attend_preempt) != 0) {
        follow_request(m);
    }
}

// Who is about to end need not give way before.
void enter_for_the_last_time() noexcept {
    count_in();
    M* m = current_m();
    if (m->attention.load(memory_order_relaxed) == 0) [[likely]]
        return;
    await_retake(m);
    if ((m->attention.load(memory_order_relaxed) & attend_detached) != 0) return_from_detachment(m);
}

}  // namespace vole::detail
