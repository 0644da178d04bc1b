// Bubbles, as far as the scheduler knows them: goroutines that are counted, so that it can be told when none
// of them can go on without help. What happens then is the time library's business (time/README.md).
//
// A goroutine of a bubble counts as running unless it waits *durably*: for something that only its own
// bubble can do. It is counted down once it is completely parked, after its commit, and counted up by whoever
// readies it, before it is queued; in between, it may have been readied already, and counts twice. So the
// count is never too low, and whoever brings it to zero knows that nothing of the bubble runs, is about to
// run, or can be woken but by the bubble's driver: a goroutine that is parked at that moment, and that is
// readied.
//
// What a goroutine belongs to lies in its tags, which it shares with those it starts; a goroutine without a
// name or labels, outside of all bubbles, has none, and pays a branch.
//
// Memory order: `running` is changed with acq_rel: what a goroutine did before it waited or ended is seen by
// the driver that finds zero, and by those it readies (SYN-21).
//
// Stack: as noted. Locks: none.
#pragma once

#include <cstdint>
#include <string_view>

#include <vole/detail/atomic.hpp>
#include <vole/detail/bubble_id.hpp>

#include "runtime/internal/g.hpp"
#include "runtime/internal/m.hpp"

namespace vole::inline v0::detail {

class explorer;
struct g_tags;
struct label_node;

struct bubble {
    std::uint32_t id = 0;  // never 0; what belongs to it keeps the number, not the pointer
    atomic<std::int64_t> running{0};
    atomic<std::int64_t> total{0};  // goroutines, the driver not among them
    G* driver = nullptr;
    g_tags* driver_tags = nullptr;  // its own, meanwhile
    atomic<std::int64_t> now{0};    // virtual, nanoseconds
    atomic<std::uint64_t> random{1};
    explorer* how = nullptr;  // who decides which goroutine runs: explore.hpp
};

/// What goroutines have in common with those they start. Immutable, reference-counted.
struct g_tags {
    atomic<std::uint32_t> refs{1};
    std::uint32_t bubble_id = 0;  // in->id, or 0
    bubble* in = nullptr;
    const char* name = nullptr;    // not inherited; short_name, or memory that is never freed
    label_node* labels = nullptr;  // a reference: labels.hpp
    union {
        char short_name[40] = {};
        g_tags* next_free;
    };
};

/// Null: no memory. Any stack.
g_tags* make_tags(std::string_view name, bubble* in, label_node* labels) noexcept;
inline void retain_tags(g_tags* t) noexcept { t->refs.fetch_add(1, memory_order_relaxed); }
void release_tags(g_tags* t) noexcept;

inline const char* name_of(const G* g) noexcept {
    return g->tags != nullptr ? g->tags->name : nullptr;
}
inline bubble* bubble_of(const G* g) noexcept { return g->tags != nullptr ? g->tags->in : nullptr; }

bubble* find_bubble() noexcept;
/// The caller's, or null. Any stack.
inline bubble* current_bubble() noexcept {
    if (bubbles.load(memory_order_relaxed) == 0) [[likely]]
        return nullptr;
    return find_bubble();
}

/// The next number of its source.
std::uint64_t bubble_random(bubble* b) noexcept;

/// Counts something in or out that keeps the bubble active. Goroutine, or any stack inside the runtime.
inline void bubble_enter(bubble* b) noexcept { b->running.fetch_add(1, memory_order_acq_rel); }
void bubble_leave(bubble* b) noexcept;

/// Parks the driver until nothing of its bubble runs. Goroutine: the driver, which counts as running.
void bubble_wait_idle(bubble* b, wait_reason reason);

/// A bubble begins: b->driver is the caller, which counts as running. Sets id. False: no memory.
bool bubble_begin(bubble* b) noexcept;
/// The caller leaves; without others, the bubble is gone.
void bubble_end(bubble* b) noexcept;

/// The goroutines of a bubble, as write_traceback().
void write_bubble_traceback(int fd, std::uint32_t id) noexcept;

/// ready() of a goroutine with tags; park() of one that waits durably.
void bubble_ready(G* g) noexcept;
struct durable_park {
    park_commit commit;
    void* arg;
};
void commit_durably(G* g, void* park) noexcept;

}  // namespace vole::detail
