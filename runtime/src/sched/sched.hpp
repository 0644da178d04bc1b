// The scheduler's state: P, M and what is shared, and the functions its files call in each other.
//
//   G  a goroutine                        M  a thread of ours
//   P  the right to run goroutines: a run queue and caches; an M needs one to run Go-like code
//
// Reading order: runq.hpp (what is queued), switch.cpp (how one goroutine gives way to another),
// schedule.cpp (how the next one is found), idle.cpp (how threads sleep and are woken, and why no
// wake-up is lost), then thread, syscall, sysmon, stw, spawn, run.
//
// Lock: sched.lock guards what is marked with it; it is a leaf below channel and semaphore locks,
// above arena and gslab (HACKING.md has the list).
// Stack: declarations say "g0" when a function may run only there; "any" otherwise.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>

#include <vole/runtime.hpp>

#include "runtime/internal/futex.hpp"
#include "runtime/internal/g.hpp"
#include "runtime/internal/lock.hpp"
#include "runtime/internal/m.hpp"
#include "runtime/internal/netpoll.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/internal/timers.hpp"
#include "runtime/src/os/cpus.hpp"
#include "runtime/src/preempt/preempt.hpp"
#include "runtime/src/sched/object_cache.hpp"
#include "runtime/src/sched/runq.hpp"
#include "runtime/src/stack/attach.hpp"
#include "runtime/src/stack/segment.hpp"

namespace vole::inline v0::detail {

enum class p_status : std::uint32_t {
    idle,     // in sched.idle_ps
    running,  // an M owns it
    syscall,  // its M is in a system call and may lose it (compare-and-swap decides)
    stopped,  // the world is
    dead,     // above gomaxprocs
};

struct p_stats {  // written by the P's owner only, read by anybody: relaxed, no read-modify-write
    atomic<std::uint64_t> switches{0}, direct{0}, steals{0}, stolen{0}, global_pops{0};
    atomic<std::uint64_t> created{0}, ended{0};
    atomic<std::uint64_t> object_hits{0}, object_misses{0};
    atomic<std::uint64_t> io_waits{0};  // begun
};
inline void bump(atomic<std::uint64_t>& n, std::uint64_t by = 1) noexcept {
    n.store(n.load(memory_order_relaxed) + by, memory_order_relaxed);
}

struct slot_cache {
    static constexpr std::uint32_t limit = 32;
    std::uint32_t count = 0;
    char* slots[limit];
};

struct alignas(64) P {
    static constexpr std::uint32_t g_cache = 64;

    std::uint32_t id = 0;                 // first: current_proc() reads it there
    atomic<std::uint32_t> sched_tick{0};  // incremented at each new time slice
    atomic<std::uint32_t> syscall_tick{0};
    atomic<std::int64_t> resumed_at{0};  // nanotime: when a frozen goroutine last went on on it
    atomic<p_status> status{p_status::dead};
    atomic<M*> m{nullptr};  // a guess for all but its owner; release/acquire: the M is complete
    P* link = nullptr;      // idle list
    atomic<std::int64_t> first_timer{no_deadline};  // of its heap: runtime/internal/timers.hpp
    std::uint32_t random = 1;
    std::uint32_t wake_skips = 0;   // wake-ups still to be left out, see wake_slow
    std::uint32_t timer_turns = 0;  // see run_timers
    std::uint64_t next_id = 0;      // goroutine ids are taken in batches
    std::uint64_t last_id = 0;
    slot_cache stacks[arena_kinds];           // by segment_kind
    object_magazine objects[object_classes];  // by size
    // What the last look at the poller brought: netpoll.cpp
    std::int64_t found_at = 0;
    std::int64_t pace = 1'000'000;  // ns that each of them took, about
    std::uint32_t found = 0;
    g_list free_gs;
    p_stats stats;
    run_queue runq;

    // sysmon's own notes about this P
    std::uint64_t seen_switches = 0;
    std::uint32_t seen_syscall_tick = 0;
    std::int64_t seen_syscall_when = 0;
    slice_notes slice;
};
static_assert(offsetof(P, id) == 0);

struct scheduler {
    lock mu{lock_rank::sched};

    // Read without the lock; written under it, or by atomic operations where idle.cpp says so.
    atomic<std::uint32_t> spinning{0};  // Ms that look for work
    atomic<std::uint32_t> idle_p_count{0};
    atomic<std::uint32_t> global_size{0};
    atomic<std::uint32_t> wake_backoff{0};  // grows while woken threads find nothing
    atomic<std::uint32_t> procs{0};
    atomic<bool> stopping{false};  // the world
    // Why the next switch goes by g0, or is not the usual one: bits, see below.
    atomic<std::uint32_t> detour{0};
    atomic<bool> poisoned{false};  // this process is a forked child
    atomic<P*> all_ps[max_procs_limit] = {};

    batch_queue global VOLE_GUARDED_BY(mu);
    g_list frozen VOLE_GUARDED_BY(mu);  // each with a thread of its own: preempt/freeze.cpp
    std::uint32_t frozen_takes VOLE_GUARDED_BY(mu) = 0;
    bool frozen_turn VOLE_GUARDED_BY(mu) = false;  // the next taken globally is a frozen one
    P* idle_ps VOLE_GUARDED_BY(mu) = nullptr;
    M* idle_ms VOLE_GUARDED_BY(mu) = nullptr;
    lock free_mu{lock_rank::gslab};  // apart from mu: a busy list
    batch_queue free_gs VOLE_GUARDED_BY(free_mu);
    atomic<M*> all_ms{nullptr};
    M* dead_ms VOLE_GUARDED_BY(mu) = nullptr;
    M* wanted_ms VOLE_GUARDED_BY(mu) = nullptr;  // threads for sysmon to create
    // A P was to be run, no thread slept and none could be made: the next that wants to sleep takes it. idle.cpp
    bool thread_missed VOLE_GUARDED_BY(mu) = false;
    std::uint32_t m_count VOLE_GUARDED_BY(mu) = 0;           // live Ms
    std::uint32_t idle_m_count VOLE_GUARDED_BY(mu) = 0;      // of them, asleep in idle_ms
    std::uint64_t sleep_generation VOLE_GUARDED_BY(mu) = 0;  // counts Ms that went to sleep
    std::uint32_t locked_m_idle VOLE_GUARDED_BY(mu) = 0;     // of them, waiting for their own G
    std::uint32_t m_limit = 10'000;

    // The thread that waits for deadlines and the poller; one of idle_ms. keeper.cpp
    M* keeper VOLE_GUARDED_BY(mu) = nullptr;
    note keeper_note;
    atomic<bool> keeper_polls{false};  // it sleeps in the poller
    atomic<std::int64_t> keeper_until{
        0};  // no_deadline: for the poller only; 0: nobody keeps watch

    // Input and output: runtime/internal/netpoll.hpp
    atomic<const poller*> io{nullptr};
    // Waits that have ended, less those of threads, which begin there, too: what the Ps have counted is more by those
    // that have not. An atomic operation for each wait would be a cache line that all Ps fight for.
    atomic<std::uint64_t> io_waits_ended{0};
    atomic<bool> looking{false};        // somebody polls without waiting
    atomic<std::int64_t> last_look{0};  // nanotime: when somebody last did

    // stop the world
    atomic<std::uint32_t> stop_wait{0};
    atomic<std::uint32_t> stop_note{0};

    // run()
    std::uint32_t runs_waiting VOLE_GUARDED_BY(mu) = 0;
    std::uint32_t mains_gone VOLE_GUARDED_BY(mu) = 0;       // mains that called goexit
    std::uint32_t runs_undetected VOLE_GUARDED_BY(mu) = 0;  // with deadlock_detection = false
    atomic<std::uint32_t> external_wakers{0};
    atomic<std::uint32_t> threads_parked{0};  // ordinary threads in our operations
    atomic<bool> deadlock_suspected{false};

    atomic<std::uint64_t> created{0};  // by threads without a P
    atomic<std::uint64_t> next_id{1};
    atomic<std::uint64_t> g_count{0};     // Gs that have memory
    atomic<std::uint64_t> coroutines{0};  // that have a stack
    atomic<std::uint64_t> threads_created{0};
    atomic<std::uint64_t> retakes{0};
    atomic<std::uint64_t> handoffs{0};
    atomic<std::uint64_t> maxprocs_updates{0};
    atomic<std::uint64_t> stack_growths{0};  // vole_newstack: segments linked, refills, copies
    atomic<std::uint64_t> stack_copies{0};
    atomic<std::uint64_t> stack_shrinks{0};
    atomic<std::uint64_t> stack_bytes_given_back{0};
    atomic<std::uint64_t> stack_largest{0};
    atomic<std::uint64_t> futex_sleeps{0};
    atomic<std::uint64_t> futex_wakes{0};

    atomic<std::uint32_t> seconds{0};  // since the system started; sysmon sets it
    note sysmon_note;
    atomic<std::int64_t> sysmon_until{0};  // when it will look again; 0: not to be woken for that
    atomic<bool> sysmon_waiting{false};    // in deep sleep: everything idle
};

extern scheduler sched;

/// Promises each G and coroutine that is counted above a slot of stack. False: no memory. Counted first.
bool promise_counted_stacks() noexcept;

/// Bits of scheduler::detour.
enum : std::uint32_t {
    detour_stopping = 1,   // `stopping` is set
    detour_timers = 2,     // somebody is behind with what is due, and no P idle
    detour_recording = 4,  // no way by g0: the switch is recorded, and for the rest as ever
};

// ---- switch.cpp -----------------------------------------------------------------------------
/// goroutine: gives way to the next one; `commit` runs once g is off its stack.
void switch_out(M* m, G* g, park_commit commit, void* arg) noexcept;
/// goroutine: to the tail of the global queue, with no successor of its own choice.
void give_way_globally(M* m, G* g) noexcept;
/// goroutine: g can go on, but `next`, which nobody else can take, goes first (explore.cpp).
void hand_turn_over(M* m, G* g, G* next) noexcept;
/// The first code on a thread's g0; schedules until the thread is to end.
[[noreturn]] void g0_start(void* m) noexcept;
/// Any: runs what the goroutine that was left asked to run.
void finish_switch() noexcept;

// ---- schedule.cpp ---------------------------------------------------------------------------
/// g0: the next goroutine for this thread; sleeps until there is one. Null: the thread shall end.
G* schedule(M* m, bool* inherit) noexcept;
/// Any thread that owns p: queues g first in line, or at the tail.
void run_queue_put(P* p, G* g, bool next) noexcept;
void global_put(G* g) noexcept VOLE_REQUIRES(sched.mu);
void global_put_list(g_list& list) noexcept VOLE_REQUIRES(sched.mu);
void global_put_frozen(G* g) noexcept VOLE_REQUIRES(sched.mu);
/// There must be one.
G* global_take_frozen() noexcept VOLE_REQUIRES(sched.mu);
/// Goroutines that any P may take: those in the global queue and the frozen ones.
std::uint32_t global_count() noexcept VOLE_REQUIRES(sched.mu);
/// Takes up to `most` (0: a fair share, SCHED-18) out of the global queue.
g_list global_take(std::uint32_t most) noexcept VOLE_REQUIRES(sched.mu);
/// Gives one of them, queues the others on p. Not under the lock: a cache miss for each.
G* spread(P* p, g_list taken) noexcept;
/// Whoever holds p: its goroutines go where any P finds them.
void give_work_away(P* p) noexcept VOLE_REQUIRES(sched.mu);
std::uint32_t next_random(P* p) noexcept;

// ---- idle.cpp -------------------------------------------------------------------------------
/// Any: makes sure an idle P looks for work that was just published.
void wake_slow() noexcept;
inline bool should_wake() noexcept {
    // seq_cst, both: the other half of the argument in idle.cpp.
    return sched.idle_p_count.load(memory_order_seq_cst) != 0 &&
           sched.spinning.load(memory_order_seq_cst) == 0;
}
inline void wake() noexcept {
    if (should_wake()) [[unlikely]]
        wake_slow();
}
/// Any thread that owns p: the same for a goroutine that was put into p's runnext.
bool skip_wake(P* p) noexcept;
inline void wake_for_next(P* p) noexcept {
    if (should_wake() && !skip_wake(p)) [[unlikely]]
        wake_slow();
}
/// Any: gives p to a thread. False (p is idle again): none sleeps and none can be created.
bool start_m(P* p, bool spinning) noexcept VOLE_EXCLUDES(sched.mu);
/// Any: no thread can be made for p. True: one that sleeps has been found after all.
bool do_without_thread(P* p, bool spinning) noexcept VOLE_EXCLUDES(sched.mu);
/// Puts m, which is about to sleep, into the list, or takes it out again.
void idle_m_put(M* m) noexcept VOLE_REQUIRES(sched.mu);
void idle_m_remove(M* m) noexcept VOLE_REQUIRES(sched.mu);
/// Takes a thread out and leaves it p; to be woken by wake(). m null: there is none.
struct sleeper {
    M* m;
    bool keeps;  // it keeps watch
    void wake() const noexcept;
};
sleeper idle_m_take(P* p) noexcept VOLE_REQUIRES(sched.mu);
/// g0: sleeps until somebody hands over a P.
void stop_m(M* m) noexcept VOLE_EXCLUDES(sched.mu);
/// Any: gives away a P that its M is not going to run.
void hand_off(P* p) noexcept VOLE_EXCLUDES(sched.mu);
void acquire_p(M* m, P* p) noexcept;
P* release_p(M* m) noexcept;
/// release_p, of which the caller records what it is.
P* leave_p(M* m) noexcept;
void idle_p_put(P* p) noexcept VOLE_REQUIRES(sched.mu);
P* idle_p_get() noexcept VOLE_REQUIRES(sched.mu);
/// g0: the thread belongs to a goroutine that is not running: sleeps until it may.
void stop_locked_m(M* m) noexcept;
/// g0: g must run on another thread: gives that one our P.
void start_locked_m(M* m, G* g) noexcept;

// ---- timers.cpp -----------------------------------------------------------------------------
/// g0, with a P: runs what is due in its heap, or, called for help, in another one.
void run_timers(M* m) noexcept;
/// g0, with a P: what is due in all heaps.
bool run_any_timers() noexcept;
/// g0, with a P and nothing to do: stays awake for a deadline that is near. True: look again.
bool await_near_deadline() noexcept;
/// Any: the first of all deadlines, as published: dead ones may be in front.
std::int64_t first_deadline() noexcept;
/// The same, without the dead ones.
std::int64_t first_that_counts() noexcept;
/// m's thread, with a P: whether something in its heap is due, by the M's own clock.
inline bool timers_due_here(M* m) noexcept {
    const std::int64_t first = m->p->first_timer.load(memory_order_relaxed);
    if (first == no_deadline) [[likely]]
        return false;
    if (current_clock_base.load(memory_order_relaxed) != nullptr) return first <= timer_now();
    return first <= m->clock.now();
}
/// Any: whether something in p's heap is due.
bool timers_due(const P* p) noexcept;
/// Any: makes sure that somebody watches.
void watch_first_deadline() noexcept;
/// Any: whether there are deadlines, dead ones among them perhaps.
bool timers_pending() noexcept;
/// sysmon: the first deadline that nobody else waits for.
std::int64_t watched_deadline() noexcept;
/// sysmon: if something is due that nobody waits for, somebody has to see to it. True: so it was.
bool hurry_timers() noexcept;
/// The world is stopped, p is about to end.
void retire_timers(std::uint32_t p) noexcept;

// ---- keeper.cpp, netpoll.cpp ----------------------------------------------------------------
/// g0, without a P and with nothing to do: keeps watch if somebody must. True: m has a P again.
bool keep_watch(M* m) noexcept VOLE_EXCLUDES(sched.mu);
/// Any: the keeper looks again.
void wake_keeper() noexcept;
/// All other threads have gone to sleep: does the keeper keep watch for a good reason?
void review_keeper() noexcept VOLE_EXCLUDES(sched.mu);
/// Any: a P has become idle without a thread that looks for work, or the world goes on: makes sure that somebody watches
/// the deadlines and the poller.
void watch_for_all() noexcept;
/// g0, with a P and nothing to run: looks for goroutines that can go on. True: they are in its queue.
bool poll_here(M* m) noexcept;
/// m's thread, with a P: queues what was found, and wakes another P if that is worth it.
void queue_found(M* m, g_list& found) noexcept;
/// sysmon: looks if nobody else does. True: there were some.
bool poll_for_all(std::int64_t now) noexcept;

// ---- thread.cpp -----------------------------------------------------------------------------
/// Any: a new M that begins with p, or asleep if that is null. False: the system gives no thread.
bool new_m(P* p, bool spinning) noexcept;
/// sysmon: creates the threads that locked threads asked for.
void create_requested_threads() noexcept;
/// Throws std::system_error.
void start_sysmon_thread();

// ---- syscall.cpp ----------------------------------------------------------------------------
/// goroutine: about to make a system call that is usually short; sysmon takes the P if it is not.
void enter_syscall() noexcept;
void leave_syscall() noexcept;
/// sysmon: takes p from a system call that has lasted for more than one of its rounds while there is other work, or for
/// 10 ms.
bool retake(P* p, std::int64_t now) noexcept;
/// goroutine, status syscall, without a P: waits for one.
void take_p_again(M* m, G* g) noexcept;

// ---- sysmon.cpp, stw.cpp, maxprocs.cpp ------------------------------------------------------
void sysmon_main() noexcept;
void wake_sysmon() noexcept;
/// The calling thread must hold no P. One at a time: serialised by a lock of its own.
void stop_the_world() noexcept;
/// Any, signal handlers included: a P that was waited for has come to a halt (p_status::stopped).
void count_stopped() noexcept;
void start_the_world(std::uint32_t procs) noexcept;
/// Called with the world stopped, or before it started. False: no memory for a P.
bool resize_procs(std::uint32_t procs) noexcept;
std::uint32_t initial_procs(int asked) noexcept;
void update_maxprocs() noexcept;

// ---- spawn.cpp, run.cpp, deadlock.cpp -------------------------------------------------------
// Gs lie in slabs, so that all of them can be listed without each being in a list.
struct g_slab {
    static constexpr std::uint32_t count = 64;
    g_slab* next;
    G gs[count];
};
extern atomic<g_slab*> g_slabs;

/// Starts the runtime once; throws std::system_error or std::bad_alloc, and may be tried again. Whether max_procs counted:
/// it did not if the runtime was there, or somebody else's call, or one that failed, has made the Ps.
bool ensure_runtime(int max_procs = 0);
bool runtime_has_started() noexcept;
/// Any, on the thread that owns p: takes a dead goroutine apart.
void recycle(P* p, G* g) noexcept;
void drain_caches(P* p) noexcept VOLE_REQUIRES(sched.mu);
void check_deadlock() noexcept VOLE_EXCLUDES(sched.mu);
/// Calls f(g) for every G there is, live or not. No lock: Gs are never freed.
void for_each_g(void (*f)(G*, void*), void* arg) noexcept;
std::uint64_t count_goroutines() noexcept;
void install_fault_handler() noexcept;
void install_quit_handler() noexcept;
void* install_signal_stack() noexcept;
std::size_t signal_stack_bytes() noexcept;
void remove_signal_stack(void* stack) noexcept;

}  // namespace vole::detail
