// Tracebacks: who is where, waiting for what, in Go's format (SCHED-64, SCHED-65).
//
// Runs while other threads go on: what is read is a guess (look.hpp).
// Async-signal-safe: no lock, no malloc but for demangling, and that only where may_allocate() says so.
// Stack: any; from a goroutine's own it goes to g0, names take room.
#include <vole/runtime.hpp>

#include <sys/mman.h>

#include <algorithm>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/labels.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/stack/grow.hpp"
#include "runtime/src/trace/look.hpp"
#include "runtime/src/trace/unwind.hpp"

namespace vole::inline v0::detail {

namespace {

void print_labels(const label_node* n, text_out& out) noexcept {
    if (n == nullptr) return;
    label_text text;
    describe_labels(n, text);
    out.put(out.to, text.text, text.length);
}

// It may be used again at any moment, and has an end at any moment: bubble.cpp.
VOLE_NO_TSAN void print_name(const volatile char* name, text_out& out) noexcept {
    char piece[64];
    for (bool more = true; more;) {
        std::size_t n = 0;
        while (n < sizeof piece && (piece[n] = *name) != '\0') ++n, ++name;
        more = n == sizeof piece;
        out.put(out.to, piece, n);
    }
}

VOLE_NO_TSAN void print_goroutine(const look& l, text_out& out) noexcept {
    out << "goroutine " << l.g->id << " [";
    print_state(out, l.state, l.minutes());
    const g_tags* tags = l.g->tags;
    if (tags != nullptr && tags->bubble_id != 0) out << ", synctest bubble " << tags->bubble_id;
    out << "]:";
    if (const char* name = tags != nullptr ? tags->name : nullptr; name != nullptr) {
        out << " ";
        print_name(name, out);
    }
    if (tags != nullptr) print_labels(tags->labels, out);
    out << "\n";
    if (l.walkable()) {
        frame_list frames;
        walk(l, 1, frames);
        print_frames(out, frames, frames_of::anything);
    } else {
        out << no_frames_text(l);
    }
    print_creation(out, reinterpret_cast<std::uintptr_t>(l.g->created_at), l.g->parent_id);
    out << "\n";
}

// ---- the profile ------------------------------------------------------------------------------

// Goroutines that are in the same state, at the same place, by the same calls, were created at one, and have equal labels.
struct group {
    static constexpr std::size_t most_frames = 64;
    static constexpr std::size_t shown_ids = 5;

    shown_state state;
    const void* created_at;
    const label_node* labels;
    std::uint64_t labels_hash;  // which stands for them: their words may change while they are read
    std::uint64_t hash;
    std::uint64_t count;
    std::uint64_t ids[shown_ids];
    std::uint32_t most_minutes;
    std::size_t frames;
    std::uintptr_t stack[most_frames];
};

// In memory from the system: a table that is filled up to its limit, open addressing.
class profile {
  public:
    static constexpr std::size_t limit = 1024;

    profile() noexcept {
        void* memory =
            os::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory != MAP_FAILED) groups_ = static_cast<group*>(memory);
    }
    ~profile() {
        if (groups_ != nullptr) os::munmap(groups_, bytes);
    }
    profile(const profile&) = delete;
    profile& operator=(const profile&) = delete;

    VOLE_NO_TSAN void add(const look& l) noexcept {
        group g{};
        g.state = l.state;
        g.created_at = l.g->created_at;
        g.labels = l.g->tags != nullptr ? l.g->tags->labels : nullptr;
        g.labels_hash = hash_labels(g.labels);
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
            same->most_minutes = std::max(same->most_minutes, l.minutes());
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
        mix(static_cast<std::uint64_t>(g.state.status) << 8 |
            static_cast<std::uint64_t>(g.state.reason));
        mix(reinterpret_cast<std::uintptr_t>(g.created_at));
        mix(g.labels_hash);
        for (std::size_t i = 0; i < g.frames; ++i) mix(g.stack[i]);
        return h;
    }
    static bool same(const group& a, const group& b) noexcept {
        if (a.hash != b.hash || a.frames != b.frames || a.state != b.state ||
            a.created_at != b.created_at || a.labels_hash != b.labels_hash) {
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
        out << g.count << (g.count == 1 ? " goroutine [" : " goroutines [");
        print_state(out, g.state, g.most_minutes, ", up to ");
        out << "]:";
        for (std::size_t i = 0; i < g.count && i < group::shown_ids; ++i) {
            out << (i == 0 ? " " : ", ") << g.ids[i];
        }
        if (g.count > group::shown_ids) out << ", ...";
        print_labels(g.labels, out);
        out << "\n";
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

template <class Wanted>
void print_profile(text_out& out, Wanted wanted) noexcept {
    profile all;
    if (const G* self = current_g(); self != nullptr && wanted(self)) all.add(look(self));
    each_other([&](const look& l) {
        if (wanted(l.g)) all.add(l);
    });
    all.print(out);
}

bool any(const G*) noexcept { return true; }

// More than that are counted instead of listed.
constexpr std::uint64_t most_listed = 200;

template <class Wanted>
void print_others(text_out& out, Wanted wanted) noexcept {
    std::uint64_t others = 0;
    each_other([&](const look& l) {
        if (wanted(l.g)) ++others;
    });
    if (others > most_listed) {
        out << "more than " << most_listed << " goroutines: equal ones counted together\n\n";
        print_profile(out, wanted);
        return;
    }
    each_other([&](const look& l) {
        if (wanted(l.g)) print_goroutine(l, out);
    });
}

void write_traceback_here(int fd, traceback_scope scope) noexcept {
    fd_text text(fd, may_allocate());
    if (scope == traceback_scope::profile) {
        print_profile(text.out, any);
        return;
    }
    if (const G* self = current_g(); self != nullptr) print_goroutine(look(self), text.out);
    if (scope == traceback_scope::all) print_others(text.out, any);
}

// noinline and volatile: a load that the compiler moves into the caller is one that TSan sees.
[[gnu::noinline]] VOLE_NO_TSAN bool is_in_bubble(const volatile G* g, std::uint32_t id) noexcept {
    const volatile g_tags* tags = g->tags;
    return tags != nullptr && tags->bubble_id == id;
}

void write_bubble_here(int fd, std::uint32_t id) noexcept {
    fd_text text(fd, may_allocate());
    const G* driver = current_g();
    print_others(text.out, [=](const G* g) { return g != driver && is_in_bubble(g, id); });
}

// Not out of a signal handler on a stack of its own: that one is large enough.
void call_with_large_stack(void (*fn)(void*), void* arg) noexcept {
    const G* g = current_g();
    if (g != nullptr && is_on_stack(g, __builtin_frame_address(0))) {
        on_g0(fn, arg);
    } else {
        fn(arg);
    }
}

}  // namespace

void write_bubble_traceback(int fd, std::uint32_t id) noexcept {
    struct call {
        int fd;
        std::uint32_t id;
    } c{fd, id};
    call_with_large_stack(
        [](void* p) {
            const auto* at = static_cast<const call*>(p);
            write_bubble_here(at->fd, at->id);
        },
        &c);
}

}  // namespace vole::detail

namespace vole::inline v0 {

void write_traceback(int fd, traceback_scope scope) noexcept {
    using namespace detail;
    struct call {
        int fd;
        traceback_scope scope;
    } c{fd, scope};
    call_with_large_stack(
        [](void* p) {
            const auto* at = static_cast<const call*>(p);
            write_traceback_here(at->fd, at->scope);
        },
        &c);
}

}  // namespace vole
