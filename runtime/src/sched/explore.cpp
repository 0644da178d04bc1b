// See runtime/internal/explore.hpp.
//
// A goroutine that is given the turn is switched to directly by the one that gives it up, where that can be: then there is
// no queue in between, and nobody else can take it before the other is off its stack. Else the commit queues it.
#include "runtime/internal/explore.hpp"

#include "runtime/internal/deep.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/sched/status.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

constinit atomic<std::uint32_t> explorations{0};

namespace {

// The turn is given up by g (null: the driver).
G* next_turn(explorer* e, G* g) noexcept {
    G* next = nullptr;
    e->mu.acquire();
    deep([&] { next = e->next(g); });
    e->turn_free = next == nullptr;
    e->mu.release();
    return next;
}

}  // namespace

explorer* current_explorer() noexcept {
    const bubble* b = current_bubble();
    return b != nullptr ? b->how : nullptr;
}

void explore_born(explorer* e, G* g) noexcept {
    const lock_guard held(e->mu);
    deep([&] { e->born(g); });
}

void explore_gone(explorer* e, G* g) noexcept {
    const lock_guard held(e->mu);
    deep([&] { e->gone(g); });
}

void explore_enable(explorer* e, G* g) noexcept {
    G* next = nullptr;
    {
        const lock_guard held(e->mu);
        const bool free = e->turn_free;
        deep([&] {
            e->can_run(g);
            if (free) next = e->next(nullptr);
        });
        if (next != nullptr) e->turn_free = false;
    }
    if (next != nullptr) explore_dispatch(next);
}

void explore_pass(explorer* e, G* g) noexcept {
    if (G* next = next_turn(e, g); next != nullptr) explore_dispatch(next);
}

void explore_take_turn(explorer* e) noexcept {
    const lock_guard held(e->mu);
    e->turn_free = false;
}

// ---- waiting ----------------------------------------------------------------------------------

namespace {

// Locks have no bubble, or were made outside; here they are taken as the bubble's own, since a deadlock among them is one of the
// things that are looked for.
wait_reason reason_when_explored(wait_reason r) noexcept {
    switch (r) {
        case wait_reason::mutex_lock:
        case wait_reason::rw_mutex_rlock:
        case wait_reason::rw_mutex_lock:
        case wait_reason::semaphore: return durable(r);
        default: return r;
    }
}

// The turn is passed on while g still counts: else the driver could wake up in between.
void commit_explored(G* g, void* park) noexcept {
    const durable_park p = *static_cast<const durable_park*>(park);
    bubble* b = bubble_of(g);
    explorer* e = b->how;
    const bool counts = is_durable(g->reason);
    p.commit(g, p.arg);
    explore_pass(e, g);
    if (counts) bubble_leave(b);
}

}  // namespace

void park_in_bubble(M* m, G* g, park_commit commit, void* arg, wait_reason reason) {
    durable_park p{commit, arg};
    if (explorer_of(g) != nullptr && g != bubble_of(g)->driver) {
        g->reason = reason_when_explored(reason);
        switch_out(m, g, commit_explored, &p);
    } else if (is_durable(reason)) {
        switch_out(m, g, commit_durably, &p);
    } else {
        switch_out(m, g, commit, arg);
    }
}

// ---- points -----------------------------------------------------------------------------------

void explore_here(const char* what, const void* object, touch how) noexcept {
    operation op;
    op.what = what;
    op.how = how;
    op.objects[0] = object;
    op.count = object != nullptr ? 1 : 0;
    explore_here(op);
}

void explore_here(const operation& op) noexcept {
    const runtime_entry entry;
    M* m = current_m();
    G* g = running_g();
    if (g == nullptr || m->p == nullptr || m->on_system_stack) return;
    explorer* e = explorer_of(g);
    if (e == nullptr || g == bubble_of(g)->driver) return;
    G* next = nullptr;
    e->mu.acquire();
    deep([&] { next = e->at_point(g, op); });
    e->mu.release();
    if (next == nullptr) {
        park_in_bubble(
            m, g, [](G*, void*) {}, nullptr, durable(wait_reason::select_no_cases));
    } else if (next != g) {
        hand_turn_over(m, g, next);
    }
}

bool explore_panic(const std::exception_ptr& error, const char* text) noexcept {
    if (explorations.load(memory_order_relaxed) == 0) [[likely]]
        return false;
    explorer* e = current_explorer();
    if (e == nullptr) return false;
    const runtime_pin pin;
    const lock_guard held(e->mu);
    deep([&] { e->panicked(error, text); });
    return true;
}

std::uint32_t choose_below(std::uint32_t n) noexcept {
    if (explorations.load(memory_order_relaxed) != 0) [[unlikely]] {
        if (explorer* e = current_explorer(); e != nullptr) {
            const runtime_pin pin;
            std::uint32_t chosen = 0;
            const lock_guard held(e->mu);
            deep([&] { chosen = e->draw(n); });
            return chosen;
        }
    }
    // Lemire's multiplication instead of a division.
    return static_cast<std::uint32_t>((std::uint64_t{fast_random()} * n) >> 32);
}

std::int64_t explored_time() noexcept {
    if (explorations.load(memory_order_relaxed) != 0) [[unlikely]] {
        const bubble* b = current_bubble();
        if (b != nullptr && b->how != nullptr) return b->now.load(memory_order_relaxed);
    }
    return nanotime();
}

}  // namespace vole::detail
