// See look.hpp.
#include "runtime/src/trace/look.hpp"

#include <utility>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/futex.hpp"
#include "runtime/src/coro/coroutine.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/trace/gdb/layout.hpp"
#include "runtime/src/trace/unwind.hpp"

namespace vole::inline v0::detail {

namespace {
constexpr const char* reason_text(wait_reason r) noexcept {
    switch (r) {
        case wait_reason::none: return "waiting";
        case wait_reason::chan_send: return "chan send";
        case wait_reason::chan_recv: return "chan receive";
        case wait_reason::chan_send_nil: return "chan send (nil chan)";
        case wait_reason::chan_recv_nil: return "chan receive (nil chan)";
        case wait_reason::select: return "select";
        case wait_reason::select_no_cases: return "select (no cases)";
        case wait_reason::mutex_lock: return "sync.Mutex.Lock";
        case wait_reason::wait_group_wait: return "sync.WaitGroup.Wait";
        case wait_reason::sleep: return "sleep";
        case wait_reason::io: return "IO wait";
        case wait_reason::other: return "waiting";
        case wait_reason::synctest_run: return "synctest.Run";
        case wait_reason::synctest_wait: return "synctest.Wait";
        case wait_reason::rw_mutex_rlock: return "sync.RWMutex.RLock";
        case wait_reason::rw_mutex_lock: return "sync.RWMutex.Lock";
        case wait_reason::cond_wait: return "sync.Cond.Wait";
        case wait_reason::semaphore: return "semacquire";
        case wait_reason::coroutine: return "coroutine";
    }
    return "waiting";
}

constexpr const char* state_text(g_status s, wait_reason r) noexcept {
    switch (s) {
        case g_status::idle: return "idle";
        case g_status::runnable: return "runnable";
        case g_status::running: return "running";
        case g_status::syscall: return "syscall";
        case g_status::waiting: return reason_text(plain(r));
        case g_status::dead: return "dead";
    }
    return "unknown";
}

template <class Enum, class Text, std::size_t... I>
constexpr debug_texts all_texts(Text text, std::index_sequence<I...>) noexcept {
    return {{text(static_cast<Enum>(I))...}};
}
using each_text = std::make_index_sequence<debug_texts::count>;

}  // namespace

const char* to_text(wait_reason r) noexcept { return reason_text(plain(r)); }

constinit const debug_texts status_texts =
    all_texts<g_status>([](g_status s) { return state_text(s, wait_reason::none); }, each_text{});
constinit const debug_texts reason_texts = all_texts<wait_reason>(reason_text, each_text{});

void print_state(text_out& out, const shown_state& s) noexcept {
    out << state_text(s.status, s.reason);
    if (is_durable(s.reason)) out << " (durable)";
    if (s.frozen) out << ", preempted";
}

void print_state(text_out& out, const shown_state& s, std::uint32_t minutes,
                 const char* before_minutes) noexcept {
    print_state(out, s);
    if (minutes != 0) out << before_minutes << minutes << " minutes";
    if (s.locked) out << ", locked to thread";
}

namespace {

VOLE_NO_TSAN bool is_current(const G* g) noexcept {
    const M* m = g->m;
    return m != nullptr && m->curg == g;
}

// Of a goroutine that a signal has stopped: where. What it had saved at its last switch is long past.
VOLE_NO_TSAN const void* frozen_context(const G* g, g_status s) noexcept {
    return s == g_status::runnable && is_current(g) ? g->m->frozen_context : nullptr;
}

// One that has lost its P behind its back counts as being in a system call; it runs.
VOLE_NO_TSAN g_status shown_status(const G* g) noexcept {
    const g_status s = g->status.load(memory_order_acquire);
    const bool detached = s == g_status::syscall && is_current(g) &&
                          g->m->detached_since.load(memory_order_relaxed) != 0;
    return detached ? g_status::running : s;
}

VOLE_NO_TSAN shown_state state_of(const G* g) noexcept {
    const g_status s = shown_status(g);
    const g_tags* tags = g->tags;  // not by bubble_of, which TSan would see
    const wait_reason reason = s == g_status::waiting ? g->reason : wait_reason::none;
    return {s, tags != nullptr && tags->in != nullptr ? reason : plain(reason),
            frozen_context(g, s) != nullptr, g->lock_count != 0};
}

constexpr bool is_alive(g_status s) noexcept { return s != g_status::idle && s != g_status::dead; }

}  // namespace

VOLE_NO_TSAN look::look(const G* goroutine) noexcept
    : g(goroutine), state(state_of(goroutine)), frozen(frozen_context(goroutine, state.status)),
      self(goroutine == current_g()) {}

VOLE_NO_TSAN bool look::exists() const noexcept { return is_alive(state.status) && !g->is_thread; }

VOLE_NO_TSAN bool look::walkable() const noexcept {
    if (self || frozen != nullptr) return true;
    return (state.status == g_status::waiting || state.status == g_status::runnable) &&
           g->sched.sp != nullptr && !is_current(g);
}

VOLE_NO_TSAN std::uint32_t look::minutes() const noexcept {
    if (state.status != g_status::waiting) return 0;
    const auto now = static_cast<std::uint32_t>(nanotime() / 1'000'000'000);
    const std::uint32_t since = g->waiting_since;
    return since != 0 && now > since ? (now - since) / 60 : 0;
}

VOLE_NO_TSAN bool exists(const G* g) noexcept {
    return is_alive(g->status.load(memory_order_acquire)) && !g->is_thread;
}

[[gnu::noinline]] VOLE_NO_TSAN void walk(const look& l, std::size_t skip,
                                         frame_list& frames) noexcept {
    if (l.self) {
        walk_own(skip + 1, frames);
    } else if (l.frozen != nullptr) {
        walk_interrupted(l.g, l.frozen, frames);
    } else {
        const arch::gobuf at = l.g->sched;
        if (at.sp == nullptr) return;  // it has gone on since the look, and ended
        walk_suspended(at, l.g->stack, frames);
    }
    // One that is inside a coroutine goes on where it has resumed that.
    const stack_segment* stack = l.g->stack;
    while (const coroutine_core* c = coroutine_on(stack)) {
        stack = c->other.stack;
        walk_suspended(c->other.context, stack, frames);
    }
}

const char* no_frames_text(const look& l) noexcept {
    const g_status s = l.state.status;
    return s == g_status::running || s == g_status::syscall
               ? "\tgoroutine running on other thread; stack unavailable\n"
               : "";
}

}  // namespace vole::detail
