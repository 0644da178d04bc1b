// How threads sleep, how they are woken, and why no wake-up is lost.
//
// The argument. Work is *published* (a G put into a ring, into runnext or into the global queue)
// and then the publisher calls wake(): if a P is idle and nobody spins, it gets one thread to look
// for work. A thread that finds nothing gives its P up, stops spinning and sleeps. Bad would be:
// the publisher sees a spinner (or no idle P) and leaves it at that, while that spinner has already
// looked and goes to sleep. Therefore:
//
//   publisher                              thread that finds nothing
//   P1  publish the work                   S1  idle_p_put: idle_p_count++    (seq_cst)
//   P2  load idle_p_count, spinning        S2  spinning--                    (seq_cst)
//                                          S3  look at every queue again     (recheck)
//
// P1 ends in a seq_cst operation (exchange of runnext; store of global_size), S1 and S2 are seq_cst
// and so are P2's and S3's decisive loads (runnext, see run_queue::empty; the global queue is read
// under its lock). In their single total order either P2 comes after S2 - then the publisher sees
// an idle P and no spinner and wakes somebody - or P2, hence P1, comes before S2 - then S3 finds
// the work. A goroutine kicked from runnext into the ring was published there before (by the
// exchange that kicks it), and the ring's tail is read after it.
//
// A thread that was not spinning re-checks as well: it may have been the last one awake.
// The publisher's own P runs what lies in its queues sooner or later in any case: a lost wake-up
// costs parallelism, not progress, except for the global queue and for work by threads without P.
//
// test/model/wakeup.pml tries all orders of these steps. It knows two things that this argument takes no notice of, and which
// sysmon sees to: goroutines in the hands of an owner who is off its CPU, on their way from runnext or from the global queue
// into the ring.
//
// One woken thread is enough: a spinner that finds work wakes the next one (schedule.cpp,
// found_work), so a burst of work unfolds thread by thread.
//
// Locks: sched.mu. Stack: as declared in sched.hpp.
#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

void idle_p_put(P* p) noexcept {
    p->status.store(p_status::idle, memory_order_relaxed);
    p->link = sched.idle_ps;
    sched.idle_ps = p;
    sched.idle_p_count.fetch_add(1, memory_order_seq_cst);
}

P* idle_p_get() noexcept {
    P* p = sched.idle_ps;
    if (p != nullptr) {
        sched.idle_ps = p->link;
        sched.idle_p_count.fetch_sub(1, memory_order_seq_cst);
    }
    return p;
}

void acquire_p(M* m, P* p) noexcept {
    m->p = p;
    p->m.store(m, memory_order_release);
    p->status.store(p_status::running, memory_order_release);
    record_p(record_kind::acquire, p);
    // seq_cst: pairs with deep_sleep, as the count of idle Ps does that p has left before.
    if (sched.sysmon_waiting.load(memory_order_seq_cst)) [[unlikely]]
        wake_sysmon();
}

P* release_p(M* m) noexcept {
    record_p(record_kind::release, m->p);
    return leave_p(m);
}

P* leave_p(M* m) noexcept {
    P* p = m->p;
    m->p = nullptr;
    p->m.store(nullptr, memory_order_relaxed);
    return p;
}

// When the only work is this P's runnext, waking a thread for it is a bet: that this goroutine goes
// on for longer than a thread needs to wake up. A pair of goroutines that talk to each other loses
// the bet each time, at 3 us a wake-up for a hand-over of 50 ns. So after a thread has been woken
// and found nothing, this P leaves out the next 1, 3, 7 .. 1023 such wake-ups; a successful steal
// sets that back to none. sysmon looks for goroutines that were kept waiting by it.
bool skip_wake(P* p) noexcept {
    if (!p->runq.ring_empty()) return false;
    if (p->wake_skips != 0) {
        --p->wake_skips;
        return true;
    }
    p->wake_skips = sched.wake_backoff.load(memory_order_relaxed);
    return false;
}

void wake_slow() noexcept {
    std::uint32_t none = 0;
    if (!sched.spinning.compare_exchange_strong(none, 1, memory_order_seq_cst,
                                                memory_order_relaxed)) {
        return;
    }
    P* p = nullptr;
    {
        lock_guard held(sched.mu);
        if (!sched.stopping.load(memory_order_relaxed)) p = idle_p_get();
        // With the lock held: S1 takes it, too. Later, somebody might give a P up, find nothing and sleep, then
        // another publish and see a spinner that never looks for work.
        if (p == nullptr) sched.spinning.fetch_sub(1, memory_order_seq_cst);
    }
    if (p != nullptr) start_m(p, true);
}

void idle_m_put(M* m) noexcept {
    m->link = sched.idle_ms;
    sched.idle_ms = m;
    ++sched.idle_m_count;
    ++sched.sleep_generation;
}

void idle_m_remove(M* m) noexcept {
    M** at = &sched.idle_ms;
    while (*at != m) at = &(*at)->link;
    *at = m->link;
    --sched.idle_m_count;
}

// Whoever keeps watch goes on with that if another one will do.
sleeper idle_m_take(P* p) noexcept {
    M* m = sched.idle_ms;
    if (m == nullptr) return {nullptr, false};
    if (m == sched.keeper && m->link != nullptr) m = m->link;
    idle_m_remove(m);
    m->next_p = p;
    return {m, m == sched.keeper};
}

void sleeper::wake() const noexcept {
    sched.futex_wakes.fetch_add(1, memory_order_relaxed);
    if (keeps) {
        wake_keeper();
    } else {
        m->parked.wake();
    }
}

namespace {

// One that sleeps, with p for it; m null: none.
sleeper take_for(P* p, bool spinning) noexcept VOLE_REQUIRES(sched.mu) {
    const sleeper idle = idle_m_take(p);
    if (idle.m != nullptr) {
        record_p(record_kind::hand, p, idle.m);
        idle.m->spinning = spinning;
    }
    return idle;
}

bool wake_if_any(const sleeper& s) noexcept {
    if (s.m == nullptr) return false;
    s.wake();
    return true;
}

// False: the world is being stopped, and p has been.
bool idle_or_stop(P* p) noexcept VOLE_REQUIRES(sched.mu) {
    if (!sched.stopping.load(memory_order_relaxed)) {
        idle_p_put(p);
        return true;
    }
    p->status.store(p_status::stopped, memory_order_release);
    count_stopped();
    return false;
}

bool all_sleep() noexcept VOLE_REQUIRES(sched.mu) {
    return sched.idle_m_count + sched.locked_m_idle == sched.m_count;
}

// A goroutine in the queue whose thread waits with it; null: there is none.
G* take_tied() noexcept VOLE_REQUIRES(sched.mu) {
    if (sched.frozen.size != 0) return global_take_frozen();
    G* tied = nullptr;
    for (std::uint32_t n = sched.global.size(); n != 0; --n) {
        G* g = sched.global.take(1).head;
        if (tied == nullptr && g->locked_m != nullptr) {
            tied = g;
        } else {
            sched.global.push(g);
        }
    }
    sched.global_size.store(global_count(), memory_order_relaxed);
    return tied;
}

// All threads sleep, and none could be made for an idle P: if some of them wait with goroutines that are tied to them,
// one gets it without a third that hands it over.
sleeper give_missed_to_tied() noexcept VOLE_REQUIRES(sched.mu) {
    const sleeper none{nullptr, false};
    if (!sched.thread_missed || sched.stopping.load(memory_order_relaxed)) [[likely]]
        return none;
    P* p = idle_p_get();
    if (p == nullptr) return none;
    const G* g = take_tied();
    if (g == nullptr) {
        idle_p_put(p);
        return none;
    }
    --sched.locked_m_idle;
    g->locked_m->next_p = p;
    record_p(record_kind::hand, p, g->locked_m);
    return {g->locked_m, false};
}

// By who is about to sleep: null, or a P to go on with.
P* take_missed() noexcept VOLE_REQUIRES(sched.mu) {
    if (!sched.thread_missed || sched.stopping.load(memory_order_relaxed)) [[likely]]
        return nullptr;
    sched.thread_missed = false;
    return idle_p_get();
}

}  // namespace

bool start_m(P* p, bool spinning) noexcept {
    sleeper idle{nullptr, false};
    {
        lock_guard held(sched.mu);
        idle = take_for(p, spinning);
    }
    if (wake_if_any(idle)) return true;
    bool made = false;
    deep([&] { made = new_m(p, spinning); });
    return made || do_without_thread(p, spinning);
}

// The P becomes idle and the others do its work (nobody steals from an idle P). They may all be about to sleep, and
// have looked for work before there was this: the first of them looks again (take_missed). One that has gone to sleep
// since is given p after all. The first thread of all is made by ensure_runtime, which reports that failure.
bool do_without_thread(P* p, bool spinning) noexcept {
    sleeper idle{nullptr, false};
    {
        lock_guard held(sched.mu);
        idle = take_for(p, spinning);
        if (idle.m == nullptr) {
            if (spinning) sched.spinning.fetch_sub(1, memory_order_seq_cst);
            give_work_away(p);
            if (idle_or_stop(p)) sched.thread_missed = true;
            if (all_sleep()) idle = give_missed_to_tied();
        }
    }
    return wake_if_any(idle);
}

namespace {

// In a list of sleepers, from which somebody takes it who has a P for it; `last`: all others sleep, too.
void sleep_until_given_p(M* m, bool last) noexcept {
    if (last) {
        review_keeper();
        check_deadlock();
    }
    sched.futex_sleeps.fetch_add(1, memory_order_relaxed);
    m->parked.sleep();
    m->parked.clear();
    acquire_p(m, m->next_p);
    m->next_p = nullptr;
}

}  // namespace

void stop_m(M* m) noexcept {
    if (m->spinning) {
        m->spinning = false;
        sched.spinning.fetch_sub(1, memory_order_seq_cst);
    }
    bool last = false;
    P* missed = nullptr;
    {
        lock_guard held(sched.mu);
        missed = take_missed();
        if (missed == nullptr) {
            idle_m_put(m);
            last = all_sleep();
        }
    }
    if (missed != nullptr) [[unlikely]] {
        acquire_p(m, missed);
    } else {
        sleep_until_given_p(m, last);
    }
}

void hand_off(P* p) noexcept {
    if (!p->runq.empty() || sched.global_size.load(memory_order_relaxed) != 0) {
        start_m(p, false);
        return;
    }
    {
        lock_guard held(sched.mu);
        if (!idle_or_stop(p)) return;
    }
    // As S3 above: somebody may have published while this P was neither running nor idle.
    bool work = sched.global_size.load(memory_order_seq_cst) != 0;
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n && !work; ++i) {
        P* other = sched.all_ps[i].load(memory_order_acquire);
        work = other != nullptr && !other->runq.empty();
    }
    if (work) wake();
    watch_for_all();
}

void stop_locked_m(M* m) noexcept {
    if (m->p != nullptr) hand_off(release_p(m));
    bool last = false;
    sleeper tied{nullptr, false};
    {
        lock_guard held(sched.mu);
        ++sched.locked_m_idle;
        ++sched.sleep_generation;
        last = all_sleep();
        if (last) tied = give_missed_to_tied();
    }
    // It may be this one.
    sleep_until_given_p(m, !wake_if_any(tied) && last);
}

void start_locked_m(M* m, G* g) noexcept {
    M* owner = g->locked_m;
    {
        lock_guard held(sched.mu);
        --sched.locked_m_idle;
    }
    owner->next_p = release_p(m);
    record_p(record_kind::hand, owner->next_p, owner);
    sleeper{owner, false}.wake();
    stop_m(m);
}

}  // namespace vole::detail
