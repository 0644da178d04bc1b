// Goroutines: making them, their first and last steps, and recycling.
//
// A G is prepared (memory, closure) without being visible to anybody, then queued. It gets a stack
// at its first run (stack/attach.hpp) and loses it when it has ended and its successor runs (recycle).
//
// Locks: sched.mu for the shared list of free Gs; arena inside. Stack: as noted.
#include <cstdlib>
#include <new>

#include <vole/panic.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/os/permanent.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/panic/goexit.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/sched/status.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

constinit atomic<g_slab*> g_slabs{nullptr};

namespace {

// What all P caches may hold beside the stacks that goroutines use.
std::uint64_t cached_stacks() noexcept {
    return std::uint64_t{sched.procs.load(memory_order_relaxed) + 1} * slot_cache::limit;
}

}  // namespace

// seq_cst, as where they are counted: of two that count at once one sees the other.
bool promise_counted_stacks() noexcept {
    return promise_slots(sched.g_count.load(memory_order_seq_cst) +
                         sched.coroutines.load(memory_order_seq_cst) + cached_stacks());
}

namespace {

// A batch of new Gs, with the promise of a stack for each.
bool add_slab(g_list& out) noexcept {
    sched.g_count.fetch_add(g_slab::count, memory_order_seq_cst);
    void* memory =
        promise_counted_stacks() ? permanent_alloc(sizeof(g_slab), alignof(g_slab)) : nullptr;
    if (memory == nullptr) {
        sched.g_count.fetch_sub(g_slab::count, memory_order_relaxed);
        return false;
    }
    auto* slab = ::new (memory) g_slab;
    for (G& g : slab->gs) out.push_back(&g);
    slab->next = g_slabs.load(memory_order_relaxed);
    // release: whoever walks the slabs sees initialised Gs.
    while (!g_slabs.compare_exchange_weak(slab->next, slab, memory_order_release,
                                          memory_order_relaxed)) {
    }
    return true;
}

// p may be null: an ordinary thread, or a goroutine inside blocking().
G* take_g(P* p) noexcept {
    if (p != nullptr) {
        if (G* g = p->free_gs.pop_front(); g != nullptr) [[likely]]
            return g;
    }
    g_list taken;
    {
        lock_guard held(sched.free_mu);
        taken = sched.free_gs.take(p != nullptr ? P::g_cache / 2 : 1);
    }
    if (G* g = taken.head; g != nullptr) {
        for (G* more = g->link; more != nullptr;) {
            G* next = more->link;
            p->free_gs.push_back(more);
            more = next;
        }
        return g;
    }
    g_list fresh;
    bool added = false;
    deep([&] { added = add_slab(fresh); });
    if (!added) return nullptr;
    G* g = fresh.pop_front();
    if (p != nullptr) {
        p->free_gs.append(fresh);
    } else {
        lock_guard held(sched.free_mu);
        sched.free_gs.push(fresh);
    }
    return g;
}

void give_g(P* p, G* g) noexcept {
    if (p == nullptr) {
        lock_guard held(sched.free_mu);
        sched.free_gs.push(g);
        return;
    }
    // Last in, first out: its cache lines are warm.
    g->link = p->free_gs.head;
    p->free_gs.head = g;
    if (p->free_gs.tail == nullptr) p->free_gs.tail = g;
    if (++p->free_gs.size < P::g_cache) return;
    g_list rest;
    while (p->free_gs.size > P::g_cache / 2) rest.push_back(p->free_gs.pop_front());
    lock_guard held(sched.free_mu);
    sched.free_gs.push_front(rest);
}

std::uint64_t take_id(P* p) noexcept {
    if (p == nullptr) return sched.next_id.fetch_add(1, memory_order_relaxed);
    if (p->next_id == p->last_id) {
        p->next_id = sched.next_id.fetch_add(16, memory_order_relaxed);
        p->last_id = p->next_id + 16;
    }
    return p->next_id++;
}

P* current_p() noexcept {
    M* m = current_m();
    return m != nullptr ? m->p : nullptr;
}

// What a goroutine has from its parent, and its name. False: no memory.
bool give_tags(G* g, std::string_view name) noexcept {
    const G* parent = running_g();
    g_tags* inherited = parent != nullptr ? parent->tags : nullptr;
    bubble* in = inherited != nullptr ? inherited->in : nullptr;
    label_node* labels = inherited != nullptr ? inherited->labels : nullptr;
    if (name.empty()) {
        if (in == nullptr && labels == nullptr) return true;
        if (inherited->name == nullptr) {
            retain_tags(inherited);
            g->tags = inherited;
            return true;
        }
    }
    g->tags = make_tags(name, in, labels);
    return g->tags != nullptr;
}

void drop_tags(G* g) noexcept {
    release_tags(g->tags);
    g->tags = nullptr;
}

void* closure_of(G* g) noexcept { return g->closure_on_heap ? g->heap_closure : g->inline_closure; }

void free_closure(G* g) noexcept {
    if (g->closure_on_heap) deep([g] { std::free(g->heap_closure); });
    g->closure_on_heap = false;
}

void drop(G* g) noexcept {
    free_closure(g);
    if (g->tags != nullptr) drop_tags(g);
    drop_promise(current_p(), g);
    give_g(current_p(), g);
}

void join_bubble(G* g) noexcept {
    bubble* b = bubble_of(g);
    if (b == nullptr) return;
    b->total.fetch_add(1, memory_order_relaxed);
    bubble_enter(b);
}

void count_created(P* p) noexcept {
    if (p != nullptr) [[likely]] {
        bump(p->stats.created);
    } else {
        sched.created.fetch_add(1, memory_order_relaxed);
    }
}

void leave_bubble(bubble* b) noexcept {
    // While its goroutine still counts.
    if (b->how != nullptr) explore_pass(b->how, nullptr);
    b->total.fetch_sub(1, memory_order_relaxed);  // ordered by what follows
    bubble_leave(b);
}

}  // namespace

spawn_ticket spawn_begin(const go_options& opts, std::size_t size, std::size_t align) {
    ensure_runtime();
    const runtime_entry entry;
    if (sched.poisoned.load(memory_order_relaxed)) [[unlikely]] {
        fatal("runtime used in a forked child");
    }
    G* g = take_g(current_p());
    if (g == nullptr) throw_bad_alloc();
    void* storage = g->inline_closure;
    if (size > inline_closure_bytes || align > inline_closure_align) [[unlikely]] {
        const std::size_t a = align < alignof(std::max_align_t) ? alignof(std::max_align_t) : align;
        deep([&] { storage = os::aligned_alloc(a, (size + a - 1) / a * a); });
        g->closure_on_heap = true;
        g->heap_closure = storage;
    }
    const bool has_stack =
        promise_stack(current_p(), g, opts.stack.is_default() ? default_stack() : opts.stack);
    if (storage == nullptr || !has_stack) [[unlikely]] {
        drop(g);
        throw_bad_alloc();
    }
    const G* parent = running_g();
    if (!opts.name.empty() || (parent != nullptr && parent->tags != nullptr)) [[unlikely]] {
        if (!give_tags(g, opts.name)) {
            drop(g);
            throw_bad_alloc();
        }
    }
    return {g, storage};
}

void spawn_abort(spawn_ticket t) noexcept {
    const runtime_pin pin;
    drop(t.g);
}

void spawn_commit(spawn_ticket t, const closure_type* type) noexcept {
    const runtime_pin pin;
    G* g = t.g;
    g->closure = type;
    g->created_at = __builtin_return_address(0);
    const G* parent = running_g();
    g->parent_id = parent != nullptr ? parent->id : 0;
    P* p = current_p();
    g->id = take_id(p);
    if (g->tags != nullptr) [[unlikely]]
        join_bubble(g);
    set_status(g, g_status::idle, g_status::runnable);
    if (g->tags != nullptr) [[unlikely]] {
        if (explorer* e = explorer_of(g); e != nullptr) {
            count_created(p);
            explore_born(e, g);
            explore_enable(e, g);
            return;
        }
    }
    count_created(p);
    if (p != nullptr) [[likely]] {
        run_queue_put(p, g, true);
        wake_for_next(p);
        return;
    }
    {
        lock_guard held(sched.mu);
        global_put(g);
    }
    wake();
}

void throw_nil_func() { throw_runtime_error("go of nil func value"); }

void recycle(P* p, G* g) noexcept {
    detach_stack(p, g);
    if (g->tags != nullptr) [[unlikely]]
        drop_tags(g);
    g->reason = wait_reason::none;
    g->is_main = false;
    g->was_frozen = false;
    g->wakes_run = false;
    g->param = nullptr;
    g->eh_caught = nullptr;
    g->eh_uncaught = 0;
    g->saved_errno = 0;
    set_status(g, g_status::dead, g_status::idle);
    bump(p->stats.ended);
    give_g(p, g);
}

void drain_caches(P* p) noexcept {
    {
        lock_guard held(sched.free_mu);
        sched.free_gs.push(p->free_gs);
    }
    drain_stack_caches(p);
    drain_objects(p);
}

// ---- first and last steps of a goroutine ------------------------------------------------------

namespace {

// noinline: nothing of it may be moved before finish_switch.
[[gnu::noinline]] void run_body(G* g) {
    struct cleanup {
        G* g;
        ~cleanup() {
            if (g->closure->destroy != nullptr) g->closure->destroy(closure_of(g));
            free_closure(g);
        }
    } at_end{g};
    run_outermost(
        [](void* p) {
            G* self = static_cast<G*>(p);
            self->closure->invoke(closure_of(self));
        },
        g, false);
}

// Not VOLE_NO_TSAN: TSan must see the release.
[[gnu::noinline]] void begin_outside() noexcept { runtime_depth()->store(0, memory_order_release); }

void end_commit(G* g, void*) noexcept {
    M* m = current_m();
    if (g->lock_count != 0) [[unlikely]] {
        // The thread goes with it (SCHED-54): schedule() hands the P on, g0_run ends the thread.
        g->lock_count = 0;
        g->locked_m = nullptr;
        m->locked_g = nullptr;
        m->exiting = true;
    }
    note* waiting_run = g->wakes_run ? static_cast<note*>(g->param) : nullptr;
    bubble* left = bubble_of(g);
    if (left != nullptr && left->how != nullptr) [[unlikely]]
        explore_gone(left->how, g);
    recycle(m->p, g);
    if (left != nullptr) [[unlikely]]
        leave_bubble(left);
    if (waiting_run != nullptr) [[unlikely]]
        waiting_run->wake();
}

}  // namespace

VOLE_NO_TSAN void end_goroutine(G* g) noexcept {
    enter_for_the_last_time();
    if (g->is_main) [[unlikely]] {
        lock_guard held(sched.mu);
        ++sched.mains_gone;
    }
    M* m = current_m();
    change_status(g, g_status::running, g_status::dead);
    switch_out(m, g, end_commit, nullptr);
    __builtin_unreachable();
}

void for_each_g(void (*f)(G*, void*), void* arg) noexcept {
    for (g_slab* s = g_slabs.load(memory_order_acquire); s != nullptr; s = s->next) {
        for (G& g : s->gs) f(&g, arg);
    }
}

}  // namespace vole::detail

extern "C" {
VOLE_NO_TSAN void vole_goroutine_main(void* arg) {
    using namespace vole::detail;
    G* g = static_cast<G*>(arg);
    tell_arrived(current_m(), g);
    finish_switch();
    begin_outside();
    run_body(g);
}
VOLE_NO_TSAN void vole_goroutine_exit() noexcept {
    vole::detail::end_goroutine(vole::detail::current_g());
}
}
