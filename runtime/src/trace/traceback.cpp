// Tracebacks: who is where, waiting for what, in Go's format (SCHED-64, SCHED-65).
//
// Runs while other threads go on (after a fatal error nothing can be relied on), so every field is
// read as a guess: a goroutine may change under our eyes, at worst a line is out of date.
// Async-signal-safe: no lock, no malloc but for demangling, and that only where may_allocate() says so.
// Stack: any; from a goroutine's own it goes to g0, names take room.
#include <vole/runtime.hpp>

#include <sys/mman.h>

#include <new>

#include "runtime/internal/futex.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/grow.hpp"
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

VOLE_NO_TSAN std::uint32_t minutes_waiting(const G* g, g_status s) noexcept {
    if (s != g_status::waiting) return 0;
    const auto now = static_cast<std::uint32_t>(nanotime() / 1'000'000'000);
    const std::uint32_t since = g->waiting_since;
    return since != 0 && now > since ? (now - since) / 60 : 0;
}

// What a line about a goroutine says of it.
struct look {
    const G* g;
    g_status status;
    const void* frozen;
    bool self;

    explicit look(const G* goroutine) noexcept
        : g(goroutine), status(goroutine->status.load(memory_order_acquire)),
          frozen(frozen_context(goroutine, status)), self(goroutine == current_g()) {}

    VOLE_NO_TSAN bool exists() const noexcept {
        return status != g_status::idle && status != g_status::dead && !g->is_thread;
    }
    VOLE_NO_TSAN bool walkable() const noexcept {
        return self || frozen != nullptr ||
               ((status == g_status::waiting || status == g_status::runnable) &&
                g->sched.sp != nullptr);
    }
};

VOLE_NO_TSAN void print_state(text_out& out, const look& l) noexcept {
    out << state_text(l.status, l.g->reason);
    if (l.frozen != nullptr) out << ", preempted";
    if (const std::uint32_t minutes = minutes_waiting(l.g, l.status); minutes != 0) {
        out << ", " << minutes << " minutes";
    }
    if (l.g->lock_count != 0) out << ", locked to thread";
}

[[gnu::noinline]] VOLE_NO_TSAN void walk(const look& l, std::size_t skip,
                                         frame_list& frames) noexcept {
    if (l.self) {
        walk_own(skip + 1, frames);
    } else if (l.frozen != nullptr) {
        walk_interrupted(l.g, l.frozen, frames);
    } else {
        walk_suspended(l.g, frames);
    }
}

VOLE_NO_TSAN void print_goroutine(const look& l, text_out& out) noexcept {
    out << "goroutine " << l.g->id << " [";
    print_state(out, l);
    out << "]:";
    if (l.g->name != nullptr) out << " " << l.g->name;
    out << "\n";
    if (l.walkable()) {
        frame_list frames;
        walk(l, 1, frames);
        print_frames(out, frames, frames_of::anything);
    } else if (l.status == g_status::running || l.status == g_status::syscall) {
        out << "\tgoroutine running on other thread; stack unavailable\n";
    }
    print_creation(out, reinterpret_cast<std::uintptr_t>(l.g->created_at), l.g->parent_id);
    out << "\n";
}

template <class F>
void each_other(F f) noexcept {
    for_each_g(
        [](G* g, void* p) {
            const look l(g);
            if (l.exists() && !l.self) (*static_cast<F*>(p))(l);
        },
        &f);
}

// ---- the profile ------------------------------------------------------------------------------

// Goroutines that are in the same state, at the same place, by the same calls, and were created at one.
struct group {
    static constexpr std::size_t most_frames = 64;
    static constexpr std::size_t shown_ids = 5;

    g_status status;
    wait_reason reason;
    const void* created_at;
    std::uint64_t hash;
    std::uint64_t count;
    std::uint64_t ids[shown_ids];
    std::uint32_t most_minutes;
    std::size_t frames;
    std::uintptr_t stack[most_frames];
};

// Which addresses belong to frames that are not shown: the way into the scheduler differs from one
// goroutine to the next that waits at the same place. Forgets when two share a place.
class left_out_cache {
  public:
    bool operator()(std::uintptr_t pc) noexcept {
        entry& e = entries_[(pc >> 2 ^ pc >> 11) % places];
        if (e.pc != pc) e = {pc, is_left_out(pc)};
        return e.left_out;
    }

  private:
    struct entry {
        std::uintptr_t pc;
        bool left_out;
    };
    static constexpr std::size_t places = 256;
    entry entries_[places] = {};
};

// In memory from the system: a table that is filled up to its limit, open addressing.
class profile {
  public:
    static constexpr std::size_t limit = 1024;

    profile() noexcept {
        void* memory =
            mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory != MAP_FAILED) groups_ = static_cast<group*>(memory);
    }
    ~profile() {
        if (groups_ != nullptr) munmap(groups_, bytes);
    }
    profile(const profile&) = delete;
    profile& operator=(const profile&) = delete;

    VOLE_NO_TSAN void add(const look& l) noexcept {
        group g{};
        g.status = l.status;
        g.reason = l.status == g_status::waiting ? l.g->reason : wait_reason::none;
        g.created_at = l.g->created_at;
        if (l.walkable()) {
            frame_list frames;
            walk(l, 1, frames);
            for (std::size_t i = 0; i < frames.kept() && i < group::most_frames; ++i) {
                if (!left_out_(frames[i])) g.stack[g.frames++] = frames[i];
            }
        }
        g.hash = hash_of(g);
        ++goroutines_;
        if (group* same = find(g); same != nullptr) {
            if (same->count == 0) *same = g, ++used_;
            if (same->count < group::shown_ids) same->ids[same->count] = l.g->id;
            ++same->count;
            const std::uint32_t minutes = minutes_waiting(l.g, l.status);
            if (minutes > same->most_minutes) same->most_minutes = minutes;
        } else {
            ++not_counted_;
        }
    }

    void print(text_out& out) noexcept {
        out << goroutines_ << " goroutines, " << std::uint64_t{used_} << " different stacks\n\n";
        for (const group* g = largest(); g != nullptr; g = largest()) {
            print_group(out, *g);
            const_cast<group*>(g)->count = 0;
        }
        if (not_counted_ != 0) {
            out << "... and " << not_counted_
                << " goroutines more, with stacks of their own: not shown (limit "
                << std::uint64_t{limit} << " different stacks)\n\n";
        }
    }

  private:
    static constexpr std::size_t places = 2 * limit;
    static constexpr std::size_t bytes = places * sizeof(group);

    static std::uint64_t hash_of(const group& g) noexcept {
        std::uint64_t h = 0xcbf29ce484222325;
        const auto mix = [&h](std::uint64_t x) { h = (h ^ x) * 0x9e3779b97f4a7c15, h ^= h >> 29; };
        mix(static_cast<std::uint64_t>(g.status) << 8 | static_cast<std::uint64_t>(g.reason));
        mix(reinterpret_cast<std::uintptr_t>(g.created_at));
        for (std::size_t i = 0; i < g.frames; ++i) mix(g.stack[i]);
        return h;
    }
    static bool same(const group& a, const group& b) noexcept {
        if (a.hash != b.hash || a.frames != b.frames || a.status != b.status ||
            a.reason != b.reason || a.created_at != b.created_at) {
            return false;
        }
        for (std::size_t i = 0; i < a.frames; ++i) {
            if (a.stack[i] != b.stack[i]) return false;
        }
        return true;
    }
    // Its group, or a free place for it; null: the table is full.
    group* find(const group& g) noexcept {
        if (groups_ == nullptr) return nullptr;
        for (std::size_t i = g.hash % places;; i = (i + 1) % places) {
            if (groups_[i].count == 0) return used_ < limit ? &groups_[i] : nullptr;
            if (same(groups_[i], g)) return &groups_[i];
        }
    }
    const group* largest() const noexcept {
        const group* best = nullptr;
        for (std::size_t i = 0; groups_ != nullptr && i < places; ++i) {
            if (groups_[i].count > (best != nullptr ? best->count : 0)) best = &groups_[i];
        }
        return best;
    }
    static void print_group(text_out& out, const group& g) noexcept {
        out << g.count << (g.count == 1 ? " goroutine [" : " goroutines [")
            << state_text(g.status, g.reason);
        if (g.most_minutes != 0) out << ", up to " << g.most_minutes << " minutes";
        out << "]:";
        for (std::size_t i = 0; i < g.count && i < group::shown_ids; ++i) {
            out << (i == 0 ? " " : ", ") << g.ids[i];
        }
        out << (g.count > group::shown_ids ? ", ...\n" : "\n");
        frame_list frames;
        for (std::size_t i = 0; i < g.frames; ++i) frames.add(g.stack[i]);
        print_frames(out, frames, frames_of::anything);
        print_creation(out, reinterpret_cast<std::uintptr_t>(g.created_at), 0);
        out << "\n";
    }

    group* groups_ = nullptr;
    std::size_t used_ = 0;
    std::uint64_t goroutines_ = 0;
    std::uint64_t not_counted_ = 0;
    left_out_cache left_out_;
};

void print_profile(text_out& out) noexcept {
    profile all;
    if (const G* self = current_g(); self != nullptr) all.add(look(self));
    each_other([&all](const look& l) { all.add(l); });
    all.print(out);
}

// More than that are counted instead of listed.
constexpr std::uint64_t most_listed = 200;

void write_traceback_here(int fd, traceback_scope scope) noexcept {
    fd_text text(fd, may_allocate());
    if (scope == traceback_scope::profile) {
        print_profile(text.out);
        return;
    }
    if (const G* self = current_g(); self != nullptr) print_goroutine(look(self), text.out);
    if (scope == traceback_scope::current) return;
    std::uint64_t others = 0;
    each_other([&others](const look&) { ++others; });
    if (others > most_listed) {
        text.out << "more than " << most_listed << " goroutines: equal ones counted together\n\n";
        print_profile(text.out);
        return;
    }
    each_other([&text](const look& l) { print_goroutine(l, text.out); });
}

}  // namespace

}  // namespace vole::detail

namespace vole::inline v0 {

void write_traceback(int fd, traceback_scope scope) noexcept {
    using namespace detail;
    struct call {
        int fd;
        traceback_scope scope;
    } c{fd, scope};
    const auto here = [](void* p) {
        const auto* at = static_cast<const call*>(p);
        write_traceback_here(at->fd, at->scope);
    };
    // Not out of a signal handler on a stack of its own: that one is large enough.
    const G* g = current_g();
    if (g != nullptr && is_on_stack(g, __builtin_frame_address(0))) {
        on_g0(here, &c);
    } else {
        here(&c);
    }
}

}  // namespace vole
