// A coroutine: a second stack of whichever goroutine resumes it.
//
// There is one goroutine on both sides, so the scheduler has no part in a switch: what belongs to a stack
// rather than to a goroutine (`stack_side`) is exchanged between the G and the coroutine, and then the two
// contexts are. What parks inside parks the goroutine, which comes back to where it parked; what asks who
// runs (locks, bubbles, tracebacks) is told the goroutine.
//
// `other` is the side that does not run: the body's while it is suspended, the consumer's while the body runs.
//
// Who may resume it: one goroutine at a time, any in turn. Most are resumed by one only: it is `biased` to its first one,
// the `owner`, who takes and ends a turn by plain stores to `inside`. Once another one comes it is `shared` for good, and
// a turn is taken by a compare-and-swap of `holder`. In between: who comes says `revoked`, makes all threads pass a fence,
// and then looks at `inside`; the owner sets `inside`, and then looks whether it is revoked. So one of the two sees the
// other, without a fence on the owner's side: a locked instruction would double the cost of next().
//
// Stack: both. No locks.
#pragma once

#include <vole/arch/port.hpp>
#include <vole/detail/atomic.hpp>
#include <vole/detail/coroutine.hpp>
#include <vole/detail/object_cache.hpp>

#include "runtime/internal/g.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/stack/segment.hpp"

namespace vole::inline v0::detail {

struct stack_side {
    arch::gobuf context;
    stack_segment* stack = nullptr;  // as in G
    char* stack_guard = nullptr;
    recover_frame* frames = nullptr;
    eh_state eh;
    [[no_unique_address]] coroutine_sanitizer sanitizer{};
};

struct coroutine_core : coroutine, cached_object {
    stack_side other;
    static constexpr std::uintptr_t nobody = 0, revoked = 1, shared = 2;
    atomic<std::uintptr_t> bias{nobody};  // or one of these, or the owner's address
    atomic<G*> owner{nullptr};            // set once
    atomic<G*> holder{nullptr};
    bool usual =
        false;  // has begun, not ended, is nobody's who is tied to a thread: its switches need no more than others
    std::uint16_t lock_count = 0;  // of the goroutine that made it (CORO-13)
    const M* locked_m = nullptr;
    stack_segment* base = nullptr;  // the body's first segment
    const body_type* type = nullptr;
    void* body = nullptr;
    outcome end;
};

/// On whose stack that segment is; null: on a goroutine's own. Tracebacks ask without stopping the goroutine.
VOLE_NO_TSAN inline const coroutine_core* coroutine_on(const stack_segment* s) noexcept {
    if (s == nullptr) return nullptr;
    while (s->prev != nullptr) s = s->prev;
    return s->coro;
}

}  // namespace vole::detail
