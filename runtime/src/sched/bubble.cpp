// See bubble.hpp.
#include "runtime/internal/bubble.hpp"

#include <cstddef>
#include <cstring>
#include <new>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/labels.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/src/os/permanent.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

constinit atomic<std::uint32_t> bubbles{0};

// ---- tags -------------------------------------------------------------------------------------

namespace {

// Tags are never given back, only used again, as Gs are: a traceback may read them while their goroutine ends. Nor are
// names that are too long to lie in them. Whoever reads one that is being used again sees a mixture, but an end: the last
// byte of its memory is always NUL.
constinit lock tags_mu{lock_rank::gslab};
constinit g_tags* free_tags VOLE_GUARDED_BY(tags_mu) = nullptr;

g_tags* take_tags() noexcept {
    {
        const runtime_pin pin;
        const lock_guard held(tags_mu);
        if (g_tags* t = free_tags; t != nullptr) {
            free_tags = t->next_free;
            return t;
        }
    }
    void* memory = permanent_alloc(sizeof(g_tags), alignof(g_tags));
    return memory != nullptr ? ::new (memory) g_tags : nullptr;
}

struct long_name {
    long_name* next_free;
    std::uint32_t kind;
    char text[1];  // and more: bytes_of(kind)
};
constexpr std::uint32_t name_kinds = 9;
constexpr std::size_t bytes_of(std::uint32_t kind) noexcept { return std::size_t{256} << 2 * kind; }

constinit lock names_mu{lock_rank::gslab};
constinit long_name* free_names[name_kinds] VOLE_GUARDED_BY(names_mu) = {};

// Of so many bytes and a NUL. Null: no memory, or more than there is a kind for: 16 MiB.
char* take_name(std::size_t bytes) noexcept {
    std::uint32_t kind = 0;
    while (kind < name_kinds && bytes_of(kind) <= bytes) ++kind;
    if (kind == name_kinds) return nullptr;
    {
        const runtime_pin pin;
        const lock_guard held(names_mu);
        if (long_name* n = free_names[kind]; n != nullptr) {
            free_names[kind] = n->next_free;
            return n->text;
        }
    }
    void* memory = permanent_alloc(sizeof(long_name) + bytes_of(kind), alignof(long_name));
    if (memory == nullptr) return nullptr;
    auto* n = ::new (memory) long_name{nullptr, kind, {}};
    return n->text;
}

void give_name_back(const char* text) noexcept {
    auto* n = reinterpret_cast<long_name*>(const_cast<char*>(text) - offsetof(long_name, text));
    const runtime_pin pin;
    const lock_guard held(names_mu);
    n->next_free = free_names[n->kind];
    free_names[n->kind] = n;
}

void give_tags_back(g_tags* t) noexcept {
    if (t->name != nullptr && t->name != t->short_name) give_name_back(t->name);
    t->name = nullptr;
    t->in = nullptr;
    t->bubble_id = 0;
    release_labels(t->labels);
    t->labels = nullptr;
    const runtime_pin pin;
    const lock_guard held(tags_mu);
    t->next_free = free_tags;
    free_tags = t;
}

}  // namespace

g_tags* make_tags(std::string_view name, bubble* in, label_node* labels) noexcept {
    g_tags* t = take_tags();
    if (t == nullptr) return nullptr;
    t->refs.store(1, memory_order_relaxed);
    t->in = in;
    t->bubble_id = in != nullptr ? in->id : 0;
    t->labels = retain_labels(labels);
    if (name.empty()) return t;
    char* copy = t->short_name;
    if (name.size() >= sizeof(t->short_name)) copy = take_name(name.size());
    if (copy == nullptr) {
        give_tags_back(t);
        return nullptr;
    }
    std::memcpy(copy, name.data(), name.size());
    copy[name.size()] = '\0';
    t->name = copy;
    return t;
}

void release_tags(g_tags* t) noexcept {
    // acq_rel: whoever takes them back sees that the others have done with them.
    if (t->refs.fetch_sub(1, memory_order_acq_rel) == 1) give_tags_back(t);
}

// ---- whose ------------------------------------------------------------------------------------

// noinline, as current_g(): see m.hpp.
[[gnu::noinline]] bubble* find_bubble() noexcept {
    const G* g = current_g();
    return g != nullptr ? bubble_of(g) : nullptr;
}

std::uint32_t find_bubble_id() noexcept {
    const bubble* b = find_bubble();
    return b != nullptr ? b->id : 0;
}

std::uint64_t bubble_random(bubble* b) noexcept {
    // splitmix64: each step of the counter is a number of its own, whoever takes it.
    constexpr std::uint64_t step = 0x9e3779b97f4a7c15;
    std::uint64_t x = b->random.fetch_add(step, memory_order_relaxed) + step;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

// ---- counting ---------------------------------------------------------------------------------

void bubble_leave(bubble* b) noexcept {
    G* driver = b->driver;
    if (b->running.fetch_sub(1, memory_order_acq_rel) != 1) return;
    const runtime_pin pin;
    ready_quietly(driver);
}

void commit_durably(G* g, void* park) noexcept {
    // Both lie on g's stack, which is its own again once the commit has run.
    const durable_park p = *static_cast<const durable_park*>(park);
    bubble* b = bubble_of(g);
    p.commit(g, p.arg);
    bubble_leave(b);
}

void bubble_ready(G* g) noexcept {
    bubble* b = bubble_of(g);
    if (b == nullptr || !is_durable(g->reason) || g == b->driver) return;
    if (find_bubble() != b) fatal("semaphore wake of synctest goroutine from outside bubble");
    bubble_enter(b);
}

void bubble_wait_idle(bubble* b, wait_reason reason) {
    park(
        b->driver,
        [](G*, void* p) {
            auto* idle = static_cast<bubble*>(p);
            if (idle->how != nullptr) explore_pass(idle->how, nullptr);
            bubble_leave(idle);
        },
        b, reason);
    bubble_enter(b);
    if (b->how != nullptr) explore_take_turn(b->how);
}

// ---- life -------------------------------------------------------------------------------------

bool bubble_begin(bubble* b) noexcept {
    static constinit atomic<std::uint32_t> last{0};
    constexpr std::uint32_t ids = std::uint32_t{1} << 30;  // what a wait_group has room for
    b->id = last.fetch_add(1, memory_order_relaxed) % (ids - 1) + 1;
    const runtime_pin pin;
    G* g = running_g();
    g_tags* tags = make_tags({}, b, g->tags != nullptr ? g->tags->labels : nullptr);
    if (tags == nullptr) return false;
    b->driver = g;
    bubble_enter(b);
    bubbles.fetch_add(1, memory_order_relaxed);
    b->driver_tags = g->tags;
    g->tags = tags;
    return true;
}

void bubble_end(bubble* b) noexcept {
    const runtime_pin pin;
    G* g = running_g();
    g_tags* mine = g->tags;
    g->tags = b->driver_tags;
    release_tags(mine);
    bubbles.fetch_sub(1, memory_order_relaxed);
}

}  // namespace vole::detail
