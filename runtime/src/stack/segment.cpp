// See segment.hpp. Each kind has an arena; each P keeps a few of each, each M a list of spare 64 KiB
// segments that assembly pops. Mapped ones are kept up to kept_bytes in all.
//
// Locks: arena (one arena's, or that of the kept mappings), never two. Stack: any.
#include "runtime/src/stack/segment.hpp"

#include <bit>

#include "runtime/internal/deep.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/arena.hpp"
#include "runtime/src/stack/dynamic.hpp"

namespace vole::inline v0::detail {

// What assembly believes.
static_assert(offsetof(M, curg) == VOLE_M_CURG);
static_assert(offsetof(M, g0_top) == VOLE_M_G0_TOP);
static_assert(offsetof(M, spare) == VOLE_M_SPARE);
static_assert(offsetof(M, spare_count) == VOLE_M_SPARE_COUNT);
static_assert(offsetof(G, stack) == VOLE_G_STACK);
static_assert(offsetof(G, stack_guard) == VOLE_G_STACK_GUARD);
static_assert(offsetof(stack_segment, prev) == VOLE_SEG_PREV);
static_assert(offsetof(stack_segment, next) == VOLE_SEG_NEXT);
static_assert(offsetof(stack_segment, guard) == VOLE_SEG_GUARD);
static_assert(offsetof(stack_segment, foreign_guard) == VOLE_SEG_FOREIGN_GUARD);
static_assert(offsetof(stack_segment, lo) == VOLE_SEG_LO);
static_assert(offsetof(stack_segment, entry_sp) == VOLE_SEG_ENTRY_SP);
static_assert(offsetof(stack_segment, dynamic) == VOLE_SEG_DYNAMIC);
static_assert(offsetof(stack_segment, flags) == VOLE_SEG_FLAGS);

namespace {

constinit stack_arena arenas[arena_kinds] = {
    {2048, 0},
    {4096, 0},
    {8192, 0},
    {16384, 0},
    {32768, 0},
    {65536, spare_guard_bytes},
    {slot_bytes, guard_bytes},
};

stack_arena& arena_of(segment_kind k) noexcept { return arenas[static_cast<std::size_t>(k)]; }

// Mappings that were freed, by the power of two that is their size. The list runs through their
// headers: those pages have been touched.
constexpr std::size_t kept_bytes = std::size_t{64} << 20;
constexpr int least_kept_log = 17;
constexpr int kept_logs = 31 - least_kept_log;

struct kept_mappings {
    lock mu{lock_rank::arena};
    stack_segment* head[kept_logs] VOLE_GUARDED_BY(mu) = {};
    std::size_t bytes VOLE_GUARDED_BY(mu) = 0;
    bool used VOLE_GUARDED_BY(mu) = false;  // since the last trim
};
constinit kept_mappings kept;

int kept_slot(std::size_t bytes) noexcept {
    const int log = static_cast<int>(std::bit_width(bytes)) - 1;
    if (!std::has_single_bit(bytes) || log < least_kept_log || log - least_kept_log >= kept_logs) {
        return -1;
    }
    return log - least_kept_log;
}

}  // namespace

segment_kind kind_for(std::size_t bytes) noexcept {
    for (std::size_t k = 0; k < static_cast<std::size_t>(segment_kind::kib64); ++k) {
        if (bytes <= kind_bytes[k]) return static_cast<segment_kind>(k);
    }
    return segment_kind::kib64;
}

stack_segment* make_segment(char* lo, std::size_t bytes, segment_kind kind) noexcept {
    std::size_t color = 0;
    // The tops of all slots fall on the same cache sets: spread them a little.
    if (kind == segment_kind::slot)
        color = reinterpret_cast<std::uintptr_t>(lo) / slot_bytes % 4 * 192;
    auto* s = reinterpret_cast<stack_segment*>(lo + bytes - sizeof(stack_segment) - color);
    std::size_t guard = small_red_zone_bytes;
    if (!is_small(kind)) {
        guard = red_zone_bytes + (kind == segment_kind::kib64 ? spare_guard_bytes : guard_bytes);
    }
    s->prev = nullptr;
    s->next = nullptr;
    s->guard = lo + guard;
    // A small one never has room for a foreign callee.
    s->foreign_guard = is_small(kind) ? s->hi() : s->guard;
    s->lo = lo;
    s->entry_sp = nullptr;  // and with it coro
    s->dynamic = nullptr;
    s->bytes = static_cast<std::uint32_t>(bytes);
    s->kind = kind;
    s->flags = 0;
    s->copies = 0;
    if (kind == segment_kind::slot && !stacks_have_guards()) [[unlikely]] {
        s->flags = VOLE_SEG_CANARY;
        *canary_of(s) = canary_word;
    }
    return s;
}

namespace {
std::uint32_t take_or_grow(stack_arena& from, char** out, std::uint32_t n) noexcept {
    for (;;) {
        if (const std::uint32_t got = from.take(out, n); got != 0) return got;
        if (!from.grow()) return 0;
    }
}
}  // namespace

char* take_memory(P* p, segment_kind kind) noexcept {
    stack_arena& from = arena_of(kind);
    if (p == nullptr) {
        char* lo = nullptr;
        std::uint32_t got = 0;
        deep([&] { got = take_or_grow(from, &lo, 1); });
        return got != 0 ? lo : nullptr;
    }
    slot_cache& cache = p->stacks[static_cast<std::size_t>(kind)];
    if (cache.count == 0) [[unlikely]] {
        deep([&] { cache.count = take_or_grow(from, cache.slots, slot_cache::limit / 2); });
        if (cache.count == 0) return nullptr;
    }
    return cache.slots[--cache.count];
}

void give_memory(P* p, char* lo, segment_kind kind) noexcept {
    if (p == nullptr) {
        arena_of(kind).give(&lo, 1);
        return;
    }
    slot_cache& cache = p->stacks[static_cast<std::size_t>(kind)];
    if (cache.count == slot_cache::limit) [[unlikely]] {
        cache.count /= 2;
        deep([&] { arena_of(kind).give(cache.slots + cache.count, slot_cache::limit / 2); });
    }
    cache.slots[cache.count++] = lo;
}

void drain_stack_caches(P* p) noexcept {
    for (std::size_t k = 0; k < arena_kinds; ++k) {
        slot_cache& cache = p->stacks[k];
        if (cache.count != 0) arenas[k].give(cache.slots, cache.count);
        cache.count = 0;
    }
}

char* map_memory(std::size_t bytes) noexcept {
    if (const int i = kept_slot(bytes); i >= 0) {
        lock_guard held(kept.mu);
        kept.used = true;
        if (stack_segment* s = kept.head[i]; s != nullptr) {
            kept.head[i] = s->next;
            kept.bytes -= bytes;
            return s->lo;
        }
    }
    return arena_of(segment_kind::slot).map_custom(bytes);
}

void unmap_memory(char* lo, std::size_t bytes) noexcept {
    if (const int i = kept_slot(bytes); i >= 0) {
        lock_guard held(kept.mu);
        if (kept.bytes + bytes <= kept_bytes) {
            stack_segment* s = make_segment(lo, bytes, segment_kind::mapped);
            s->next = kept.head[i];
            kept.head[i] = s;
            kept.bytes += bytes;
            return;
        }
    }
    unmap_for_good(lo, bytes);
}

void unmap_for_good(char* lo, std::size_t bytes) noexcept {
    arena_of(segment_kind::slot).unmap_custom(lo, bytes);
}

void free_segment(P* p, stack_segment* s) noexcept {
    if (s->dynamic != nullptr) [[unlikely]]
        free_dynamic(s);
    if (s->kind == segment_kind::mapped) {
        unmap_memory(s->lo, s->bytes);
    } else {
        give_memory(p, s->lo, s->kind);
    }
}

void free_newer_segments(P* p, stack_segment* s) noexcept {
    for (stack_segment* n = s->next; n != nullptr;) {
        stack_segment* after = n->next;
        free_segment(p, n);
        n = after;
    }
    s->next = nullptr;
}

void free_newer(P* p, stack_segment* s) noexcept {
    if (s->next != nullptr) [[unlikely]]
        free_newer_segments(p, s);
    if (s->dynamic != nullptr) [[unlikely]]
        free_dynamic(s);
}

bool refill_spare(M* m) noexcept {
    for (int i = 0; i < 4; ++i) {
        char* lo = take_memory(m->p, segment_kind::kib64);
        if (lo == nullptr) return i != 0;
        stack_segment* s = make_segment(
            lo, kind_bytes[static_cast<std::size_t>(segment_kind::kib64)], segment_kind::kib64);
        s->flags = VOLE_SEG_SPARE;
        s->next = m->spare;
        m->spare = s;
        ++m->spare_count;
    }
    return true;
}

void trim_spare(M* m, std::uint32_t keep) noexcept {
    while (m->spare_count > keep) {
        stack_segment* s = m->spare;
        m->spare = s->next;
        --m->spare_count;
        free_segment(m->p, s);
    }
}

bool trim_stacks() noexcept {
    bool more = false;
    for (stack_arena& a : arenas) more |= a.trim();
    stack_segment* idle[kept_logs] = {};
    {
        lock_guard held(kept.mu);
        if (!kept.used && kept.bytes != 0) {
            for (int i = 0; i < kept_logs; ++i) {
                idle[i] = kept.head[i];
                kept.head[i] = nullptr;
            }
            kept.bytes = 0;
        }
        kept.used = false;
        more |= kept.bytes != 0;
    }
    for (stack_segment* s : idle) {
        while (s != nullptr) {
            stack_segment* after = s->next;
            arena_of(segment_kind::slot).unmap_custom(s->lo, s->bytes);
            s = after;
        }
    }
    return more;
}

bool promise_slots(std::uint64_t slots) noexcept {
    return arena_of(segment_kind::slot).ensure(slots);
}

bool stacks_have_guards() noexcept {
    return arena_of(segment_kind::slot).guards() != guard_kind::canary;
}

stack_totals read_stack_totals() noexcept {
    stack_totals t{};
    for (const stack_arena& a : arenas) {
        t.bytes_reserved += a.reserved_bytes();
        t.bytes_in_use += a.in_use() * a.slot_size() + a.custom_bytes();
    }
    t.slots = arena_of(segment_kind::slot).committed();
    t.slots_in_use = arena_of(segment_kind::slot).in_use();
    return t;
}

}  // namespace vole::detail
