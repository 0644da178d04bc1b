// Go's way: the handler makes the interrupted goroutine call vole_async_preempt, which saves every
// register on the goroutine's own stack and parks it in the queue like any other. It may go on on any
// thread, and no thread is kept. Opt-in (preempt::migration::free), because C++ code has state that is
// bound to its thread between any two instructions.
//
// Beside the handler's rules: not in the assembly of the port, which works on the thread's M outside of
// the count of depth, and only with room below the red zone for the registers and this file's frames.
// Without room the goroutine is frozen instead.
//
// Stack: inject in the signal handler, vole_async_preempt2 on the goroutine's.
#include "runtime/internal/entry.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

namespace {

// What vole_async_preempt2 and below may use; the same as the runtime's other operations.
constexpr std::size_t frames_bytes = small_red_zone_bytes + 256;

std::uintptr_t lowest(const stack_segment* s) noexcept {
    const std::size_t guard = is_small(s->kind)                ? 0
                              : s->kind == segment_kind::kib64 ? spare_guard_bytes
                                                               : guard_bytes;
    return reinterpret_cast<std::uintptr_t>(s->lo) + guard;
}

}  // namespace

namespace {

// Templates, so that a port without injection need not have the functions.
template <class Port>
bool prepare() noexcept {
    if constexpr (Port::can_inject) {
        Port::prepare();
        return Port::prepare_injection();
    }
    return false;
}

template <class Port>
bool inject_with(const M* m, const G* g, void* context) noexcept {
    if constexpr (Port::can_inject) {
        const arch::interrupted_point at = Port::interrupted(context);
        const std::size_t bytes = Port::injection_bytes();
        if (at.sp - lowest(g->stack) < bytes + frames_bytes) return false;
        tell({.kind = preempt_event::what::injected,
              .goroutine = g->id,
              .tid = m->tid.load(memory_order_relaxed),
              .pc = at.pc,
              .sp = at.sp,
              .bytes = bytes});
        Port::inject_call(context);
        return true;
    }
    return false;
}

}  // namespace

bool prepare_injection() noexcept { return has_injection && prepare<arch::this_port>(); }

bool inject(const M* m, const G* g, void* context) noexcept {
    return inject_with<arch::this_port>(m, g, context);
}

}  // namespace vole::detail

extern "C" {
// Called by vole_async_preempt, everything saved. Returns when the goroutine's turn has come again.
void vole_async_preempt2() noexcept {
    using namespace vole::detail;
    const runtime_entry entry;  // here a goroutine that was detached takes a P again
    M* m = current_m();
    if (!may_park()) return;
    count_up(preempt_total.injections);
    m->attention.fetch_and(~attend_preempt, memory_order_relaxed);
    give_way_globally(m, m->curg);
}
}
