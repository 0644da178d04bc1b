// How the next goroutine is found: on g0, by a thread that holds a P.
//
// Order (SCHED-17, 19): every 61st time slice the global queue first; runnext; own ring; a batch of
// the global queue; another P's ring; and before giving up, everything again (idle.cpp has the
// argument why that is needed and enough).
//
// Locks: sched.mu. Stack: g0, except run_queue_put and global_* (any).
#include <cerrno>
#include <ctime>
#include <sched.h>

#include "runtime/internal/fatal.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

std::uint32_t next_random(P* p) noexcept {
    std::uint32_t x = p->random;  // xorshift: order of stealing needs no better
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    p->random = x;
    return x;
}

// ---- queues -----------------------------------------------------------------------------------

std::uint32_t global_count() noexcept { return sched.global.size() + sched.frozen.size; }

void global_put(G* g) noexcept {
    sched.global.push(g);
    // seq_cst: published before wake() looks for sleepers (idle.cpp).
    sched.global_size.store(global_count(), memory_order_seq_cst);
}

void global_put_list(g_list& list) noexcept {
    sched.global.push(list);
    sched.global_size.store(global_count(), memory_order_seq_cst);
}

void global_put_frozen(G* g) noexcept {
    // Those who wait in the other queue have waited for longer.
    if (sched.frozen.size == 0) sched.frozen_turn = false;
    sched.frozen.push_back(g);
    sched.global_size.store(global_count(), memory_order_seq_cst);
}

// One whose thread was last on this CPU, if there is one: the kernel wakes it up here, where the caller is
// about to leave, and not behind somebody who computes elsewhere. Every fourth time the oldest.
G* global_take_frozen() noexcept {
    const int cpu = ++sched.frozen_takes % 4 == 0 ? -1 : sched_getcpu();
    G* before = nullptr;
    G* g = sched.frozen.head;
    while (cpu >= 0 && g != nullptr && g->locked_m->frozen_cpu != cpu) {
        before = g;
        g = g->link;
    }
    if (g == nullptr || before == nullptr) {
        g = sched.frozen.pop_front();
    } else {
        sched.frozen.remove_behind(before);
    }
    sched.global_size.store(global_count(), memory_order_relaxed);
    return g;
}

void give_work_away(P* p) noexcept {
    g_list rest;
    while (G* g = p->runq.pop()) rest.push_back(g);
    if (G* g = p->runq.pop_next(); g != nullptr) rest.push_back(g);
    if (rest.size != 0) global_put_list(rest);
}

g_list global_take(std::uint32_t most) noexcept {
    const std::uint32_t size = sched.global.size();
    // Frozen ones come one at a time, and in turn with the others.
    const bool turn = sched.frozen_turn;
    sched.frozen_turn = !turn;
    if (sched.frozen.size != 0 && (size == 0 || turn)) {
        g_list one;
        one.push_back(global_take_frozen());
        return one;
    }
    if (size == 0) return {};
    std::uint32_t n = size / sched.procs.load(memory_order_relaxed) + 1;
    if (n > size) n = size;
    if (most != 0 && n > most) n = most;
    if (n > run_queue::capacity / 2) n = run_queue::capacity / 2;
    g_list taken = sched.global.take(n);
    sched.global_size.store(global_count(), memory_order_relaxed);
    return taken;
}

G* spread(P* p, g_list taken) noexcept {
    G* first = taken.head;
    if (first == nullptr) return nullptr;
    bump(p->stats.global_pops, taken.size);
    for (G* g = first->link; g != nullptr;) {
        G* next = g->link;
        run_queue_put(p, g, false);
        g = next;
    }
    return first;
}

namespace {
// The ring is full: half of it and g go to the global queue, in order (SCHED-16).
[[gnu::noinline]] void overflow(P* p, G* g) noexcept {
    for (;;) {
        g_list half;
        if (p->runq.take_half(half)) {
            half.push_back(g);
            lock_guard held(sched.mu);
            global_put_list(half);
            return;
        }
        if (p->runq.push(g)) return;  // a thief made room
    }
}
}  // namespace

void run_queue_put(P* p, G* g, bool next) noexcept {
    if (next) {
        g = p->runq.exchange_next(g);
        if (g == nullptr) return;
    }
    if (!p->runq.push(g)) [[unlikely]]
        overflow(p, g);
}

// ---- stealing ---------------------------------------------------------------------------------

namespace {

std::uint32_t gcd(std::uint32_t a, std::uint32_t b) noexcept {
    while (b != 0) {
        const std::uint32_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

// runnext of a running P is its owner's next step in a hand-over that takes tens of nanoseconds:
// taking it away at once would tear apart every pair of goroutines that talk to each other. Only
// one that has been lying there for 50 us is fair game (SCHED-24).
bool steal_next(P* thief, P* victim, G** out) noexcept {
    G* seen = victim->runq.peek_next();
    if (seen == nullptr) return false;
    if (victim->status.load(memory_order_relaxed) == p_status::running) {
        const std::uint64_t before = victim->stats.switches.load(memory_order_relaxed);
        // Asleep, not looking: the owner writes these cache lines at every hand-over. And a thread
        // that still counts as spinning spares the publishers their wake-ups.
        const int saved = errno;
        const timespec nap{0, 50'000};
        nanosleep(&nap, nullptr);
        errno = saved;
        if (victim->runq.peek_next() != seen) return false;
        // The same pointer may have left and come back: then the owner is using it.
        if (victim->stats.switches.load(memory_order_relaxed) != before) return false;
    }
    if (!victim->runq.steal_next(seen, thief)) return false;
    bump(thief->stats.steals);
    bump(thief->stats.stolen);
    *out = seen;
    return true;
}

G* steal(M* m) noexcept {
    P* thief = m->p;
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (int round = 0; round < 4; ++round) {
        const bool last = round == 3;
        // Every P once, from a random start by a random step that has no divisor in common (SCHED-22).
        std::uint32_t at = next_random(thief) % n;
        std::uint32_t step = 1 + next_random(thief) % n;
        while (gcd(step, n) != 1) ++step;
        for (std::uint32_t i = 0; i < n; ++i, at = (at + step) % n) {
            if (sched.stopping.load(memory_order_relaxed)) return nullptr;
            P* victim = sched.all_ps[at].load(memory_order_acquire);
            if (victim == thief || victim == nullptr) continue;
            if (victim->status.load(memory_order_relaxed) == p_status::idle) continue;
            std::uint32_t taken = 0;
            if (G* g = victim->runq.steal_into(thief->runq, &taken); g != nullptr) {
                bump(thief->stats.steals);
                bump(thief->stats.stolen, taken);
                return g;
            }
            G* g = nullptr;
            if (last && steal_next(thief, victim, &g)) return g;
        }
    }
    return nullptr;
}

void start_spinning(M* m) noexcept {
    m->spinning = true;
    sched.spinning.fetch_add(1, memory_order_seq_cst);
}

// The last spinner that finds work wakes another: so that there is always one while there may be
// work (SCHED-26).
void found_work(M* m) noexcept {
    m->spinning = false;
    sched.spinning.fetch_sub(1, memory_order_seq_cst);
    wake();
}

// Work appeared between the last look and giving the P up: takes a P again. See idle.cpp.
bool recheck(M* m) noexcept {
    {
        lock_guard held(sched.mu);
        if (global_count() != 0) {
            if (P* p = idle_p_get(); p != nullptr) {
                acquire_p(m, p);
                return true;
            }
            return false;
        }
    }
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        P* other = sched.all_ps[i].load(memory_order_acquire);
        if (other == nullptr || other->runq.empty()) continue;
        lock_guard held(sched.mu);
        if (P* p = idle_p_get(); p != nullptr) {
            acquire_p(m, p);
            return true;
        }
        return false;
    }
    return false;
}

g_list take_global(std::uint32_t most) noexcept {
    lock_guard held(sched.mu);
    return global_take(most);
}

// m has a P. Null: the world is stopping, or m gave its P up and slept: ask again.
G* find_runnable(M* m, bool* inherit) noexcept {
    P* p = m->p;
    *inherit = false;
    if (p->sched_tick.load(memory_order_relaxed) % 61 == 0 &&
        sched.global_size.load(memory_order_relaxed) != 0) {
        if (G* g = spread(p, take_global(1)); g != nullptr) return g;
    }
    // Directly before runnext is looked at: the next one fired would send it to the ring's end. Nobody has
    // handed its slice to what a timer has woken.
    const G* handed = p->runq.peek_next();
    run_timers(m);
    if (G* g = p->runq.pop_next(); g != nullptr) {
        *inherit = g == handed;
        return g;
    }
    if (G* g = p->runq.pop(); g != nullptr) return g;
    if (sched.global_size.load(memory_order_relaxed) != 0) {
        if (G* g = spread(p, take_global(0)); g != nullptr) return g;
    }
    if (run_any_timers()) {
        if (G* g = p->runq.pop_next(); g != nullptr) return g;
        if (G* g = p->runq.pop(); g != nullptr) return g;
    }
    if (poll_here(m)) return p->runq.pop();
    const std::uint32_t procs = sched.procs.load(memory_order_relaxed);
    const std::uint32_t idle = sched.idle_p_count.load(memory_order_relaxed);
    // At most half as many spinners as busy Ps (SCHED-25).
    if (procs > 1 &&
        (m->spinning || 2 * sched.spinning.load(memory_order_relaxed) < procs - idle)) {
        if (!m->spinning) start_spinning(m);
        if (G* g = steal(m); g != nullptr) {
            if (sched.wake_backoff.load(memory_order_relaxed) != 0) {
                sched.wake_backoff.store(0, memory_order_relaxed);
            }
            return g;
        }
        const std::uint32_t backoff = sched.wake_backoff.load(memory_order_relaxed);
        if (backoff < 1023) sched.wake_backoff.store(backoff * 2 + 1, memory_order_relaxed);
    }
    if (await_near_deadline()) return nullptr;
    g_list late;
    {
        lock_guard held(sched.mu);
        if (sched.stopping.load(memory_order_relaxed)) return nullptr;
        late = global_take(0);
        if (late.size == 0) idle_p_put(release_p(m));
    }
    if (late.size != 0) return spread(p, late);
    if (m->spinning) {
        m->spinning = false;
        sched.spinning.fetch_sub(1, memory_order_seq_cst);
    }
    // Also by an M that did not spin: nobody else may be looking when it was the only busy one.
    if (recheck(m)) {
        start_spinning(m);
        return nullptr;
    }
    if (!keep_watch(m)) stop_m(m);
    return nullptr;
}

void stop_for_the_world(M* m) noexcept {
    if (m->spinning) {
        m->spinning = false;
        sched.spinning.fetch_sub(1, memory_order_seq_cst);
    }
    {
        lock_guard held(sched.mu);
        release_p(m)->status.store(p_status::stopped, memory_order_release);
    }
    count_stopped();
    stop_m(m);
}

}  // namespace

G* schedule(M* m, bool* inherit) noexcept {
    for (;;) {
        if (m->exiting) {
            if (m->p != nullptr) hand_off(release_p(m));
            return nullptr;
        }
        if (m->locked_g != nullptr) {
            if (G* other = m->pending; other != nullptr) {
                m->pending = nullptr;
                run_queue_put(m->p, other, false);
            }
            stop_locked_m(m);
            *inherit = false;
            return m->locked_g;
        }
        if (m->p == nullptr) stop_m(m);
        G* g = m->pending;
        if (g != nullptr) {
            m->pending = nullptr;
            if (g->sched.sp == nullptr) g = prefer_frozen(m->p, g);
            if (g == nullptr) continue;
        } else if (sched.stopping.load(memory_order_acquire)) {
            stop_for_the_world(m);
            continue;
        } else {
            g = find_runnable(m, inherit);
            if (g == nullptr) continue;
            if (g->sched.sp == nullptr) g = prefer_frozen(m->p, g);
            if (g == nullptr) continue;
            if (m->spinning) found_work(m);
        }
        if (g->locked_m != nullptr && g->locked_m != m) {
            start_locked_m(m, g);
            continue;
        }
        if (g->sched.sp == nullptr) attach_stack(m->p, g);
        if (m->owes_watch) [[unlikely]] {
            m->owes_watch = false;
            watch_first_deadline();
        }
        return g;
    }
}

}  // namespace vole::detail
