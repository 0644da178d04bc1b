// See reclaim.hpp.
#include "runtime/src/stack/reclaim.hpp"

#include <sched.h>
#include <sys/mman.h>

#include <cerrno>

#include "runtime/internal/membarrier.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::uint32_t batch_size = 64;

struct look {
    G* batch[batch_size];
    std::uint32_t count = 0;
    bool at_once = false;
    reclaimed result{0, false};
};

// What its owner may be changing: read once, in the order written here.
template <class T>
VOLE_NO_TSAN T peek(const T& x) noexcept {
    return *static_cast<const volatile T*>(&x);
}

// Off its stack, given that its status is `waiting`. Its M stores commit, commit_g, curg in this order,
// then switches, then clears commit (switch.cpp): whoever sees another curg sees the commit as well,
// until that has begun. (Plain stores: on arm64 they may be seen in another order for a moment. sysmon
// comes here only when a wait has lasted for seconds.)
VOLE_NO_TSAN bool is_parked(const G* g) noexcept {
    const M* m = peek(g->m);
    if (m == nullptr || peek(m->curg) == g) return false;
    // acquire: the loads below are of a later moment than the one above.
    atomic_thread_fence(memory_order_acquire);
    return peek(m->commit) == nullptr || peek(m->commit_g) != g;
}

// Not VOLE_NO_TSAN: TSan must see these two.
[[gnu::noinline]] bool make_busy(G* g) noexcept {
    std::uint8_t seen = g->looks.load(memory_order_relaxed);
    // seq_cst also takes over what the last one who was busy did to the stack (end_busy).
    return (seen & look_busy) == 0 &&
           g->looks.compare_exchange_strong(seen, static_cast<std::uint8_t>(seen | look_busy),
                                            memory_order_seq_cst, memory_order_relaxed);
}
// release: the waker goes on after what was done here.
[[gnu::noinline]] void end_busy(G* g) noexcept {
    g->looks.fetch_and(static_cast<std::uint8_t>(~look_busy), memory_order_release);
}

// Pages of s below sp, if that is three quarters of it.
VOLE_NO_TSAN std::uint64_t release_below(const stack_segment* s, const char* sp) noexcept {
    constexpr std::uintptr_t page = 4096;
    constexpr std::uintptr_t margin = 256;  // no frame uses what is below its stack pointer further
    const auto used = static_cast<std::size_t>(s->end() - sp);
    if (is_small(s->kind) || used > s->bytes / 4) return 0;
    if ((s->flags & VOLE_SEG_CANARY) != 0) return 0;  // it lies in what would go
    const std::uintptr_t guard = s->kind == segment_kind::kib64 ? spare_guard_bytes : guard_bytes;
    const std::uintptr_t from = reinterpret_cast<std::uintptr_t>(s->lo) + guard;
    const std::uintptr_t to = (reinterpret_cast<std::uintptr_t>(sp) - margin) & ~(page - 1);
    if (to <= from) return 0;
    const int saved = errno;
    const bool ok = os::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED) == 0;
    errno = saved;
    return ok ? to - from : 0;
}

VOLE_NO_TSAN std::uint64_t release_pages(G* g) noexcept {
    std::uint64_t given = 0;
    for (stack_segment* n = g->stack->next; n != nullptr; n = n->next) given += n->bytes;
    if (g->stack->next != nullptr) free_newer_segments(nullptr, g->stack);
    const char* sp = static_cast<const char*>(g->sched.sp);
    for (const stack_segment* s = g->stack; s != nullptr; s = s->prev) {
        given += release_below(s, sp);
        sp = s->entry_sp;
    }
    return given;
}

VOLE_NO_TSAN void work_on(look& l, G* g) noexcept {
    if (g->status.load(memory_order_acquire) != g_status::waiting || !is_parked(g)) return;
    const std::uint64_t shrunk = may_move(g) ? shrink_stack(g) : 0;
    l.result.bytes += shrunk + release_pages(g);
    // A copying stack is halved once per occasion (STK-40): the next look is another one.
    l.result.more |= shrunk != 0;
    g->looks.store(look_busy | (shrunk != 0 ? looks_enough : looks_done), memory_order_relaxed);
}

VOLE_NO_TSAN void work_on_batch(look& l) noexcept {
    if (l.count == 0) return;
    std::uint32_t busy = 0;
    for (std::uint32_t i = 0; i < l.count; ++i) {
        if (make_busy(l.batch[i])) l.batch[busy++] = l.batch[i];
    }
    if (fence_all_threads()) {
        for (std::uint32_t i = 0; i < busy; ++i) work_on(l, l.batch[i]);
    }
    for (std::uint32_t i = 0; i < busy; ++i) end_busy(l.batch[i]);
    l.count = 0;
}

VOLE_NO_TSAN void look_at(G* g, void* arg) noexcept {
    auto& l = *static_cast<look*>(arg);
    if (g->status.load(memory_order_relaxed) != g_status::waiting) return;
    std::uint8_t seen = g->looks.load(memory_order_relaxed);
    if (seen >= looks_done) return;
    if (seen < looks_enough && !l.at_once) {
        l.result.more = true;
        // A waker that resets the count at this moment has its zero overwritten by a number that is
        // one too high: what it allows is checked again when it counts.
        g->looks.compare_exchange_strong(seen, static_cast<std::uint8_t>(seen + 1),
                                         memory_order_relaxed, memory_order_relaxed);
        return;
    }
    l.batch[l.count++] = g;
    if (l.count == batch_size) work_on_batch(l);
}

}  // namespace

void wait_for_look(G* g) noexcept {
    // acquire: pairs with the release that ends sysmon's work.
    while ((g->looks.load(memory_order_acquire) & look_busy) != 0) ::sched_yield();
    g->looks.store(0, memory_order_relaxed);
}

stack_hold::stack_hold(G* g) noexcept : g_(g) {
    while (!make_busy(g)) ::sched_yield();
}
stack_hold::~stack_hold() { end_busy(g_); }

reclaimed reclaim_parked(bool at_once) noexcept {
    look l;
    l.at_once = at_once;
    for_each_g(look_at, &l);
    work_on_batch(l);
    sched.stack_bytes_given_back.fetch_add(l.result.bytes, memory_order_relaxed);
    return l.result;
}

}  // namespace vole::detail
