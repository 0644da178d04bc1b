// Preemption, seen by the scheduler: sched.hpp includes this. README.md here has the whole story.
//
// Reading order: watch.cpp (who is asked, and when), attention.cpp (answers at the runtime's entries),
// handler.cpp (the signal), freeze.cpp (the goroutine that waits on its thread), inject.cpp (the one that
// does not), detach.cpp (taking a P without a signal), code.cpp (where a signal may stop), narrate.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/preempt.hpp>

#include "runtime/internal/m.hpp"
#include "runtime/internal/thread_safety.hpp"

namespace vole::inline v0::detail {

inline constexpr std::int64_t slice_ns = 10'000'000;

#if defined(VOLE_TSAN)
inline constexpr bool has_signal_preemption = false;  // TSan delivers signals when it sees fit
#else
inline constexpr bool has_signal_preemption = true;
#endif
#if !defined(VOLE_TSAN) && !defined(VOLE_ASAN)
inline constexpr bool has_injection = arch::this_port::can_inject;
#else
inline constexpr bool has_injection = false;
#endif

/// sysmon's notes about the time slice that a P is in.
struct slice_notes {
    std::uint32_t tick = 0;  // P::sched_tick when it was noticed
    bool asked = false;      // a request was made in it
    std::int64_t when = 0;   // it was noticed
    std::int64_t last_signal = 0;
    std::int64_t cpu = -1;  // the thread's CPU clock at cpu_when; -1: not read in this slice
    std::int64_t cpu_when = 0;
};

/// Why a signal stopped nothing; the order of preempt::counts.
enum class refusal : std::uint8_t {
    none,
    request,
    runtime,
    stack,
    code,
    handler,
    work,
    thread,
    cap,
    elsewhere,
    count
};

struct preempt_totals {
    atomic<std::uint64_t> requests{0}, yields{0}, signals_sent{0}, signals_seen{0};
    atomic<std::uint64_t> freezes{0}, injections{0}, passed_on{0};
    atomic<std::uint64_t> refusals[static_cast<std::size_t>(refusal::count)] = {};
    atomic<std::uint64_t> detached_blocked{0}, detached_running{0}, returns{0};
    atomic<std::uint64_t> interrupted_calls{0}, most_frozen{0};
};
extern preempt_totals preempt_total;
inline void count_up(atomic<std::uint64_t>& n) noexcept { n.fetch_add(1, memory_order_relaxed); }

// ---- settings.cpp ---------------------------------------------------------------------------
/// Fixed when the runtime starts.
extern preempt::settings preempt_settings;
/// When the runtime starts: handler, code, narrator. Throws std::system_error.
void start_preemption();

// ---- attention.cpp --------------------------------------------------------------------------
/// goroutine: never to be left again.
void enter_for_the_last_time() noexcept;

// ---- watch.cpp ------------------------------------------------------------------------------
/// sysmon, each round, for a P that runs. True: goroutines wait behind it.
bool watch_slice(P* p, std::int64_t now) noexcept;
/// sysmon, each round: goroutines that run without a P. True: there are some.
bool watch_detached(std::int64_t now) noexcept;
/// sysmon: the kernel says that its thread runs, or waits for a CPU.
bool looks_running(const M* m) noexcept;
/// Any: asks the goroutine that runs on p to give way.
void ask_to_yield(P* p) noexcept;

// ---- signal.cpp -----------------------------------------------------------------------------
/// On the thread of m.
void begin_preemptible_thread(M* m) noexcept;
void end_preemptible_thread(M* m) noexcept;
/// sysmon: a signal when the thread next burns CPU time. False: not to this one.
bool send_preempt_signal(M* m) noexcept;  // also the one who stops the world
bool signals_on() noexcept;

// ---- handler.cpp ----------------------------------------------------------------------------
/// Throws std::system_error.
void install_preempt_handler();
/// sysmon: says once on stderr if the program has put its own handler in the place of ours.
void check_preempt_handler() noexcept;

// ---- freeze.cpp -----------------------------------------------------------------------------
/// Signal handler, depth above zero, no retake under way: the thread waits until its goroutine is run
/// again. Anything but none: nothing has happened.
refusal freeze(M* m, G* g, void* context) noexcept;
/// g0: g has not begun yet and is about to, on p. Gives another instead if that is to go first; then g is
/// queued again. Null: thieves have been faster, look again.
G* prefer_frozen(P* p, G* g) noexcept;
std::uint32_t frozen_threads() noexcept;
/// sysmon: all that waits for p are goroutines that are frozen, or likely to be.
bool only_hogs_wait_for(const P* p) noexcept;

// ---- inject.cpp -----------------------------------------------------------------------------
/// Before it is used; false: the processor cannot.
bool prepare_injection() noexcept;
/// Signal handler: makes the goroutine call vole_async_preempt when it returns. False: no room.
bool inject(const M* m, const G* g, void* context) noexcept;

// ---- detach.cpp -----------------------------------------------------------------------------
enum class detach_reason : std::uint8_t { blocked, running };
/// sysmon: takes p from the goroutine on it, which goes on without. False: it is inside the runtime.
bool detach(P* p, detach_reason why) noexcept;
/// Goroutines that run without a P now, having been detached.
std::uint64_t detached_threads() noexcept;

// ---- code.cpp -------------------------------------------------------------------------------
/// Where goroutines may be stopped. Async-signal-safe.
bool is_preemptible(std::uintptr_t pc) noexcept;
/// When the runtime starts.
void find_preemptible_code() noexcept;

// ---- narrate.cpp ----------------------------------------------------------------------------
struct preempt_event {
    enum class what : std::uint8_t {
        request,
        refused,
        frozen,
        resumed,
        injected,
        detached,
        returned
    };
    what kind = what::request;
    refusal why = refusal::none;
    detach_reason how = detach_reason::blocked;
    std::uint64_t goroutine = 0;
    int tid = 0;     // the thread of that goroutine
    int to_tid = 0;  // the one that goes on with its P; 0: none, or not known
    std::uintptr_t pc = 0;
    std::uintptr_t sp = 0;
    std::uint64_t bytes = 0;  // saved, by the kernel or by us
    std::int64_t ns = 0;      // frozen, detached: for how long
};
extern bool preempt_is_told;
/// Any stack, signal handlers included. Events are lost when the narrator does not keep up, and counted.
void tell_slow(const preempt_event& e) noexcept;
inline void tell(const preempt_event& e) noexcept {
    if (preempt_is_told) [[unlikely]]
        tell_slow(e);
}
void start_narrator();
std::uint64_t narrator_threads() noexcept;

}  // namespace vole::detail
