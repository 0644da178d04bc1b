// Who looks after deadlines: see runtime/internal/timers.hpp.
//
// Locks: sched.mu. Stack: as noted there, and in sched.hpp.
#include "runtime/internal/timers.hpp"

#include <algorithm>

#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

constinit atomic<const clock_base*> current_clock_base{nullptr};

namespace {

static_assert(most_heaps == max_procs_limit);

constinit atomic<const timer_driver*> driver{nullptr};

P* p_at(std::uint32_t i) noexcept { return sched.all_ps[i].load(memory_order_acquire); }

bool is_due(const P* p, std::int64_t* now) noexcept {
    const std::int64_t first = p->first_timer.load(memory_order_relaxed);
    if (first == no_deadline) [[likely]]
        return false;
    if (*now == 0) *now = timer_now();
    return first <= *now;
}

std::int64_t now_about(M* m) noexcept {
    return current_clock_base.load(memory_order_relaxed) == nullptr ? m->clock.now() : timer_now();
}

}  // namespace

std::int64_t first_deadline() noexcept {
    std::int64_t first = no_deadline;
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        if (const P* p = p_at(i); p != nullptr) {
            first = std::min(first, p->first_timer.load(memory_order_seq_cst));
        }
    }
    return first;
}

std::int64_t first_that_counts() noexcept {
    const timer_driver* d = driver.load(memory_order_acquire);
    if (d == nullptr) return no_deadline;
    std::int64_t first = no_deadline;
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        const P* p = p_at(i);
        if (p == nullptr || p->first_timer.load(memory_order_relaxed) == no_deadline) continue;
        first = std::min(first, d->first(i));
    }
    return first;
}

void install_timer_driver(const timer_driver* d) {
    ensure_runtime();
    // release: who sees a deadline sees its driver.
    driver.store(d, memory_order_release);
}

void set_clock_base(const clock_base* base) noexcept {
    current_clock_base.store(base, memory_order_release);
}

std::int64_t timer_now_about() noexcept {
    M* m = current_m();
    return m != nullptr ? now_about(m) : timer_now();
}

std::uint32_t timer_home() noexcept {
    const M* m = current_m();
    return m != nullptr && m->p != nullptr ? m->p->id : 0;
}

void set_first_timer(std::uint32_t p, std::int64_t when) noexcept {
    p_at(p)->first_timer.store(when, memory_order_seq_cst);
}

void retire_timers(std::uint32_t p) noexcept {
    const timer_driver* d = driver.load(memory_order_acquire);
    if (d != nullptr && p_at(p)->first_timer.load(memory_order_relaxed) != no_deadline) {
        d->retire(p);
    }
}

// ---- running what is due ----------------------------------------------------------------------

namespace {
// Asks for a P that has nothing due itself (run_timers). False: somebody has asked already.
bool call_for_help() noexcept {
    if ((sched.detour.load(memory_order_relaxed) & detour_timers) != 0) return false;
    sched.detour.fetch_or(detour_timers, memory_order_relaxed);
    return true;
}

// What was pushed again nobody has been told of: whoever keeps the time may sleep until later.
void run_heap(std::uint32_t i) noexcept {
    driver.load(memory_order_acquire)->run(i);
    if (sched.keeper_until.load(memory_order_seq_cst) != 0) current_m()->owes_watch = true;
}

// Of the heap that is the furthest behind.
void run_earliest_timers() noexcept {
    std::uint32_t whose = 0;
    std::int64_t first = no_deadline;
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        const P* p = p_at(i);
        if (p == nullptr) continue;
        const std::int64_t when = p->first_timer.load(memory_order_relaxed);
        if (when < first) {
            first = when;
            whose = i;
        }
    }
    if (first == no_deadline || first > timer_now_about()) return;
    run_heap(whose);
}
}  // namespace

// What is due goes before what waits in the ring, but not for ever: every 32nd turn is the ring's.
// Who has got far behind calls for help, and leaves the call to others.
void run_timers(M* m) noexcept {
    constexpr std::uint32_t turns = 32;
    constexpr std::int64_t far_behind_ns = 100'000;
    P* p = m->p;
    if (!timers_due_here(m)) {
        if ((sched.detour.load(memory_order_relaxed) & detour_timers) == 0) [[likely]]
            return;
        sched.detour.fetch_and(~std::uint32_t{detour_timers}, memory_order_relaxed);
        run_earliest_timers();
        return;
    }
    const std::int64_t first = p->first_timer.load(memory_order_relaxed);
    if (timer_now_about() - first > far_behind_ns && sched.procs.load(memory_order_relaxed) > 1) {
        call_for_help();
    }
    if (++p->timer_turns % turns == 0 && !p->runq.ring_empty()) return;
    run_heap(p->id);
}

bool many_wait_here() noexcept { return current_m()->p->runq.ring_size() > 4; }

bool run_any_timers() noexcept {
    std::int64_t now = 0;
    bool ran = false;
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        const P* p = p_at(i);
        if (p == nullptr || !is_due(p, &now)) continue;
        run_heap(i);
        ran = true;
    }
    return ran;
}

namespace {

// To fall asleep and to wake up takes longer than that, and more of the CPU: with a deadline each microsecond,
// a thread that slept until the next would be late for most of them.
constexpr std::int64_t worth_sleeping_ns = 20'000;

bool work_anywhere() noexcept {
    if ((sched.detour.load(memory_order_relaxed) & ~std::uint32_t{detour_recording}) != 0 ||
        sched.global_size.load(memory_order_relaxed) != 0) {
        return true;
    }
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        if (const P* p = p_at(i); p != nullptr && !p->runq.empty_hint()) return true;
    }
    return false;
}

}  // namespace

bool await_near_deadline() noexcept {
    const std::int64_t until = first_deadline();
    if (until == no_deadline) [[likely]]
        return false;
    if (num_cpu() == 1 || current_clock_base.load(memory_order_acquire) != nullptr) return false;
    if (!has_come(until - worth_sleeping_ns) || work_anywhere()) return false;
    std::int64_t now = nanotime();
    while (now < until && !work_anywhere()) {
        for (int i = 0; i < 4; ++i) arch::this_port::pause();
        now = nanotime();
    }
    return true;
}

// ---- who watches ------------------------------------------------------------------------------

void watch_deadline(std::int64_t when, bool leaving) noexcept {
    const std::int64_t kept = sched.keeper_until.load(memory_order_seq_cst);
    if (kept != 0) {
        if (when < kept) wake_keeper();
        return;
    }
    if (leaving) {
        current_m()->owes_watch = true;
        return;
    }
    if (sched.idle_p_count.load(memory_order_seq_cst) != 0) {
        wake();
        return;
    }
    if (when < sched.sysmon_until.load(memory_order_seq_cst)) sched.sysmon_note.wake();
}

bool nothing_else_to_run() noexcept {
    const M* m = current_m();
    // A thread that is tied to the goroutine looks for nothing.
    return m != nullptr && m->p != nullptr && m->locked_g == nullptr && m->p->runq.empty_hint();
}

void watch_first_deadline() noexcept {
    const std::int64_t first = first_deadline();
    if (first != no_deadline) watch_deadline(first, false);
}

std::int64_t watched_deadline() noexcept {
    if (sched.keeper_until.load(memory_order_seq_cst) != 0) return no_deadline;
    return first_deadline();
}

bool timers_due(const P* p) noexcept {
    std::int64_t now = 0;
    return is_due(p, &now);
}

bool timers_pending() noexcept { return first_deadline() != no_deadline; }

bool hurry_timers() noexcept {
    const std::int64_t first = watched_deadline();
    if (first == no_deadline || first > timer_now()) return false;
    if (sched.idle_p_count.load(memory_order_relaxed) != 0) {
        wake();
    } else {
        return call_for_help();
    }
    return true;
}

}  // namespace vole::detail
