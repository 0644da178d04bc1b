// How one goroutine gives way to another.
//
// The common case is direct: a goroutine that parks, yields or ends picks its successor from its
// own P's queue and switches to it, without a stop on g0. Only when there is none, or when the
// scheduler has something else to do (1/61 turn of the global queue, a stopping world, a thread
// that is tied to its goroutine or has lost its P), it goes to g0 by mcall.
//
// What the leaving goroutine wants done once its context is saved (release a lock, queue itself,
// give its stack back) is its `commit`: it is left in the M and run by whoever arrives next, on
// the new goroutine's stack or g0's, before anything else (finish_switch). Until then nobody else
// can resume the goroutine: no other thread has seen it.
//
// This is the one place where the per-thread state of the C++ runtime changes hands: exception
// globals, errno; the floating-point control words are part of the context itself.
//
// g0 frames are never resumed: every visit starts at g0_top, and g0_run is the only frame that
// does not return, so TSan's shadow stack of g0 does not grow.
#include <cerrno>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/sched/status.hpp"
#include "runtime/src/stack/reclaim.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

constinit scheduler sched;

namespace {
constexpr std::uint32_t spare_limit = 16;  // 64 KiB segments that an M keeps
}

}  // namespace vole::detail

// Read and written by the port only; see current_m() there for why not by their C++ names.
extern "C" {
__attribute__((tls_model("initial-exec"), visibility("hidden"),
               used)) constinit thread_local void* vole_tls_m = nullptr;
__attribute__((tls_model("initial-exec"), visibility("hidden"),
               used)) constinit thread_local std::uint32_t vole_tls_depth = 0;
}

namespace vole::inline v0::detail {

G* current_g() noexcept {
    count_in();
    const M* m = current_m();
    G* g = m != nullptr ? m->curg : nullptr;
    count_out();
    return g;
}

namespace {

inline void save_thread_state(M* m, G* g) noexcept {
    g->eh_caught = m->eh->caught;
    g->eh_uncaught = m->eh->uncaught;
    g->saved_errno = *m->errno_ptr;
}

inline void begin_turn(M* m, G* g, bool inherit) noexcept {
    P* p = m->p;
    if (!inherit) {
        // A request that is left in M::attention stays: the goroutine gives way once, a little early.
        p->sched_tick.store(p->sched_tick.load(memory_order_relaxed) + 1, memory_order_relaxed);
    }
    change_status(g, g_status::runnable, g_status::running);
    bump(p->stats.switches);
    m->curg = g;
    g->m = m;
    m->eh->caught = g->eh_caught;
    m->eh->uncaught = g->eh_uncaught;
    *m->errno_ptr = g->saved_errno;
    arch::this_port::set_stack_guard(g->stack_guard);
}

// The successor for a direct switch, or null: let g0 decide. Nobody has asked for a way by g0.
inline G* pick_direct(M* m, bool* inherit) noexcept {
    P* p = m->p;
    if (p == nullptr || m->locked_g != nullptr) [[unlikely]]
        return nullptr;
    if (p->sched_tick.load(memory_order_relaxed) % 61 == 0 &&
        sched.global_size.load(memory_order_relaxed) != 0) [[unlikely]] {
        return nullptr;
    }
    if (timers_due_here(m)) [[unlikely]]
        return nullptr;
    *inherit = true;
    G* g = p->runq.pop_next();
    if (g == nullptr) {
        *inherit = false;
        g = p->runq.pop();
        if (g == nullptr) return nullptr;
    }
    if (g->locked_m != nullptr) [[unlikely]] {
        m->pending = g;
        return nullptr;
    }
    if (g->sched.sp == nullptr) {
        if (frozen_threads() != 0) [[unlikely]] {
            m->pending = g;  // g0 asks prefer_frozen
            return nullptr;
        }
        attach_stack(p, g);
    }
    return g;
}

// g leaves for `next`, or for g0. Not where every change is recorded, in change_status: that look would cost yield
// 4 %, and here the one at `detour` has been taken anyway. Before `next` has begun; g's own status may have been
// changed, but nobody else has seen g.
[[gnu::noinline, gnu::cold]] void record_switch(const G* g, g_status to, const G* next) noexcept {
    record_status(g, g_status::running, to);
    if (next != nullptr) record_status(next, g_status::runnable, g_status::running);
}

// The same as pick_direct, when something is the matter.
[[gnu::noinline, gnu::cold]] G* pick_detoured(M* m, const G* g, std::uint32_t detour,
                                              bool* inherit) noexcept {
    G* next = detour == detour_recording ? pick_direct(m, inherit) : nullptr;
    const g_status now = g->status.load(memory_order_relaxed);
    // In a system call, it changes only when it is off its stack: wait_for_p.
    if ((detour & detour_recording) != 0 && now != g_status::syscall) record_switch(g, now, next);
    return next;
}

VOLE_NO_TSAN [[noreturn]] void run_next(M* m) noexcept {
    bool inherit = false;
    G* g = schedule(m, &inherit);
    if (g == nullptr) arch::vole_gogo(&m->exit_context);
    record_status(g, g_status::runnable, g_status::running);
    begin_turn(m, g, inherit);
    tell_leave(m, nullptr, false, g);
    arch::vole_gogo(&g->sched);
}

// Runs on g0, from its top, at every visit.
VOLE_NO_TSAN [[noreturn]] void g0_run(void*) noexcept {
    M* m = current_m();
    tell_arrived(m, nullptr);
    finish_switch();
    if (m->spare_count > spare_limit) [[unlikely]]
        trim_spare(m, spare_limit / 2);
    run_next(m);
}

VOLE_NO_TSAN inline void direct_switch(M* m, G* g, G* next, bool inherit, bool ends) noexcept {
    begin_turn(m, next, inherit);
    bump(m->p->stats.direct);
    tell_leave(m, g, ends, next);
    arch::vole_switch(&g->sched, &next->sched);
}

VOLE_NO_TSAN inline void switch_to_g0(M* m, G* g, bool ends) noexcept {
    m->curg = nullptr;
    *m->eh = eh_state{};
    arch::this_port::set_stack_guard(nullptr);
    tell_leave(m, g, ends, nullptr);
    arch::vole_mcall(&g->sched, m->g0_top, g0_run, nullptr);
}

VOLE_NO_TSAN inline void give_way_flat(M* m, G* g, G* next, bool inherit) noexcept {
    const bool ends = g->status.load(memory_order_relaxed) == g_status::dead;
    save_thread_state(m, g);
    if (next != nullptr) {
        direct_switch(m, g, next, inherit, ends);
    } else {
        switch_to_g0(m, g, ends);
    }
    // Somebody has resumed g, perhaps on another thread: m is stale.
    tell_arrived(current_m(), g);
    finish_switch();
}

// The depth in the runtime is 1 at every switch, on both sides: what is nested keeps its own.
VOLE_NO_TSAN [[gnu::noinline]] void give_way_nested(M* m, G* g, G* next, bool inherit,
                                                    std::uint32_t depth) noexcept {
    m->depth->store(1, memory_order_relaxed);
    give_way_flat(m, g, next, inherit);
    current_m()->depth->store(depth, memory_order_relaxed);
}

// `commit` is set, g's status says what it is going to be.
VOLE_NO_TSAN inline void give_way(M* m, G* g, G* next, bool inherit) noexcept {
    const std::uint32_t depth = m->depth->load(memory_order_relaxed);
    if (depth != 1) [[unlikely]] {
        give_way_nested(m, g, next, inherit, depth);
    } else {
        give_way_flat(m, g, next, inherit);
    }
}

inline void leave_commit(M* m, G* g, park_commit commit, void* arg) noexcept {
    m->commit = commit;
    m->commit_arg = arg;
    m->commit_g = g;
    // Before curg changes: sysmon tells by the two whether g is off its stack (reclaim.cpp).
    atomic_signal_fence(memory_order_release);
}

void check_may_park(const M* m, const char* what) noexcept {
    if (m->on_system_stack) [[unlikely]] {
        fatal("blocking operation on the system stack", what);
    }
    if (m->p == nullptr) [[unlikely]]
        fatal("blocking operation inside vole::blocking", what);
}

}  // namespace

void finish_switch() noexcept {
    M* m = current_m();
    if (park_commit commit = m->commit; commit != nullptr) {
        m->commit = nullptr;
        commit(m->commit_g, m->commit_arg);
    }
}

VOLE_NO_TSAN void switch_out(M* m, G* g, park_commit commit, void* arg) noexcept {
    leave_commit(m, g, commit, arg);
    bool inherit = false;
    const std::uint32_t detour = sched.detour.load(memory_order_relaxed);
    G* next = detour == 0 ? pick_direct(m, &inherit) : pick_detoured(m, g, detour, &inherit);
    give_way(m, g, next, inherit);
}

VOLE_NO_TSAN void hand_turn_over(M* m, G* g, G* next) noexcept {
    set_status(g, g_status::running, g_status::runnable);
    const bool direct = m->locked_g == nullptr && next->locked_m == nullptr &&
                        sched.detour.load(memory_order_relaxed) == 0 && frozen_threads() == 0;
    if (!direct) {
        leave_commit(
            m, g, [](G*, void* p) { explore_dispatch(static_cast<G*>(p)); }, next);
        give_way(m, g, nullptr, false);
        return;
    }
    if (next->sched.sp == nullptr) attach_stack(m->p, next);
    leave_commit(
        m, g, [](G*, void*) {}, nullptr);
    give_way(m, g, next, false);
}

VOLE_NO_TSAN void g0_start(void* arg) noexcept {
    M* m = static_cast<M*>(arg);
    m->g0_top = __builtin_frame_address(0);
    run_next(m);
}

// ---- parking (park.hpp) -----------------------------------------------------------------------

namespace {
void park_thread(G* g, park_commit commit, void* arg) noexcept {
    sched.threads_parked.fetch_add(1, memory_order_relaxed);
    commit(g, arg);  // a thread keeps its stack: it is "off" it as soon as it can be woken
    while (g->thread_note.load(memory_order_acquire) == 0) futex_wait(&g->thread_note, 0);
    g->thread_note.store(0, memory_order_relaxed);
    sched.threads_parked.fetch_sub(1, memory_order_relaxed);
}
}  // namespace

void park(G* g, park_commit commit, void* arg, wait_reason reason, const parked_waiter* waiter) {
    if (g->is_thread) [[unlikely]] {
        if (sched.poisoned.load(memory_order_relaxed)) fatal("runtime used in a forked child");
        park_thread(g, commit, arg);
        return;
    }
    M* m = current_m();
    if (m->p == nullptr || m->on_system_stack) [[unlikely]]
        check_may_park(m, to_text(reason));
    g->reason = reason;
    g->waiting_since = sched.seconds.load(memory_order_relaxed);
    g->parked = waiter;
    change_status(g, g_status::running, g_status::waiting);
    if (g->tags != nullptr && bubble_of(g) != nullptr) [[unlikely]] {
        park_in_bubble(m, g, commit, arg, reason);
        return;
    }
    switch_out(m, g, commit, arg);
}

void park_unlock(G* g, lock& l, wait_reason reason, const parked_waiter* waiter) VOLE_NO_TS {
    // The rank check follows the thread, and the lock changes threads with the goroutine's M: it
    // is released by the same thread, so nothing special is needed.
    park(
        g, [](G*, void* p) VOLE_NO_TS { static_cast<lock*>(p)->release(); }, &l, reason, waiter);
}

namespace {

// False: it is seen to: g stands for a thread, which has been woken, or is an explorer's.
inline bool become_runnable(G* g) {
    if (g->is_thread) [[unlikely]] {
        // release: pairs with park_thread's acquire. After the store g may be gone.
        g->thread_note.store(1, memory_order_release);
        futex_wake(&g->thread_note, 1);
        return false;
    }
    if (g->tags != nullptr) [[unlikely]]
        bubble_ready(g);
    set_status(g, g_status::waiting, g_status::runnable);
    // The other half of reclaim.cpp's exclusion: the status first, then the look; sysmon's membarrier
    // stands in for the fence between them.
    atomic_signal_fence(memory_order_seq_cst);
    if (g->looks.load(memory_order_relaxed) != 0) [[unlikely]]
        wait_for_look(g);
    if (g->tags != nullptr) [[unlikely]]
        return !explore_if_explored(g);
    return true;
}

// No other P is woken for it if `quiet`, but where it can only be taken by one.
template <bool quiet>
inline void queue_runnable(G* g, bool next) {
    M* m = current_m();
    if (m != nullptr && m->p != nullptr) [[likely]] {
        run_queue_put(m->p, g, next);
        if constexpr (!quiet) wake_for_next(m->p);
        return;
    }
    {
        lock_guard held(sched.mu);
        global_put(g);
    }
    wake();
}

}  // namespace

void ready(G* g, bool next) {
    if (become_runnable(g)) queue_runnable<false>(g, next);
}
void ready_quietly(G* g) {
    if (become_runnable(g)) queue_runnable<true>(g, true);
}
// Quietly: what goes on in its bubble does not go on beside it.
void explore_dispatch(G* g) noexcept { queue_runnable<true>(g, true); }

void make_runnable(G* g, g_list& runnable) noexcept {
    if (become_runnable(g)) runnable.push_back(g);
}

bool may_park() noexcept {
    const M* m = current_m();
    return m != nullptr && m->curg != nullptr && m->p != nullptr && !m->on_system_stack;
}

namespace {
void queue_globally(G* g, void*) noexcept {
    lock_guard held(sched.mu);
    global_put(g);
}
}  // namespace

void yield_to_others() {
    M* m = current_m();
    G* g = m->curg;
    if (m->p == nullptr || m->on_system_stack) [[unlikely]]
        check_may_park(m, "gosched");
    bool inherit = false;
    // With an empty global queue the tail of the own ring is as far behind as anybody can be, and
    // saves the global lock: 2 x 7 ns alone, a fought-over cache line with two Ps.
    const std::uint32_t detour = sched.detour.load(memory_order_relaxed);
    const bool local = sched.global_size.load(memory_order_relaxed) == 0 &&
                       (detour & ~std::uint32_t{detour_recording}) == 0 && m->locked_g == nullptr &&
                       !timers_due_here(m);
    if (local) {
        G* next = pick_direct(m, &inherit);
        if (next == nullptr && m->pending == nullptr) return;
        if (detour != 0) [[unlikely]]
            record_switch(g, g_status::runnable, next);
        change_status(g, g_status::running, g_status::runnable);
        leave_commit(
            m, g, [](G* self, void*) { run_queue_put(current_m()->p, self, false); }, nullptr);
        give_way(m, g, next, inherit);
        return;
    }
    give_way_globally(m, g);
}

void give_way_globally(M* m, G* g) noexcept {
    set_status(g, g_status::running, g_status::runnable);
    leave_commit(m, g, queue_globally, nullptr);
    give_way(m, g, nullptr, false);
}

// One for each thread that is not ours: it waits in one operation at a time. Not in the scope itself,
// which would take 200 bytes of every goroutine's stack.
void park_scope::adopt_thread() noexcept {
    static constinit thread_local G own;
    own.is_thread = true;
    own.param = nullptr;
    own.thread_note.store(0, memory_order_relaxed);
    g_ = &own;
    adopted_ = true;
}
void park_scope::release_thread() noexcept {}

namespace {

constinit thread_local std::uint32_t thread_seed = 0;

// Ticks alone will not do: a counter that advances in large powers of two leaves no random low bits.
[[gnu::noinline]] std::uint32_t thread_random() noexcept {
    std::uint32_t x = thread_seed;
    if (x == 0) {
        const auto address = reinterpret_cast<std::uintptr_t>(&thread_seed);
        const std::uint64_t mixed =
            (arch::this_port::ticks() ^ address) * 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
        x = static_cast<std::uint32_t>(mixed >> 32) | 1;
    }
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    thread_seed = x;
    return x;
}

}  // namespace

std::uint32_t fast_random() noexcept {
    if (bubble* b = current_bubble(); b != nullptr) [[unlikely]]
        return static_cast<std::uint32_t>(bubble_random(b)) | 1;
    const M* m = current_m();
    if (m != nullptr && m->p != nullptr) [[likely]]
        return next_random(m->p);
    return thread_random();
}

bool can_spin(int round) noexcept {
    if (round >= 4 || num_cpu() <= 1) return false;
    // Whoever is waited for does not run meanwhile.
    if (explorations.load(memory_order_relaxed) != 0 && current_explorer() != nullptr) return false;
    const std::uint32_t procs = sched.procs.load(memory_order_relaxed);
    const M* m = current_m();
    if (procs <= 1 || m == nullptr || m->p == nullptr) return false;
    const std::uint32_t off = sched.idle_p_count.load(memory_order_relaxed) +
                              sched.spinning.load(memory_order_relaxed) + 1;
    return procs > off && m->p->runq.empty_hint();
}

void spin_once() noexcept {
    for (int i = 0; i < 30; ++i) arch::this_port::pause();
}

void spin_or_yield(int round) noexcept {
    if (round < 100) {
        arch::this_port::pause();
    } else {
        sched_yield();
    }
}

}  // namespace vole::detail

namespace vole::inline v0 {

void gosched() {
    using namespace detail;
    {
        const runtime_entry entry;
        if (const G* g = running_g(); g != nullptr) [[likely]] {
            if (explorer_of(g) == nullptr) [[likely]] {
                yield_to_others();
                return;
            }
            operation op;
            op.what = "gosched";
            op.yields = true;
            explore_here(op);
            return;
        }
    }
    sched_yield();
}

std::uint64_t goroutine_id() noexcept {
    const detail::G* g = detail::current_g();
    return g != nullptr ? g->id : 0;
}

}  // namespace vole
