// Growing: what __morestack asks of the runtime, and the ways by which our own code gets room.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/stack.hpp>

#include "runtime/internal/g.hpp"
#include "runtime/src/stack/segment.hpp"

namespace vole::inline v0::detail {

/// What __morestack has pushed on the old stack: at least frame_bytes, argument_bytes, kind
/// (VOLE_GROWTH_...) and body_pc, the return address of its call.
using growth = arch::this_port::growth;

/// All segments of g and their dynamic blocks, in bytes.
std::size_t stack_bytes(const G* g) noexcept;

[[noreturn]] void report_stack_limit(const G* g, std::size_t wanted) noexcept;
[[noreturn]] void report_no_stack_memory(const G* g, std::size_t wanted) noexcept;

/// Calls fn(arg) on g0 and comes back; on a thread, or on g0 already, just calls. fn must not park
/// or throw. For what may be called on a small segment and needs more than a red zone.
void on_g0(void (*fn)(void*), void* arg) noexcept;

/// Whether sp is on one of g's segments.
bool is_on_stack(const G* g, const void* sp) noexcept;
/// The segment that a frame at sp lies on, the newest if none. Goroutine's own.
const stack_segment* segment_at(const G* g, const void* sp) noexcept;
inline stack_segment* first_segment(const G* g) noexcept {
    stack_segment* s = g->stack;
    while (s->prev != nullptr) s = s->prev;
    return s;
}

/// Whether g's stack is one that moves: its only segment, and not a coroutine's.
inline bool may_move(const G* g) noexcept {
    return g->policy == static_cast<unsigned>(stack_policy::kind::copying) &&
           g->stack->prev == nullptr && g->stack->coro == nullptr;
}

/// Goroutine or its unwinder: the newest segment is done with.
void leave_segment(M* m, G* g) noexcept;

/// g0: moves g's stack into one of `bytes`. Null: no memory, and nothing has changed.
stack_segment* copy_stack(G* g, growth* at, std::size_t bytes) noexcept;

/// sysmon, g excluded from running: halves the stack of a parked goroutine of policy copying. The
/// bytes given back.
std::uint64_t shrink_stack(G* g) noexcept;

}  // namespace vole::detail
