// See gather.hpp.
#include "runtime/src/trace/gather.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include <vole/runtime.hpp>

#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/stack/reclaim.hpp"

namespace vole::inline v0::detail {

namespace {

VOLE_NO_TSAN std::uint64_t id_of(const G* g) noexcept { return g->id; }

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
    for_each_g(
        [](G* g, void* p) {
            if (exists(g)) static_cast<std::vector<std::uint64_t>*>(p)->push_back(id_of(g));
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
        [](G* g, void* p) {
            auto* at = static_cast<search*>(p);
            if (!at->found && exists(g)) at->found = !has(at->known, id_of(g));
        },
        &s);
    return s.found;
}

gathering::gathering(std::span<const std::uint64_t> known) : known_(known) {
    if (!any_goroutine_ever()) return;
    look_at_all();
    if (memory_ == nullptr) throw std::bad_alloc();
}

gathering::~gathering() {
    if (memory_ != nullptr) munmap(memory_, bytes_);
}

template <class F>
void gathering::each_unknown(F f) noexcept {
    struct call {
        gathering* self;
        F& f;
    } c{this, f};
    for_each_g(
        [](G* g, void* p) {
            auto* at = static_cast<call*>(p);
            if (!exists(g)) return;
            const look l(g);
            if (l.exists() && !l.self && !has(at->self->known_, id_of(g))) at->f(g, l);
        },
        &c);
}

// Twice over all, since nothing may be allocated that could ask for more in between.
void gathering::look_at_all() noexcept {
    const blocking_scope without_p;
    const stopped_world stopped;
    std::size_t goroutines = 0;
    std::size_t name_bytes = 0;
    each_unknown([&](G* g, const look&) VOLE_NO_TSAN {
        ++goroutines;
        if (g->name != nullptr) name_bytes += std::strlen(g->name) + 1;
    });
    if (!make_room(goroutines, name_bytes)) return;
    each_unknown([this](G* g, const look& l) { add(g, l); });
}

bool gathering::make_room(std::size_t goroutines, std::size_t name_bytes) noexcept {
    const std::size_t walks = std::min(goroutines, most_walked);
    const std::size_t list_bytes = goroutines * sizeof(seen_goroutine);
    const std::size_t walk_bytes = walks * sizeof(frame_list);
    const std::size_t counter_bytes = kinds * sizeof(std::uint16_t);
    bytes_ = list_bytes + walk_bytes + counter_bytes + name_bytes;
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    memory_ = static_cast<char*>(memory);
    goroutines_ = reinterpret_cast<seen_goroutine*>(memory_);
    walked_ = reinterpret_cast<frame_list*>(memory_ + list_bytes);
    walked_of_kind_ = reinterpret_cast<std::uint16_t*>(memory_ + list_bytes + walk_bytes);
    names_ = memory_ + list_bytes + walk_bytes + counter_bytes;
    room_ = goroutines;
    name_room_ = name_bytes;
    return true;
}

VOLE_NO_TSAN void gathering::add(G* g, const look& l) noexcept {
    if (count_ == room_) return;  // made by a thread without a P just now
    auto* one = ::new (goroutines_ + count_)
        seen_goroutine{g->id,   g->parent_id,     reinterpret_cast<std::uintptr_t>(g->created_at),
                       l.state, l.minutes(),      "",
                       nullptr, no_frames_text(l)};
    ++count_;
    if (g->name != nullptr) one->name = copy_name(g->name);
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

const char* gathering::copy_name(const char* name) noexcept {
    const std::size_t n = std::strlen(name) + 1;
    if (n > name_room_) return "";
    char* copy = names_;
    std::memcpy(copy, name, n);
    names_ += n;
    name_room_ -= n;
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
