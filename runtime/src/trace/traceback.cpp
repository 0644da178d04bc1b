// Tracebacks: who is where, waiting for what.
//
// Runs while other threads go on (after a fatal error nothing can be relied on), so every field is
// read as a guess: a goroutine may change under our eyes, at worst a line is out of date.
// Async-signal-safe: no lock, no allocation, no libc but write(2).
#include <cstddef>
#include <utility>

#include <vole/runtime.hpp>

#include "runtime/internal/fatal.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
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
    }
    return "waiting";
}

constexpr const char* state_text(g_status s, wait_reason r) noexcept {
    switch (s) {
        case g_status::idle: return "idle";
        case g_status::runnable: return "runnable";
        case g_status::running: return "running";
        case g_status::syscall: return "syscall";
        case g_status::waiting: return reason_text(r);
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

const char* to_text(wait_reason r) noexcept { return reason_text(r); }

constinit const debug_texts status_texts =
    all_texts<g_status>([](g_status s) { return state_text(s, wait_reason::none); }, each_text{});
constinit const debug_texts reason_texts = all_texts<wait_reason>(reason_text, each_text{});

namespace {

// Of a goroutine that a signal has stopped: where. What it had saved at its last switch is long past.
VOLE_NO_TSAN const void* frozen_context(const G* g, g_status s) noexcept {
    const M* m = g->m;
    return s == g_status::runnable && m != nullptr && m->curg == g ? m->frozen_context : nullptr;
}

VOLE_NO_TSAN void print_goroutine(const G* g, int fd) noexcept {
    const g_status s = g->status.load(memory_order_acquire);
    message line;
    const void* context = frozen_context(g, s);
    line << "goroutine " << g->id << " [" << state_text(s, g->reason);
    if (context != nullptr) line << ", preempted";
    if (g->lock_count != 0) line << ", locked to thread";
    line << "]:";
    if (g->name != nullptr) line << " " << g->name;
    line << "\n";
    line.write_to(fd);
    const bool self = g == current_g();
    if (self) {
        print_own_frames(fd);
    } else if (context != nullptr) {
        print_interrupted_frames(context, fd);
    } else if (s == g_status::waiting || (s == g_status::runnable && g->sched.sp != nullptr)) {
        print_frames(g->sched, fd);
    } else if (s == g_status::running || s == g_status::syscall) {
        line << "\tgoroutine running on other thread; stack unavailable\n";
    }
    if (g->parent_id != 0) line << "created in goroutine " << g->parent_id << "\n";
    line << "\n";
    line.write_to(fd);
}

constexpr std::uint32_t most_goroutines = 1000;

struct walk {
    int fd;
    std::uint32_t printed;
    std::uint64_t omitted;
};

}  // namespace

}  // namespace vole::detail

namespace vole::inline v0 {

void write_traceback(int fd, traceback_scope scope) noexcept {
    using namespace detail;
    const G* self = current_g();
    if (self != nullptr) print_goroutine(self, fd);
    if (scope == traceback_scope::current) return;
    walk w{fd, 0, 0};
    for_each_g(
        [](G* g, void* p) {
            auto* at = static_cast<walk*>(p);
            const g_status s = g->status.load(memory_order_acquire);
            if (s == g_status::idle || s == g_status::dead || g == current_g()) return;
            if (at->printed == most_goroutines) {
                ++at->omitted;
                return;
            }
            ++at->printed;
            print_goroutine(g, at->fd);
        },
        &w);
    if (w.omitted != 0) {
        message line;
        line << "... and " << w.omitted << " more goroutines, not shown\n";
        line.write_to(fd);
    }
}

}  // namespace vole
