// See coroutine.hpp. Making coroutines, switching to them and back, and their ends.
//
// Stack: the goroutine's or the coroutine's, small ones included.
#include "runtime/src/coro/coroutine.hpp"

#include <new>
#include <utility>

#include <vole/panic.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/membarrier.hpp"
#include "runtime/src/panic/goexit.hpp"
#include "runtime/src/preempt/preempt.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

coroutine_core* core_of(coroutine* c) noexcept { return static_cast<coroutine_core*>(c); }

// ---- stacks -----------------------------------------------------------------------------------

// Of a new body: where it lies, above all frames, below what goexit needs.
char* body_place(const stack_segment* s, const body_type* type) noexcept {
    const auto top = reinterpret_cast<std::uintptr_t>(s->hi()) - goexit_bytes;
    return reinterpret_cast<char*>((top - type->size) & ~std::uintptr_t{most_body_align - 1});
}

bool take_stack(coroutine_core* c) noexcept {
    sched.coroutines.fetch_add(1, memory_order_seq_cst);
    const M* m = current_m();
    char* lo = nullptr;
    bool promised = false;
    deep([&] { promised = promise_counted_stacks(); });
    if (promised) lo = take_memory(m != nullptr ? m->p : nullptr, segment_kind::slot);
    if (lo == nullptr) {
        sched.coroutines.fetch_sub(1, memory_order_relaxed);
        return false;
    }
    stack_segment* s = make_segment(lo, slot_bytes, segment_kind::slot);
    s->coro = c;
    c->base = s;
    c->other.stack = s;
    c->other.stack_guard = s->guard;
    tell_new_coroutine(c->other.sanitizer, s);
    return true;
}

void give_stack(coroutine_core* c) noexcept {
    stack_segment* s = c->base;
    const M* m = current_m();
    P* p = m != nullptr ? m->p : nullptr;
    tell_dead_coroutine(c->other.sanitizer, s);
    free_newer(p, s);
    if (!canary_is_intact(s)) [[unlikely]]
        fatal("stack overflow", "vole: a coroutine has overrun its stack (found out when it ended: "
                                "no guard pages could be had)");
    give_memory(p, s->lo, segment_kind::slot);
    c->base = nullptr;
    c->other.stack = nullptr;
    sched.coroutines.fetch_sub(1, memory_order_relaxed);
}

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
constexpr bool told_of_switches = true;
#else
constexpr bool told_of_switches = false;
#endif

// ---- the switch -------------------------------------------------------------------------------

VOLE_NO_TSAN inline void exchange_sides(stack_side& other, const M* m, G* g) noexcept {
    std::swap(g->stack, other.stack);
    atomic_signal_fence(memory_order_seq_cst);  // see is_unusual
    std::swap(g->stack_guard, other.stack_guard);
    std::swap(g->frames, other.frames);
    // Both sides are mostly outside of handlers: a comparison is cheaper than a store that the next switch loads.
    if (m->eh->caught != other.eh.caught) [[unlikely]]
        std::swap(m->eh->caught, other.eh.caught);
    if (m->eh->uncaught != other.eh.uncaught) [[unlikely]]
        std::swap(m->eh->uncaught, other.eh.uncaught);
    exchange_sanitizer(g, other.sanitizer);
    arch::this_port::set_stack_guard(g->stack_guard);
}

// Not VOLE_NO_TSAN: TSan must see the release.
[[gnu::noinline]] void leave_runtime() noexcept { count_out(); }

void run_body(coroutine_core* c) noexcept {
    c->end = run_contained(
        [](void* p) {
            auto* self = static_cast<coroutine_core*>(p);
            struct cleanup {
                coroutine_core* c;
                ~cleanup() { c->type->destroy(c->body); }
            } at_end{self};
            self->type->run(self->body, self);
        },
        c);
}

// The first function on a coroutine's stack; a backtrace ends at its caller, vole_mcall.
VOLE_NO_TSAN void body_main(void* arg) noexcept {
    auto* c = static_cast<coroutine_core*>(arg);
    tell_changed(nullptr);
    run_body(c);
    enter_for_the_last_time();
    const M* m = current_m();
    const G* g = m->curg;
    c->done = true;
    c->usual = false;
    exchange_sides(c->other, m, m->curg);
    const arch::gobuf to = c->other.context;
    leave_runtime();
    tell_change(nullptr, g);
    arch::vole_gogo(&to);
}

// In full; the usual case is in coroutine_enter and coroutine_leave. Like those it is outside of the runtime when it
// switches. From there on the goroutine may be stopped, but while G names the one stack and the stack pointer the
// other it is not: handler.cpp looks.
VOLE_NO_TSAN void change_sides(coroutine_core* c, const M* m, G* g) noexcept {
    void* saved = nullptr;
    exchange_sides(c->other, m, g);
    leave_runtime();
    tell_change(&saved, g);
    if (!c->started) {
        c->started = true;
        c->usual = !told_of_switches && c->lock_count == 0 &&
                   preempt_settings.preempt_migration != preempt::migration::free;
        arch::vole_mcall(&c->other.context, c->body, body_main, c);
    } else {
        arch::vole_exchange(&c->other.context);
    }
    tell_changed(saved);
    count_in();
}

// ---- who may ----------------------------------------------------------------------------------

const char* again_text(const coroutine_core* c) noexcept {
    return c->kind == coroutine_kind::pull ? "iter.Pull: next called again before yield"
                                           : "coroswitch of a goroutine to itself";
}
constexpr const char* two_text = "vole: two goroutines use one coroutine at the same time";
constexpr const char* locked_text =
    "coro: OS thread locking must match locking at coroutine creation";

inline bool same_lock(const coroutine_core* c, const G* g) noexcept {
    return (c->lock_count | g->lock_count) == 0 ||
           (c->lock_count == g->lock_count && c->locked_m == g->locked_m);
}

// Orders all that the owner did before against all that is done from here on.
void revoke(coroutine_core* c) noexcept {
    std::uintptr_t was = c->bias.load(memory_order_relaxed);
    if (was != coroutine_core::shared) {
        c->bias.compare_exchange_strong(was, coroutine_core::revoked, memory_order_seq_cst,
                                        memory_order_seq_cst);
    }
    deep([] { fence_all_threads(); });
    c->bias.store(coroutine_core::shared, memory_order_release);
}

const char* begin_shared_turn(coroutine_core* c, G* g) noexcept {
    // acquire: who says so has fenced.
    if (c->bias.load(memory_order_acquire) != coroutine_core::shared) revoke(c);
    G* held = nullptr;
    // acquire: pairs with the release of the turn before.
    if (!c->holder.compare_exchange_strong(held, g, memory_order_acquire, memory_order_relaxed)) {
        return held == g ? again_text(c) : two_text;
    }
    if (c->inside.load(memory_order_acquire)) {  // the last turn that the owner took by itself
        c->holder.store(nullptr, memory_order_release);
        return c->owner.load(memory_order_relaxed) == g ? again_text(c) : two_text;
    }
    c->shared_turn = true;
    return nullptr;
}

enum class locked : bool { no, perhaps };

// By the owner of one that is biased to it. False: not so easily. `is`: no, if whoever is locked to a thread is to be
// refused; perhaps, if the caller has seen that it may.
template <locked is>
bool begin_owners_turn(coroutine_core* c, const G* g) noexcept {
    const auto self = reinterpret_cast<std::uintptr_t>(g);
    if (c->bias.load(memory_order_relaxed) != self || c->inside.load(memory_order_relaxed) ||
        (is == locked::no && g->lock_count != 0)) {
        return false;
    }
    c->inside.store(true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);  // the real one is in revoke
    if (c->bias.load(memory_order_relaxed) == self) [[likely]]
        return true;
    c->inside.store(false, memory_order_release);
    return false;
}

// Null: it is g's turn.
const char* begin_turn(coroutine_core* c, G* g) noexcept {
    std::uintptr_t nobody = coroutine_core::nobody;
    if (c->bias.compare_exchange_strong(nobody, reinterpret_cast<std::uintptr_t>(g),
                                        memory_order_relaxed, memory_order_relaxed)) {
        c->owner.store(g, memory_order_relaxed);
    }
    if (!same_lock(c, g)) return locked_text;
    if (begin_owners_turn<locked::perhaps>(c, g)) return nullptr;
    if (c->bias.load(memory_order_relaxed) == reinterpret_cast<std::uintptr_t>(g) &&
        c->inside.load(memory_order_relaxed)) {
        return again_text(c);
    }
    return begin_shared_turn(c, g);
}

// Without fences there is no bias.
std::uintptr_t first_bias() noexcept {
    bool can = false;
    deep([&] { can = can_fence_all_threads(); });
    return can ? coroutine_core::nobody : coroutine_core::shared;
}

// ---- taking a turn ----------------------------------------------------------------------------

// What a turn is for.
struct turn_request {
    void* value = nullptr;
    bool thrown = false;
    bool stop = false;
};

struct turn_result {
    const char* wrong = nullptr;
    bool is_thread = false;  // which cannot take one
};

// Afterwards the body has yielded or ended (`done`), and the turn is still the caller's.
turn_result take_turn(coroutine_core* c, const turn_request& want) noexcept {
    const runtime_entry entry;
    const M* m = current_m();
    G* g = m != nullptr ? m->curg : nullptr;
    if (g == nullptr) return {nullptr, true};
    if (m->on_system_stack) return {"vole: a coroutine cannot be resumed on the system stack"};
    if (const char* wrong = begin_turn(c, g); wrong != nullptr) return {wrong};
    if (c->done) {  // since the caller has looked
        end_turn(c);
        return {two_text};
    }
    c->value = want.value;
    c->thrown = want.thrown;
    c->stopping = want.stop;
    if (want.stop) c->usual = false;
    if (want.stop && !c->started) {
        c->done = true;
    } else {
        change_sides(c, m, g);
    }
    return {};
}

// An ordinary thread has a goroutine do it, and waits.
turn_result take_turn_for_thread(coroutine_core* c, const turn_request& want) {
    struct errand {
        coroutine_core* c;
        const turn_request& want;
        turn_result result{};
        note done{};
    } e{c, want};
    go([at = &e] {
        at->result = take_turn(at->c, at->want);
        at->done.wake();
    });
    e.done.sleep();
    return e.result;
}

turn_result take_turn_anywhere(coroutine_core* c, const turn_request& want) {
    const turn_result r = take_turn(c, want);
    return r.is_thread ? take_turn_for_thread(c, want) : r;
}

void enter_in_full(coroutine_core* c, const turn_request& want) {
    const turn_result r = take_turn_anywhere(c, want);
    if (r.wrong != nullptr) throw_runtime_error(r.wrong);
}

// The turn of a body that has ended, or that is not wanted any more. On its caller's stack.
outcome end_body(coroutine_core* c) noexcept {
    if (!c->started) c->type->destroy(c->body);
    const runtime_pin pin;
    const outcome end = c->end;
    c->end = {};
    give_stack(c);
    end_turn(c);
    return end;
}

// Whether a switch needs change_sides. The usual one is not even counted as being inside the runtime: up to where
// exchange_sides begins a goroutine may be stopped at any place, if it goes on on the same thread; from there on
// handler.cpp refuses it, since the stack pointer is not on G's stack, until it is.
inline bool is_unusual(const coroutine_core* c, const M* m) noexcept {
    return !c->usual || m == nullptr || m->attention.load(memory_order_relaxed) != 0 ||
           m->on_system_stack;
}

[[gnu::noinline]] void enter_unusually(coroutine_core* c, void* value) {
    enter_in_full(c, {.value = value});
}

}  // namespace

// ---- the seam ---------------------------------------------------------------------------------

coroutine_ticket coroutine_make(const body_type* type, coroutine_kind kind) {
    ensure_runtime();
    const runtime_entry entry;
    if (sched.poisoned.load(memory_order_relaxed)) [[unlikely]]
        fatal("runtime used in a forked child");
    auto* c = new (std::nothrow) coroutine_core;
    if (c == nullptr) throw_bad_alloc();
    if (!take_stack(c)) {
        delete c;
        throw_bad_alloc();
    }
    c->bias.store(first_bias(), memory_order_relaxed);
    c->kind = kind;
    c->type = type;
    c->body = body_place(c->base, type);
    if (const G* g = running_g(); g != nullptr) {
        c->lock_count = g->lock_count;
        c->locked_m = g->locked_m;
    }
    return {c, c->body};
}

void coroutine_abandon(coroutine* c) noexcept {
    coroutine_core* core = core_of(c);
    const runtime_pin pin;
    give_stack(core);
    delete core;
}

// This and coroutine_leave end in a jump to the switch, which jumps to where the other side was called from: a return
// anywhere on the way would be one that the processor predicts wrongly, 15 ns each.
void coroutine_enter(coroutine* face, void* value) {
    coroutine_core* c = core_of(face);
    const M* m = current_m();
    if (is_unusual(c, m) || !begin_owners_turn<locked::no>(c, m->curg)) [[unlikely]]
        return enter_unusually(c, value);
    c->value = value;
    exchange_sides(c->other, m, m->curg);
    return arch::vole_exchange(&c->other.context);
}

void coroutine_throw_into(coroutine* c, std::exception_ptr* e) {
    enter_in_full(core_of(c), {.value = e, .thrown = true});
}

namespace {

const char* why_not_leave(const coroutine_core* c, const M* m) noexcept {
    const G* g = m != nullptr ? m->curg : nullptr;
    if (g == nullptr || coroutine_on(g->stack) != c || m->on_system_stack) {
        return c->kind == coroutine_kind::pull
                   ? "iter.Pull: yield called again before next"
                   : "vole: yield called while the coroutine does not run";
    }
    return same_lock(c, g) ? nullptr : locked_text;
}

[[gnu::noinline]] void leave_in_full(coroutine_core* c, void* value) {
    const char* wrong = nullptr;
    {
        const runtime_entry entry;
        const M* m = current_m();
        wrong = why_not_leave(c, m);
        if (wrong == nullptr) {
            c->value = value;
            change_sides(c, m, m->curg);
        }
    }
    if (wrong != nullptr) throw_runtime_error(wrong);
}

}  // namespace

void coroutine_leave(coroutine* face, void* value) {
    coroutine_core* c = core_of(face);
    const M* m = current_m();
    if (is_unusual(c, m) || m->curg->stack != c->base || m->curg->lock_count != 0) [[unlikely]]
        return leave_in_full(c, value);
    c->value = value;
    exchange_sides(c->other, m, m->curg);
    return arch::vole_exchange(&c->other.context);
}

bool coroutine_finish(coroutine* c) {
    outcome end = end_body(core_of(c));
    if (end.panic == nullptr && !end.goexit) return false;
    if (end.goexit && current_g() == nullptr) {
        report_outcome(end);
        throw runtime_error(
            "vole::goexit called in a coroutine of a thread that is not a goroutine");
    }
    call_with_room(
        throw_bytes, [](void* p) { continue_with(*static_cast<const outcome*>(p)); }, &end);
    return false;
}

void coroutine_end_shared_turn(coroutine* c) noexcept {
    core_of(c)->holder.store(nullptr, memory_order_release);
}

void coroutine_stop(coroutine* c) {
    if (c->done) return;
    enter_in_full(core_of(c), {.stop = true});
    coroutine_finish(c);
}

void coroutine_destroy(coroutine* c) noexcept {
    coroutine_core* core = core_of(c);
    if (!c->done) {
        const turn_result r = take_turn_anywhere(core, {.stop = true});
        if (r.wrong != nullptr) fatal("a coroutine is destroyed that cannot be stopped", r.wrong);
        report_outcome(end_body(core));
    }
    delete core;
}

void throw_exited_coroutine() { throw_runtime_error("coroswitch on exited coro"); }

void throw_continued_range() {
    throw_runtime_error(
        "range function continued iteration after function for loop body returned false");
}

}  // namespace vole::detail
