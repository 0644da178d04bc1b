// The keeper: the one thread that, having nothing to run, waits for what comes from outside: the first of all deadlines,
// and whatever the poller waits for. It is in the list of idle threads as well, the last to be taken from it.
//
// It sleeps on keeper_note, or in the poller once there is one. Who wakes it writes the note, then looks where it
// sleeps; it says where it is going to sleep, then looks at the note: one of the two sees the other (seq_cst, all
// four).
//
// runtime/internal/timers.hpp and netpoll.hpp say when it is needed, and why nothing is slept over.
//
// Locks: sched.mu. Stack: g0, without a P, but for what sched.hpp says of each.
#include <algorithm>

#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

namespace {

// Nothing goes on but what a deadline will start.
bool all_others_asleep() noexcept VOLE_REQUIRES(sched.mu) {
    return sched.idle_m_count + sched.locked_m_idle == sched.m_count;
}

bool is_needed(std::int64_t first) noexcept { return first != no_deadline || io_waiters() != 0; }

// Into the list of idle threads, as its keeper. False: there is one, and it knows of this deadline.
bool begin_keeping(M* m, std::int64_t until) noexcept VOLE_EXCLUDES(sched.mu) {
    {
        lock_guard held(sched.mu);
        // If a P waits for a thread, stop_m gives it to m.
        if (sched.keeper == nullptr && !sched.thread_missed) {
            sched.keeper_note.clear();
            sched.keeper = m;
            sched.keeper_until.store(until, memory_order_seq_cst);
            idle_m_put(m);
            return true;
        }
    }
    watch_deadline(until, false);
    return false;
}

enum class kept : std::uint8_t { again, has_p, no_p };

// Whether the watch has to be passed on by who goes on with a P: sysmon sees to deadlines that are far enough, and to
// the poller.
bool passes_watch_on(std::int64_t first) noexcept {
    constexpr std::int64_t sysmon_sees_ns = 5'000'000;
    return first != no_deadline && first < timer_now() + sysmon_sees_ns;
}

// After a sleep: whether m has been given a P, or may take one, or is to sleep on.
kept end_keeping(M* m, std::int64_t* until, bool found) noexcept VOLE_EXCLUDES(sched.mu) {
    lock_guard held(sched.mu);
    *until = first_deadline();
    P* p = m->next_p;
    if (p == nullptr) {  // still in the list
        const bool stopping = sched.stopping.load(memory_order_relaxed);
        if (!found && is_needed(*until) && *until > timer_now() && !stopping) {
            sched.keeper_until.store(*until, memory_order_seq_cst);
            return kept::again;
        }
        idle_m_remove(m);
        if (!stopping) p = idle_p_get();
    }
    m->next_p = nullptr;
    sched.keeper = nullptr;
    sched.keeper_until.store(0, memory_order_seq_cst);
    if (p == nullptr) return kept::no_p;
    m->owes_watch = passes_watch_on(*until);
    acquire_p(m, p);
    return kept::has_p;
}

void sleep_simulated(const clock_base* base, std::int64_t until) noexcept {
    bool all = false;
    {
        lock_guard held(sched.mu);
        all = all_others_asleep();
    }
    base->sleep(sched.keeper_note, until, all && io_waiters() == 0);
}

void wait_in_poller(const poller* io, std::int64_t until, g_list& found) noexcept {
    sched.keeper_polls.store(true, memory_order_seq_cst);
    if (!sched.keeper_note.is_set()) {
        const std::int64_t left =
            until == no_deadline ? -1 : std::max<std::int64_t>(until - nanotime(), 0);
        if (left != 0) io->poll(left, found);
    }
    sched.keeper_polls.store(false, memory_order_relaxed);
}

void sleep_until_event(std::int64_t until, g_list& found) noexcept {
    sched.futex_sleeps.fetch_add(1, memory_order_relaxed);
    if (const clock_base* base = current_clock_base.load(memory_order_acquire); base != nullptr) {
        sleep_simulated(base, until);
    } else if (const poller* io = sched.io.load(memory_order_acquire); io != nullptr) {
        wait_in_poller(io, until, found);
    } else if (const std::int64_t now = nanotime(); until > now) {
        sched.keeper_note.sleep_for(until - now);
    }
}

// The world may be stopping, or all Ps be busy: then they are everybody's.
void share_out(M* m, bool has_p, g_list& found) noexcept {
    if (found.size == 0) return;
    if (has_p) {
        queue_found(m, found);
        return;
    }
    {
        lock_guard held(sched.mu);
        global_put_list(found);
    }
    wake();
}

}  // namespace

void wake_keeper() noexcept {
    sched.keeper_note.set();
    if (sched.keeper_polls.load(memory_order_seq_cst)) {
        sched.io.load(memory_order_acquire)->wake();
    } else {
        sched.keeper_note.wake();
    }
}

bool keep_watch(M* m) noexcept {
    m->owes_watch = false;
    std::int64_t until = first_that_counts();
    if (!is_needed(until) || !begin_keeping(m, until)) return false;
    for (;;) {
        g_list found;
        // The second look, of the argument in timers.hpp: an earlier one may have come since. Or the last one who waited for
        // the poller has gone.
        if (first_deadline() >= until && is_needed(until)) sleep_until_event(until, found);
        sched.keeper_note.clear();
        const kept how = end_keeping(m, &until, found.size != 0);
        share_out(m, how == kept::has_p, found);
        switch (how) {
            case kept::again: break;
            case kept::has_p: return true;
            case kept::no_p:
                // Every P is busy: it is sysmon's turn.
                sched.sysmon_note.wake();
                return false;
        }
    }
}

// What it waits for may have been stopped, or have come; and a simulated clock may jump now.
void review_keeper() noexcept {
    const std::int64_t until = sched.keeper_until.load(memory_order_relaxed);
    if (until == 0) return;
    const bool simulated = current_clock_base.load(memory_order_acquire) != nullptr;
    const std::int64_t first = first_that_counts();
    if (simulated || first > until || !is_needed(first)) wake_keeper();
}

}  // namespace vole::detail
