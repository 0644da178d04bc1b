// See gather.hpp.
#include "runtime/src/trace/gather.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include <vole/runtime.hpp>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/stack/reclaim.hpp"

namespace vole::inline v0::detail {

namespace {

// The caller must not hold a P.
class stopped_world {
  public:
    stopped_world() noexcept { stop_the_world(); }
    ~stopped_world() { start_the_world(sched.procs.load(memory_order_relaxed)); }
    stopped_world(const stopped_world&) = delete;
    stopped_world& operator=(const stopped_world&) = delete;
};

// Goroutines, and thus something that can be stopped.
bool any_goroutine_ever() noexcept { return g_slabs.load(memory_order_acquire) != nullptr; }

bool has(std::span<const std::uint64_t> known, std::uint64_t id) noexcept {
    return std::binary_search(known.begin(), known.end(), id);
}

}  // namespace

std::vector<std::uint64_t> existing_goroutines() {
    std::vector<std::uint64_t> ids;
    // Other threads run: an id may be that of the next user of a G.
    for_each_g(
        [](G* g, void* p) VOLE_NO_TSAN {
            if (!exists(g)) return;
            const std::uint64_t id = g->id;
            static_cast<std::vector<std::uint64_t>*>(p)->push_back(id);
        },
        &ids);
    std::sort(ids.begin(), ids.end());
    return ids;
}

bool any_other_than(const std::vector<std::uint64_t>& known) noexcept {
    struct search {
        const std::vector<std::uint64_t>& known;
        bool found;
    } s{known, false};
    for_each_g(
        [](G* g, void* p) VOLE_NO_TSAN {
            auto* at = static_cast<search*>(p);
            if (!at->found && exists(g)) at->found = !has(at->known, g->id);
        },
        &s);
    return s.found;
}

gathering::gathering(std::span<const std::uint64_t> known) : known_(known) {
    if (!any_goroutine_ever()) return;
    look_at_all();
    if (memory_ == nullptr) throw std::bad_alloc();
}

gathering::~gathering() { release(); }

void gathering::release() noexcept {
    if (memory_ != nullptr) os::munmap(memory_, bytes_);
    memory_ = nullptr;
}

template <class F>
void gathering::each_unknown(F f) noexcept {
    struct call {
        gathering* self;
        F& f;
    } c{this, f};
    for_each_g(
        [](G* g, void* p) VOLE_NO_TSAN {
            auto* at = static_cast<call*>(p);
            if (!exists(g)) return;
            const look l(g);
            if (!l.exists() || l.self || g->id >= at->self->first_new_) return;
            if (!has(at->self->known_, g->id)) at->f(g, l);
        },
        &c);
}

// Twice over all, since nothing may be allocated that could ask for more in between. A thread without a P that
// was about to start a goroutine when the world was stopped may do so between the two; it takes the ids of
// all further ones from sched.next_id, so this cannot go on.
void gathering::look_at_all() noexcept {
    const blocking_scope without_p;
    const stopped_world stopped;
    first_new_ = sched.next_id.load(memory_order_acquire);
    do {
        std::size_t goroutines = 0;
        std::size_t name_bytes = 0;
        each_unknown([&](G* g, const look&) VOLE_NO_TSAN {
            ++goroutines;
            if (name_of(g) != nullptr) name_bytes += std::strlen(name_of(g)) + 1;
        });
        if (!make_room(goroutines, name_bytes)) return;
        each_unknown([this](G* g, const look& l) { add(g, l); });
    } while (came_in_between_);
}

bool gathering::make_room(std::size_t goroutines, std::size_t name_bytes) noexcept {
    release();
    came_in_between_ = false;
    count_ = walked_count_ = 0;
    room_ = goroutines;
    name_room_ = name_bytes;
    const std::size_t walks = std::min(goroutines, most_walked);
    const std::size_t list_bytes = goroutines * sizeof(seen_goroutine);
    const std::size_t walk_bytes = walks * sizeof(frame_list);
    const std::size_t counter_bytes = kinds * sizeof(std::uint16_t);
    bytes_ = list_bytes + walk_bytes + counter_bytes + name_bytes;
    void* memory = os::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    memory_ = static_cast<char*>(memory);
    goroutines_ = reinterpret_cast<seen_goroutine*>(memory_);
    walked_ = reinterpret_cast<frame_list*>(memory_ + list_bytes);
    walked_of_kind_ = reinterpret_cast<std::uint16_t*>(memory_ + list_bytes + walk_bytes);
    names_ = memory_ + list_bytes + walk_bytes + counter_bytes;
    return true;
}

VOLE_NO_TSAN void gathering::add(G* g, const look& l) noexcept {
    const std::size_t name_bytes = name_of(g) != nullptr ? std::strlen(name_of(g)) + 1 : 0;
    came_in_between_ |= count_ == room_ || name_bytes > name_room_;
    if (came_in_between_) return;
    auto* one = ::new (goroutines_ + count_++)
        seen_goroutine{g->id,   g->parent_id,     reinterpret_cast<std::uintptr_t>(g->created_at),
                       l.state, l.minutes(),      "",
                       nullptr, no_frames_text(l)};
    if (name_bytes != 0) one->name = copy_name(name_of(g), name_bytes);
    if (!l.walkable()) return;
    if (!is_worth_a_walk(*one)) {
        one->no_frames = "\tstack not looked at: there are too many like this\n";
        return;
    }
    auto* frames = ::new (walked_ + walked_count_++) frame_list;
    const stack_hold hold(g);
    walk(l, 0, *frames);
    one->frames = frames;
}

const char* gathering::copy_name(const char* name, std::size_t bytes) noexcept {
    char* copy = names_;
    std::memcpy(copy, name, bytes);
    names_ += bytes;
    name_room_ -= bytes;
    return copy;
}

// Two kinds may share a counter.
bool gathering::is_worth_a_walk(const seen_goroutine& one) noexcept {
    const auto kind = one.created_at ^ static_cast<std::uintptr_t>(one.state.status) << 56 ^
                      static_cast<std::uintptr_t>(one.state.reason) << 48;
    std::uint16_t& walked = walked_of_kind_[(kind * 0x9e3779b97f4a7c15) >> 52 & (kinds - 1)];
    if (walked == most_walked_of_a_kind || walked_count_ == std::min(room_, most_walked))
        return false;
    ++walked;
    return true;
}

}  // namespace vole::detail
