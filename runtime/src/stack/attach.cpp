// See attach.hpp. A slot of the default size needs no memory before the first run, since the arena
// has promised one for each G; everything else is taken in go(), so that its lack shows there.
//
// Locks: arena, inside. Stack: any but the one that is attached or detached.
#include "runtime/src/stack/attach.hpp"

#include "runtime/internal/fatal.hpp"
#include "runtime/src/panic/goexit.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/adapt.hpp"
#include "runtime/src/stack/segment.hpp"
#include "runtime/src/stack/verify.hpp"

namespace vole::inline v0::detail {

namespace {

bool is_reserved(const G* g) noexcept {
    return g->policy == static_cast<unsigned>(stack_policy::kind::reserved);
}

segment_kind kind_of(const G* g) noexcept {
    if (g->stack_size == slot_bytes && is_reserved(g)) return segment_kind::slot;
    const bool copying = g->policy == static_cast<unsigned>(stack_policy::kind::copying);
    if (is_reserved(g) || g->stack_size > kind_bytes[slab_kinds - 1] || !has_small_segments ||
        (copying && keeps_abandoned_stacks())) {
        return segment_kind::mapped;
    }
    return kind_for(g->stack_size);
}

// Mapped ones come in whole pages, with guard pages and red zone beside what was asked for.
std::size_t mapped_bytes(const G* g) noexcept {
    if (is_reserved(g)) return g->stack_size;
    return (g->stack_size + guard_bytes + red_zone_bytes + 4095) & ~std::size_t{4095};
}

void check_canary(const G* g, const stack_segment* s) noexcept {
    if (canary_is_intact(s)) return;
    message text;
    text << "vole: goroutine " << g->id << " has overrun its stack of " << g->stack_size
         << " bytes (found out when it ended: no guard pages could be had)";
    fatal("stack overflow", text.c_str());
}

}  // namespace

bool promise_stack(P* p, G* g, stack_policy policy) noexcept {
    g->policy = static_cast<unsigned>(policy.which()) & 3u;
    g->stack_size = static_cast<std::uint32_t>(policy.size());
    g->stack = nullptr;
    g->stack_guard = nullptr;
    const segment_kind kind = kind_of(g);
    if (kind == segment_kind::slot) [[likely]]
        return true;
    // Until the first run, stack_guard holds the memory.
    g->stack_guard =
        kind == segment_kind::mapped ? map_memory(mapped_bytes(g)) : take_memory(p, kind);
    return g->stack_guard != nullptr;
}

void drop_promise(P* p, G* g) noexcept {
    if (g->stack_guard == nullptr) return;
    const segment_kind kind = kind_of(g);
    if (kind == segment_kind::mapped) {
        unmap_memory(g->stack_guard, mapped_bytes(g));
    } else {
        give_memory(p, g->stack_guard, kind);
    }
    g->stack_guard = nullptr;
}

namespace {

// Exchanges the promised memory for what the goroutine's place has been found to need.
std::uint8_t adapt_start(P* p, G* g) noexcept {
    const segment_kind asked = kind_of(g);
    if (!is_small(asked)) return 0;
    const start_choice choice = choose_start(g->closure->invoke, asked);
    if (choice.kind == asked) return choice.probe ? VOLE_SEG_PROBE : 0;
    char* lo = take_memory(p, choice.kind);
    if (lo == nullptr) return 0;
    give_memory(p, g->stack_guard, asked);
    g->stack_guard = lo;
    g->stack_size = static_cast<std::uint32_t>(kind_bytes[static_cast<std::size_t>(choice.kind)]);
    return choice.probe ? VOLE_SEG_PROBE : 0;
}

}  // namespace

void attach_stack(P* p, G* g) noexcept {
    const std::uint8_t trial = is_reserved(g) ? std::uint8_t{0} : adapt_start(p, g);
    const segment_kind kind = kind_of(g);
    char* lo = g->stack_guard;
    std::size_t bytes = slot_bytes;
    if (kind == segment_kind::slot) [[likely]] {
        lo = take_memory(p, kind);
        if (lo == nullptr) fatal("out of memory (stack)", "stack promised to a goroutine");
    } else {
        bytes = kind == segment_kind::mapped ? mapped_bytes(g)
                                             : kind_bytes[static_cast<std::size_t>(kind)];
    }
    stack_segment* s = make_segment(lo, bytes, kind);
    s->flags |= static_cast<std::uint8_t>(trial | static_cast<unsigned>(kind) << 4);
    if (g->policy == static_cast<unsigned>(stack_policy::kind::dense)) {
        s->flags |= VOLE_SEG_BORROWS;
    }
    g->stack = s;
    g->stack_guard = s->guard;
    tell_new_stack(g);
    g->sched = arch::this_port::make_context(s->hi() - goexit_bytes, g);
}

void detach_stack(P* p, G* g) noexcept {
    tell_dead_stack(g);
    stack_segment* s = g->stack;
    if (!is_reserved(g)) [[unlikely]] {
        const auto start = static_cast<segment_kind>(s->flags >> 4 & 7);
        if (is_small(start)) {
            learn_from(g->closure->invoke, start, (s->flags & VOLE_SEG_PROBE) != 0,
                       (s->flags & VOLE_SEG_GREW) != 0);
        }
    }
    if (s->next != nullptr || s->dynamic != nullptr) [[unlikely]]
        free_newer(p, s);
    if ((s->flags & VOLE_SEG_CANARY) != 0) [[unlikely]]
        check_canary(g, s);
    if (s->kind == segment_kind::mapped) [[unlikely]] {
        unmap_memory(s->lo, s->bytes);
    } else {
        give_memory(p, s->lo, s->kind);
    }
    g->stack = nullptr;
    g->stack_guard = nullptr;
    g->sched.sp = nullptr;
}

}  // namespace vole::detail
