// Moving a goroutine's stack: policy copying. README.md in this folder walks through one move.
//
// Sound only for code whose owner says so (stack_policy::copying): nothing outside the stack may
// hold an address of it. What the runtime itself holds is adjusted precisely; the words on the stack
// and the saved registers conservatively: a word w with lo <= w < hi of the old stack is taken for
// an address and moves along (STK-31, STK-32). hi itself, one past the end, is not: nothing but the
// header lies there.
//
// Lock: arena's, inside. Stack: g0, since the goroutine's own is being replaced.
#include "runtime/src/stack/copy.hpp"

#include "runtime/internal/futex.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/dynamic.hpp"
#include "runtime/src/stack/grow.hpp"
#include "runtime/src/stack/narrate.hpp"
#include "runtime/src/stack/verify.hpp"

namespace vole::inline v0::detail {

namespace {

// Copies [in, end) to out (which may be the same place); how many words were addresses.
std::size_t copy_adjusted(const stack_move& mv, const std::uint64_t* in, const std::uint64_t* end,
                          std::uint64_t* out) noexcept {
    std::size_t changed = 0;
    for (; in != end; ++in, ++out) {
        const bool address = *in - mv.lo < mv.hi - mv.lo;
        *out = address ? *in + mv.distance : *in;
        changed += address;
    }
    return changed;
}

}  // namespace

std::size_t copy_words(const stack_move& mv, const char* from) noexcept {
    const auto* in = reinterpret_cast<const std::uint64_t*>(from);
    const auto* end = reinterpret_cast<const std::uint64_t*>(mv.hi);
    auto* out = reinterpret_cast<std::uint64_t*>(mv.moved(const_cast<char*>(from)));
    std::size_t changed = copy_adjusted(mv, in, end, out);
    const auto* header = reinterpret_cast<const stack_segment*>(mv.hi);
    for (dynamic_block* b = header->dynamic; b != nullptr; b = b->next) {
        auto* words = reinterpret_cast<std::uint64_t*>(b + 1);
        changed +=
            copy_adjusted(mv, words, words + (b->bytes - sizeof(*b)) / sizeof(*words), words);
    }
    return changed;
}

void move_dynamic(const stack_move& mv, stack_segment* from, stack_segment* to) noexcept {
    to->dynamic = from->dynamic;
    from->dynamic = nullptr;
    for (dynamic_block* b = to->dynamic; b != nullptr; b = b->next) b->owner = mv.moved(b->owner);
}

stack_segment* new_copying_stack(P* p, std::size_t bytes) noexcept {
    const bool arena = bytes <= kind_bytes[static_cast<std::size_t>(segment_kind::kib64)] &&
                       has_small_segments && !keeps_abandoned_stacks();
    // A mapping below this (one that shrinks) has no room left above its red zone.
    constexpr std::size_t least_mapped = guard_bytes + red_zone_bytes + kind_bytes[0];
    if (!arena && bytes < least_mapped) return nullptr;
    const segment_kind kind = arena ? kind_for(bytes) : segment_kind::mapped;
    char* lo = arena ? take_memory(p, kind) : map_memory(bytes);
    return lo != nullptr ? make_segment(lo, bytes, kind) : nullptr;
}

stack_move move_between(const stack_segment* old, const stack_segment* fresh) noexcept {
    const auto hi = reinterpret_cast<std::uintptr_t>(old->hi());
    return {reinterpret_cast<std::uintptr_t>(old->lo), hi,
            reinterpret_cast<std::uintptr_t>(fresh->hi()) - hi, nullptr};
}

void leave_old_stack(P* p, G* g, stack_segment* old, stack_segment* fresh) noexcept {
    // goexit's exception lies on the stack (goexit.hpp); a catch block that holds it right now has
    // handed its address to the C++ runtime.
    const stack_move mv = move_between(old, fresh);
    if (mv.leaves(g->frames)) g->frames = mv.moved(g->frames);
    if (mv.leaves(g->eh_caught)) g->eh_caught = mv.moved(g->eh_caught);
    if (M* m = current_m(); m != nullptr && m->curg == g && mv.leaves(m->eh->caught)) {
        m->eh->caught = mv.moved(m->eh->caught);
    }
    free_newer(p, old);
    if (keeps_abandoned_stacks()) {
        abandon_stack(g, old, fresh);
    } else {
        free_segment(p, old);
    }
}

stack_segment* copy_stack(G* g, growth* at, std::size_t bytes) noexcept {
    const std::int64_t start = narrating() ? nanotime() : 0;
    stack_segment* old = g->stack;
    P* p = current_m()->p;
    stack_segment* fresh = new_copying_stack(p, bytes);
    if (fresh == nullptr) return nullptr;
    const char* low = reinterpret_cast<const char*>(at);
    const stack_move mv = move_between(old, fresh);
    at->kind = VOLE_GROWTH_COPIED;
    const std::size_t changed = copy_words(mv, low);
    move_dynamic(mv, old, fresh);
    fresh->copies = static_cast<std::uint16_t>(old->copies + 1);
    fresh->flags = old->flags;
    g->stack = fresh;
    g->stack_guard = fresh->guard;
    g->stack_size = static_cast<std::uint32_t>(bytes);
    narrate_copy(g, {at, old, fresh, changed, start});
    leave_old_stack(p, g, old, fresh);
    return fresh;
}

}  // namespace vole::detail
