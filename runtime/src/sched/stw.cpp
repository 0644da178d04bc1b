// Stopping the world, for the one thing that needs it: changing the number of Ps.
//
// The thread that stops holds no P itself (a goroutine goes through blocking first), so any number
// of stoppers can only wait for each other, never for themselves. `stopping` makes every P come to
// a halt: idle ones are taken from their list, those in system calls by compare-and-swap, running
// ones at their next visit to the scheduler, hurried by a preemption request that is repeated.
// stop_wait counts the Ps that have not stopped yet.
//
// Locks: world (a blocking one, outermost), then sched.mu. Stack: any thread without a P; count_stopped's any, signal
// handlers included.
#include <new>

#include "runtime/src/os/permanent.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

// A sleeping lock: 0 free, 1 taken, 2 taken and somebody may sleep.
constinit atomic<std::uint32_t> world{0};

void lock_world() noexcept {
    std::uint32_t seen = 0;
    if (world.compare_exchange_strong(seen, 1, memory_order_acquire, memory_order_relaxed)) return;
    while (world.exchange(2, memory_order_acquire) != 0) futex_wait(&world, 2);
}
void unlock_world() noexcept {
    if (world.exchange(0, memory_order_release) == 2) futex_wake(&world, 1);
}

// The first time without a signal: most come by an entry sooner.
void ask_running_ps(int round) noexcept {
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        P* p = sched.all_ps[i].load(memory_order_relaxed);
        if (p->status.load(memory_order_relaxed) != p_status::running) continue;
        ask_to_yield(p);
        M* m = p->m.load(memory_order_acquire);
        if (round != 0 && m != nullptr && signals_on()) send_preempt_signal(m);
    }
}

// Its goroutines go where any P finds them; its caches go back.
void retire(P* p) noexcept VOLE_REQUIRES(sched.mu) {
    give_work_away(p);
    drain_caches(p);
    p->status.store(p_status::dead, memory_order_relaxed);
}

}  // namespace

// acq_rel: what was done with the P is seen by the one who stops the world.
void count_stopped() noexcept {
    if (sched.stop_wait.fetch_sub(1, memory_order_acq_rel) != 1) return;
    sched.stop_note.store(1, memory_order_release);
    futex_wake(&sched.stop_note, 1);
}

void stop_the_world() noexcept {
    lock_world();
    {
        lock_guard held(sched.mu);
        const std::uint32_t n = sched.procs.load(memory_order_relaxed);
        std::uint32_t wait = n;
        sched.stop_note.store(0, memory_order_relaxed);
        // Before `stopping` can be seen: nobody counts down from a number that is not there yet.
        sched.stop_wait.store(n + 1, memory_order_relaxed);
        sched.stopping.store(true, memory_order_seq_cst);
        sched.detour.fetch_or(detour_stopping, memory_order_relaxed);
        while (P* p = idle_p_get()) {
            p->status.store(p_status::stopped, memory_order_relaxed);
            --wait;
        }
        for (std::uint32_t i = 0; i < n; ++i) {
            P* p = sched.all_ps[i].load(memory_order_relaxed);
            p_status expected = p_status::syscall;
            if (p->status.compare_exchange_strong(expected, p_status::stopped, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
                record_p(record_kind::retake, p);
                p->syscall_tick.store(p->syscall_tick.load(memory_order_relaxed) + 1,
                                      memory_order_relaxed);
                --wait;
            }
        }
        // Those that stop by themselves have counted down already, or will.
        const std::uint32_t stopped_here = n - wait + 1;
        if (sched.stop_wait.fetch_sub(stopped_here, memory_order_acq_rel) == stopped_here) return;
    }
    for (int round = 0;; ++round) {
        ask_running_ps(round);
        if (sched.stop_wait.load(memory_order_acquire) == 0) return;
        futex_wait(&sched.stop_note, 0, 100'000);
    }
}

bool resize_procs(std::uint32_t procs) noexcept {
    for (std::uint32_t i = 0; i < procs; ++i) {
        if (sched.all_ps[i].load(memory_order_relaxed) != nullptr) continue;
        void* memory = permanent_alloc(sizeof(P), alignof(P));
        if (memory == nullptr) return false;
        P* p = ::new (memory) P;
        p->id = i;
        p->random = i * 2654435761u + 1;
        p->status.store(p_status::stopped, memory_order_relaxed);
        prepare_ring(i);
        // release: a thief that sees the pointer sees the P.
        sched.all_ps[i].store(p, memory_order_release);
    }
    const std::uint32_t old = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = procs; i < old; ++i) retire_timers(i);
    const sharing mode = procs > 1 ? sharing_with_thieves() : sharing::alone;  // a system call
    lock_guard held(sched.mu);
    sched.procs.store(procs, memory_order_release);
    for (std::uint32_t i = 0; i < procs; ++i) {
        sched.all_ps[i].load(memory_order_relaxed)->runq.set_sharing(mode);
    }
    for (std::uint32_t i = procs; i < old; ++i) retire(sched.all_ps[i].load(memory_order_relaxed));
    return true;
}

void start_the_world(std::uint32_t procs) noexcept {
    const bool resized = resize_procs(procs);
    const std::uint32_t n = resized ? procs : sched.procs.load(memory_order_relaxed);
    P* with_work = nullptr;
    bool global = false;
    {
        lock_guard held(sched.mu);
        for (std::uint32_t i = n; i-- > 0;) {
            P* p = sched.all_ps[i].load(memory_order_relaxed);
            p->m.store(nullptr, memory_order_relaxed);
            if (p->runq.empty()) {
                idle_p_put(p);
            } else {
                p->status.store(p_status::stopped, memory_order_relaxed);
                p->link = with_work;
                with_work = p;
            }
        }
        sched.detour.fetch_and(~std::uint32_t{detour_stopping}, memory_order_relaxed);
        sched.stopping.store(false, memory_order_seq_cst);
        global = global_count() != 0;
    }
    while (with_work != nullptr) {
        P* p = with_work;
        with_work = p->link;
        start_m(p, false);
    }
    unlock_world();
    if (global) wake();
    watch_for_all();  // nobody could be woken meanwhile
}

}  // namespace vole::detail
