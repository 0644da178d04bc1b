// See grow.hpp; runtime/src/stack/README.md tells how a growth goes.
//
// vole_newstack is entered when assembly finds no segment that is ready for use. It decides by
// policy: a goroutine of policy copying gets a larger stack and moves; all others get a segment. The
// answer is in the goroutine (a segment linked, or the spare list filled): __morestack tries again.
//
// Locks: arena's, inside. Stack: g0 for vole_newstack; the goroutine's, deep in the unwinder, for the
// personality routine.
#include "runtime/src/stack/grow.hpp"

#include <unwind.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include <vole/runtime.hpp>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/src/os/settings.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/dynamic.hpp"
#include "runtime/src/stack/narrate.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::size_t least_mapped = 128 * 1024;
constexpr std::size_t most_doubled = std::size_t{64} << 20;  // larger ones only if a frame asks

std::size_t page_up(std::size_t n) noexcept { return (n + 4095) & ~std::size_t{4095}; }

message& name_goroutine(message& text, const G* g) noexcept {
    text << "goroutine " << g->id;
    if (name_of(g) != nullptr) text << " \"" << name_of(g) << "\"";
    return text;
}

const char* policy_text(const G* g) noexcept {
    switch (static_cast<stack_policy::kind>(g->policy)) {
        case stack_policy::kind::reserved: return "reserved";
        case stack_policy::kind::dense: return "dense";
        case stack_policy::kind::copying: return "copying";
    }
    return "unknown";
}

// Bytes of a new mapped segment behind s with room for `need`.
std::size_t mapped_size(const G* g, const stack_segment* s, std::size_t need) noexcept {
    const std::size_t whole = need + red_zone_bytes + guard_bytes + sizeof(stack_segment);
    const std::size_t doubled = std::min(std::size_t{s->bytes} * 2, most_doubled);
    std::size_t bytes = std::bit_ceil(std::max({least_mapped, doubled, whole}));
    const std::size_t now = stack_bytes(g);
    if (now + bytes > stack_limit) bytes = page_up(whole);
    if (now + bytes > stack_limit || need > stack_limit) report_stack_limit(g, now + bytes);
    return bytes;
}

void link_mapped(M* m, G* g, stack_segment* s, std::size_t need) noexcept {
    free_newer_segments(m->p, s);  // the one that was kept is too small
    const std::size_t bytes = mapped_size(g, s, need);
    char* lo = map_memory(bytes);
    if (lo == nullptr) report_no_stack_memory(g, bytes);
    stack_segment* n = make_segment(lo, bytes, segment_kind::mapped);
    n->prev = s;
    s->next = n;
}

void copy_larger(G* g, growth* at, std::size_t need) noexcept {
    const stack_segment* s = g->stack;
    const std::size_t used = static_cast<std::size_t>(s->end() - reinterpret_cast<char*>(at));
    const std::size_t whole = used + need + sizeof(stack_segment) + guard_bytes + red_zone_bytes;
    std::size_t bytes = std::size_t{s->bytes} * 2;
    // Small kinds have a small red zone; what is larger than 32 KiB carries the full one.
    while (bytes < used + need + sizeof(stack_segment) + small_red_zone_bytes ||
           (bytes > kind_bytes[slab_kinds - 1] && bytes < whole)) {
        bytes *= 2;
    }
    if (bytes > stack_limit) report_stack_limit(g, bytes);
    if (copy_stack(g, at, bytes) == nullptr) report_no_stack_memory(g, bytes);
}

// A frame of `need` bytes fits into a borrowed segment.
bool borrowable(std::size_t need) noexcept {
    return need + sizeof(stack_segment) + red_zone_bytes + spare_guard_bytes <=
           kind_bytes[static_cast<std::size_t>(segment_kind::kib64)];
}

void grow(M* m, G* g, growth* at) noexcept {
    stack_segment* s = g->stack;
    const std::size_t need = at->frame_bytes + at->argument_bytes + VOLE_GROWTH_SLACK;
    const bool foreign = at->kind == VOLE_GROWTH_FOREIGN;
    if (!foreign) s->flags |= VOLE_SEG_GREW;
    if (may_move(g) && !foreign) {
        copy_larger(g, at, need);
        return;
    }
    if ((foreign || (s->flags & VOLE_SEG_BORROWS) != 0) && borrowable(need)) {
        free_newer_segments(m->p, s);
        // A P-less or fresh M has none; from here on assembly takes them by itself.
        if (m->spare == nullptr && !refill_spare(m)) report_no_stack_memory(g, need);
        narrate_borrow(g, at);
        return;
    }
    link_mapped(m, g, s, need);
    narrate_link(g, at);
}

void count_growth(const G* g, bool copied) noexcept {
    sched.stack_growths.fetch_add(1, memory_order_relaxed);
    std::uint64_t bytes = stack_bytes(g);
    if (copied) {
        sched.stack_copies.fetch_add(1, memory_order_relaxed);
    } else if (g->stack->next != nullptr) {
        bytes += g->stack->next->bytes;
    }
    std::uint64_t seen = sched.stack_largest.load(memory_order_relaxed);
    while (seen < bytes && !sched.stack_largest.compare_exchange_weak(
                               seen, bytes, memory_order_relaxed, memory_order_relaxed)) {
    }
}

}  // namespace

std::size_t stack_bytes(const G* g) noexcept {
    std::size_t sum = 0;
    for (const stack_segment* s = g->stack; s != nullptr; s = s->prev) {
        sum += s->bytes;
        if (s->dynamic != nullptr) sum += dynamic_bytes(s);
    }
    return sum;
}

void report_stack_limit(const G* g, std::size_t wanted) noexcept {
    message text;
    text << "runtime: ";
    name_goroutine(text, g) << " stack exceeds " << std::uint64_t{stack_limit}
                            << "-byte limit (policy " << policy_text(g) << ", wanted "
                            << std::uint64_t{wanted} << ")\nruntime: stack=[";
    text.hex(reinterpret_cast<std::uintptr_t>(g->stack->lo)) << ", ";
    text.hex(reinterpret_cast<std::uintptr_t>(g->stack->end()))
        << "]\nruntime: remedy: look for a recursion without end, or move large locals to the heap";
    fatal("stack overflow", text.c_str());
}

void report_no_stack_memory(const G* g, std::size_t wanted) noexcept {
    message text;
    text << "runtime: ";
    name_goroutine(text, g) << " needs " << std::uint64_t{wanted} << " bytes more stack (policy "
                            << policy_text(g) << ", " << std::uint64_t{stack_bytes(g)}
                            << " in use) and the system has no memory or address space left";
    fatal("out of memory (stack)", text.c_str());
}

namespace {
const stack_segment* segment_with(const G* g, const void* sp) noexcept {
    const stack_segment* s = g->stack;
    while (s != nullptr && !s->contains(sp)) s = s->prev;
    return s;
}
}  // namespace

bool is_on_stack(const G* g, const void* sp) noexcept { return segment_with(g, sp) != nullptr; }

const stack_segment* segment_at(const G* g, const void* sp) noexcept {
    const stack_segment* s = segment_with(g, sp);
    return s != nullptr ? s : g->stack;
}

void on_g0(void (*fn)(void*), void* arg) noexcept {
    const runtime_pin pin;
    M* m = current_m();
    if (m == nullptr || m->curg == nullptr || m->on_system_stack) {
        fn(arg);
        return;
    }
    m->on_system_stack = true;
    arch::this_port::set_stack_guard(nullptr);
    arch::vole_systemstack(m->g0_top, fn, arg);
    arch::this_port::set_stack_guard(m->curg->stack_guard);
    m->on_system_stack = false;
}

void leave_segment(M* m, G* g) noexcept {
    stack_segment* s = g->stack;
    stack_segment* older = s->prev;
    if (s->dynamic != nullptr) [[unlikely]]
        free_dynamic(s);
    g->stack = older;
    g->stack_guard = older->guard;
    arch::this_port::set_stack_guard(older->guard);
    if ((s->flags & VOLE_SEG_SPARE) == 0 || s->next != nullptr) return;
    older->next = nullptr;
    s->next = m->spare;
    m->spare = s;
    ++m->spare_count;
}

}  // namespace vole::detail

extern "C" {

__attribute__((visibility("hidden"))) std::ptrdiff_t vole_newstack(vole::detail::G* g,
                                                                   vole::detail::growth* at);
std::ptrdiff_t vole_newstack(vole::detail::G* g, vole::detail::growth* at) {
    using namespace vole::detail;
    const int saved = errno;
    const runtime_pin pin;
    M* m = current_m();
    m->on_system_stack = true;  // g0 is in use
    const stack_segment* before = g->stack;
    grow(m, g, at);
    // After a copy `at` is gone with the old stack; of `before`, only the address counts.
    const bool copied = g->stack != before;
    count_growth(g, copied);
    m->on_system_stack = false;
    errno = saved;
    return copied ? g->stack->hi() - before->hi() : 0;
}

__attribute__((visibility("hidden"))) _Unwind_Reason_Code
vole_morestack_personality(int, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception*,
                           _Unwind_Context*);
_Unwind_Reason_Code vole_morestack_personality(int, _Unwind_Action actions, _Unwind_Exception_Class,
                                               _Unwind_Exception*, _Unwind_Context*) {
    using namespace vole::detail;
    // The unwinder itself may still run on the segment that is left here. Nobody takes it meanwhile:
    // only this thread could, and it runs no instrumented code before the next landing pad, which is
    // on the older segment.
    const runtime_pin pin;
    if ((actions & _UA_CLEANUP_PHASE) != 0) leave_segment(current_m(), current_g());
    return _URC_CONTINUE_UNWIND;
}
}
