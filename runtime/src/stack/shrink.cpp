// Halving the stack of a parked goroutine of policy copying (STK-40..43).
//
// Its frames are copied like those of a growing one; the saved context lies among them. What others
// hold of its addresses is its waiter, linked from a channel's queue or the wait table: that one's
// `move` does the copy, under the locks that keep partners away (park.hpp).
//
// Locks: the waiter's, tried only. Stack: sysmon's; the goroutine is excluded (reclaim.hpp).
#include "runtime/internal/park.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/copy.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::size_t spare_bytes = 800;  // Go's _StackLimit, for its rule of a quarter

struct shrinking : stack_move {
    const char* from;
};

}  // namespace

VOLE_NO_TSAN std::uint64_t shrink_stack(G* g) noexcept {
    stack_segment* old = g->stack;
    const std::size_t bytes = old->bytes / 2;
    const auto* sp = static_cast<const char*>(g->sched.sp);
    if (old->prev != nullptr || g->parked == nullptr || bytes < kind_bytes[0]) return 0;
    if (static_cast<std::size_t>(old->end() - sp) + spare_bytes >= old->bytes / 4) return 0;
    stack_segment* fresh = new_copying_stack(nullptr, bytes);
    if (fresh == nullptr) return 0;
    shrinking mv{move_between(old, fresh), sp};
    mv.copy = [](stack_move& self) noexcept {
        copy_words(self, static_cast<const shrinking&>(self).from);
    };
    if (!g->parked->kind->move(g->parked, mv)) {
        free_segment(nullptr, fresh);
        return 0;
    }
    move_dynamic(mv, old, fresh);
    fresh->copies = static_cast<std::uint16_t>(old->copies + 1);
    fresh->flags = old->flags;
    g->parked = mv.moved(g->parked);
    g->sched.sp = mv.moved(static_cast<char*>(g->sched.sp));
    g->stack = fresh;
    g->stack_guard = fresh->guard;
    g->stack_size = static_cast<std::uint32_t>(bytes);
    const std::uint64_t given = old->bytes - bytes;
    sched.stack_shrinks.fetch_add(1, memory_order_relaxed);
    leave_old_stack(nullptr, g, old, fresh);
    return given;
}

}  // namespace vole::detail
