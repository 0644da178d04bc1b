// Who polls, but for the keeper: see runtime/internal/netpoll.hpp.
//
// Locks: sched.mu. Stack: as noted in sched.hpp.
#include "runtime/internal/netpoll.hpp"

#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

void install_poller(const poller* p) {
    ensure_runtime();
    const poller* none = nullptr;
    // release: who calls it sees it complete.
    if (!sched.io.compare_exchange_strong(none, p, memory_order_seq_cst, memory_order_relaxed)) {
        return;
    }
    // Whoever keeps watch now does so without it.
    if (sched.keeper_until.load(memory_order_seq_cst) != 0) wake_keeper();
}

void io_wait_begins() noexcept {
    const M* m = current_m();
    if (m != nullptr && m->p != nullptr) [[likely]] {
        bump(m->p->stats.io_waits);
    } else {
        // seq_cst: counted before watch_io looks for a keeper.
        sched.io_waits_ended.fetch_sub(1, memory_order_seq_cst);
    }
}
void io_waits_end(std::uint32_t n) noexcept {
    // seq_cst: with io_waiters(); and with keep_watch, which says that it keeps watch and then looks whether anybody waits.
    sched.io_waits_ended.fetch_add(n, memory_order_seq_cst);
    // A thread of ours asks for deadlocks when it goes to sleep. After another one the keeper has to, if it waits for
    // nothing any more.
    if (current_m() == nullptr && sched.keeper_until.load(memory_order_seq_cst) == no_deadline &&
        io_waiters() == 0) {
        wake_keeper();
    }
}

// Ended first: a wait that begins and ends meanwhile must not make the difference negative. A P's own thread sees what it
// has counted; of another one it may miss the last: that thread comes here, too, before it sleeps. seq_cst: pairs with
// io_wait_begins of threads; the caller has said before that its P is idle.
std::uint32_t io_waiters() noexcept {
    const std::uint64_t ended = sched.io_waits_ended.load(memory_order_seq_cst);
    std::uint64_t begun = 0;
    for (const auto& slot : sched.all_ps) {
        const P* p = slot.load(memory_order_acquire);
        if (p == nullptr) break;
        begun += p->stats.io_waits.load(memory_order_relaxed);
    }
    return static_cast<std::uint32_t>(begun - ended);
}

void watch_for_all() noexcept {
    watch_first_deadline();
    if (io_waiters() != 0) watch_io(false);
}

void watch_io(bool leaving) noexcept {
    if (leaving) return;  // its thread comes by the keeper's door
    if (sched.keeper_until.load(memory_order_seq_cst) != 0) return;
    if (sched.idle_p_count.load(memory_order_seq_cst) != 0) wake();
}

namespace {

bool may_look() noexcept {
    return sched.io.load(memory_order_relaxed) != nullptr &&
           sched.keeper_until.load(memory_order_relaxed) == 0 && io_waiters() != 0;
}

// One at a time; the others do without.
bool look(std::int64_t now, g_list& found) noexcept {
    // acquire, release: one look after the other, for what the poller keeps between two.
    if (sched.looking.exchange(true, memory_order_acquire)) return false;
    sched.io.load(memory_order_acquire)->poll(0, found);
    sched.last_look.store(now, memory_order_relaxed);
    sched.looking.store(false, memory_order_release);
    return found.size != 0;
}

}  // namespace

namespace {

// All that was found has been run: how long that took.
void note_pace(M* m) noexcept {
    P* p = m->p;
    if (p->found == 0) return;
    const std::int64_t each = (m->clock.now() - p->found_at) / p->found;
    p->pace = (3 * p->pace + each) / 4;
    p->found = 0;
}

}  // namespace

// Another P costs a few microseconds to wake, and as much to go to sleep again: too much for a handful of requests that
// take one each. So it depends on how long this P will be busy with them, which is how long those that come meanwhile
// would wait, too. A guess that is wrong costs what sysmon needs to see it: 2.5 ms.
void queue_found(M* m, g_list& found) noexcept {
    constexpr std::int64_t worth_waking_ns = 100'000;
    P* p = m->p;
    p->found = found.size;
    p->found_at = m->clock.now();
    const bool long_work = p->pace * found.size >= worth_waking_ns;
    while (G* g = found.pop_front()) run_queue_put(p, g, false);
    if (long_work) wake();
}

bool poll_here(M* m) noexcept {
    note_pace(m);
    g_list found;
    if (!may_look() || !look(m->clock.now(), found)) return false;
    queue_found(m, found);
    return true;
}

bool poll_for_all(std::int64_t now) noexcept {
    constexpr std::int64_t busy_ns = 10'000'000;
    if (!may_look()) return false;
    const bool idle = sched.idle_p_count.load(memory_order_relaxed) != 0;
    if (!idle && now - sched.last_look.load(memory_order_relaxed) < busy_ns) return false;
    g_list found;
    if (!look(now, found)) return false;
    {
        lock_guard held(sched.mu);
        global_put_list(found);
    }
    wake();
    return true;
}

}  // namespace vole::detail
