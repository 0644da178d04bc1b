// Goroutines that leave for the kernel.
//
// Two kinds. A system call that is usually short keeps its P (status syscall); sysmon takes the P
// by compare-and-swap when the call takes long. blocking(f) gives the P away at once. Either way the
// goroutine stays on its thread, and takes a P again when it comes back: the old one, any idle one,
// or it queues itself and the thread sleeps (SCHED-33..36).
//
// The compare-and-swap on P::status decides between leave_syscall (syscall -> running) and the
// takers (sysmon: syscall -> idle; stop-the-world: syscall -> stopped): acq_rel on success, so the
// winner sees the P as the other side left it.
// test/model/syscall.pml tries all orders.
//
// Stack: goroutine, retake sysmon's.
#include <cerrno>

#include <vole/runtime.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/sched/status.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

bool take_idle_p(M* m) noexcept {
    lock_guard held(sched.mu);
    if (sched.stopping.load(memory_order_relaxed)) return false;
    P* p = idle_p_get();
    if (p == nullptr) return false;
    acquire_p(m, p);
    return true;
}

void resume_with_p(M* m, G* g) noexcept {
    set_status(g, g_status::syscall, g_status::running);
    m->curg = g;
}

// Without a P: to the global queue, and the thread looks for something else. Runnable only when it is off
// its stack: this happens while the world is stopped, too, and whoever stopped it may walk that stack.
void wait_for_p(M* m, G* g) noexcept {
    switch_out(
        m, g,
        [](G* self, void*) {
            set_status(self, g_status::syscall, g_status::runnable);
            {
                lock_guard held(sched.mu);
                global_put(self);
            }
            wake();
        },
        nullptr);
}

// The same on the system stack, whose frames cannot be left: the goroutine waits in the queue as
// one that is tied to this thread, and the thread sleeps here until it is handed a P.
void wait_for_p_here(M* m, G* g) noexcept {
    const bool tied = m->locked_g != nullptr;
    m->locked_g = g;
    g->locked_m = m;
    set_status(g, g_status::syscall, g_status::runnable);
    {
        lock_guard held(sched.mu);
        global_put(g);
    }
    wake();
    stop_locked_m(m);
    set_status(g, g_status::runnable, g_status::running);
    m->curg = g;
    if (tied) return;
    m->locked_g = nullptr;
    g->locked_m = nullptr;
}

void come_back(M* m, G* g) noexcept {
    if (take_idle_p(m)) {
        resume_with_p(m, g);
    } else if (m->on_system_stack) {
        wait_for_p_here(m, g);
    } else {
        wait_for_p(m, g);
    }
}

}  // namespace

void take_p_again(M* m, G* g) noexcept { come_back(m, g); }

void enter_syscall() noexcept {
    const runtime_entry entry;
    M* m = current_m();
    G* g = m->curg;
    set_status(g, g_status::running, g_status::syscall);
    record_p(record_kind::syscall, m->p);
    P* p = leave_p(m);
    m->old_p = p;
    p->syscall_tick.store(p->syscall_tick.load(memory_order_relaxed) + 1, memory_order_relaxed);
    p->status.store(p_status::syscall, memory_order_seq_cst);
    // seq_cst with stop_the_world's store of `stopping` and its compare-and-swap: one of the two
    // sees the other.
    if (sched.stopping.load(memory_order_seq_cst)) [[unlikely]] {
        p_status expected = p_status::syscall;
        if (p->status.compare_exchange_strong(expected, p_status::stopped, memory_order_acq_rel,
                                              memory_order_relaxed)) {
            record_p(record_kind::retake, p);
            count_stopped();
        }
    }
    if (sched.sysmon_waiting.load(memory_order_relaxed)) wake_sysmon();
}

void leave_syscall() noexcept {
    const runtime_pin pin;
    M* m = current_m();
    G* g = m->curg;
    P* p = m->old_p;
    m->old_p = nullptr;
    p_status expected = p_status::syscall;
    if (p->status.compare_exchange_strong(expected, p_status::running, memory_order_acq_rel,
                                          memory_order_relaxed)) {
        m->p = p;
        p->m.store(m, memory_order_release);
        record_p(record_kind::back, p);
        set_status(g, g_status::syscall, g_status::running);
        return;
    }
    come_back(m, g);
}

bool retake(P* p, std::int64_t now) noexcept {
    const std::uint32_t tick = p->syscall_tick.load(memory_order_relaxed);
    if (p->seen_syscall_tick != tick) {
        p->seen_syscall_tick = tick;
        p->seen_syscall_when = now;
        return false;
    }
    const bool nobody_else =
        sched.spinning.load(memory_order_relaxed) + sched.idle_p_count.load(memory_order_relaxed) ==
        0;
    const bool other_work = !p->runq.empty() || sched.global_size.load(memory_order_relaxed) != 0 ||
                            nobody_else || timers_due(p);
    if (!other_work && now - p->seen_syscall_when < slice_ns) return false;
    p_status expected = p_status::syscall;
    if (!p->status.compare_exchange_strong(expected, p_status::idle, memory_order_acq_rel,
                                           memory_order_relaxed)) {
        return false;
    }
    record_p(record_kind::retake, p);
    sched.retakes.fetch_add(1, memory_order_relaxed);
    p->syscall_tick.store(tick + 1, memory_order_relaxed);
    hand_off(p);
    return true;
}

void enter_blocking() noexcept {
    const runtime_entry entry;
    M* m = current_m();
    if (m == nullptr || m->curg == nullptr) return;
    if (m->blocking_depth++ != 0) return;
    G* g = m->curg;
    set_status(g, g_status::running, g_status::syscall);
    sched.handoffs.fetch_add(1, memory_order_relaxed);
    const int saved = errno;
    hand_off(release_p(m));
    errno = saved;
}

void leave_blocking() noexcept {
    const runtime_pin pin;
    M* m = current_m();
    if (m == nullptr || m->curg == nullptr) return;
    if (--m->blocking_depth != 0) return;
    come_back(m, m->curg);
}

#if defined(VOLE_ASAN)
namespace {
void call_and_tell(void* p) {
    const M* m = current_m();
    static_cast<const foreign_call*>(p)->make(m->stack_bottom, m->stack_bytes);
}
}  // namespace
#endif

void call_on_system_stack(void (*fn)(void*), void* arg) {
    M* m = current_m();
    if (m == nullptr || m->curg == nullptr || m->on_system_stack) {
        fn(arg);  // an ordinary thread, or already there
        return;
    }
    struct scope {
        M* m;
        explicit scope(M* on) noexcept : m(on) {
            m->on_system_stack = true;
            arch::this_port::set_stack_guard(nullptr);
        }
        ~scope() {
            m->on_system_stack = false;
            arch::this_port::set_stack_guard(m->curg->stack_guard);
        }
    } here(m);
#if defined(VOLE_ASAN)
    foreign_call call{fn, arg};
    fn = call_and_tell;
    arg = &call;
#endif
    arch::vole_systemstack(m->g0_top, fn, arg);
}

}  // namespace vole::detail
