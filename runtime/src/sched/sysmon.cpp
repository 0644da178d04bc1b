// sysmon: the thread without a P that keeps the others honest.
//
// Each round it takes Ps from system calls that last, watches time slices (preempt/watch.cpp), once a
// second looks whether the number of CPUs changed and gives pages of unused stacks
// back, and prints the scheduler's trace if asked. It sleeps 20 us between rounds while there is
// something to do, doubling to 5 ms after 50 idle rounds, and sleeps for good (until woken) while
// every P is idle (SCHED-39..41).
//
// Stack: its own thread's. Takes sched.mu. Allocates nothing.
#include <algorithm>
#include <cstdlib>

#include "runtime/internal/fatal.hpp"
#include "runtime/src/os/settings.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/reclaim.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::int64_t least_sleep_ns = 20'000;
constexpr std::int64_t most_sleep_ns = 5'000'000;
constexpr std::int64_t most_patience_ns = 1'000'000;  // with deadlines that others look after
// While goroutines wait behind one that runs: what its time slice may be off by.
constexpr std::int64_t most_sleep_behind_ns = 2'500'000;
constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t look_ns = 100;  // at one goroutine; all looks together take 1 % of a core

struct round {
    bool did = false;     // something that calls for another look soon
    bool ran = false;     // goroutines, since the last round
    bool behind = false;  // goroutines wait behind one that runs
};

round inspect_all(std::int64_t now) noexcept {
    round result;
    bool asked = false;
    bool waiting = false;  // a goroutine, since the last round, behind one that runs
    const std::uint32_t n = sched.procs.load(memory_order_acquire);
    for (std::uint32_t i = 0; i < n; ++i) {
        P* p = sched.all_ps[i].load(memory_order_acquire);
        if (p == nullptr) continue;
        switch (p->status.load(memory_order_acquire)) {
            case p_status::running:
                result.behind |= watch_slice(p, now);
                asked |= p->slice.asked;
                break;
            case p_status::syscall: result.did |= retake(p, now); break;
            default: break;
        }
        const std::uint64_t switches = p->stats.switches.load(memory_order_relaxed);
        waiting |= !p->runq.empty_hint() && switches == p->seen_switches;
        result.ran |= switches != p->seen_switches;
        p->seen_switches = switches;
    }
    if (!asked && (release_mode.load(memory_order_relaxed) & release_attention) != 0) {
        release_mode.fetch_and(static_cast<unsigned char>(~release_attention),
                               memory_order_relaxed);
    }
    // The goroutines that wake_slow's bet has kept waiting, and nothing else if the argument in
    // idle.cpp is right.
    if (sched.idle_p_count.load(memory_order_relaxed) != 0 &&
        (waiting || sched.global_size.load(memory_order_relaxed) != 0)) {
        wake();
        result.did = true;
    }
    result.behind |= watch_detached(now);
    return result;
}

void trace_line(std::int64_t now, std::int64_t start) noexcept {
    message line;
    line << "SCHED " << static_cast<std::uint64_t>((now - start) / 1'000'000)
         << "ms: gomaxprocs=" << sched.procs.load(memory_order_relaxed)
         << " idleprocs=" << sched.idle_p_count.load(memory_order_relaxed)
         << " threads=" << sched.threads_created.load(memory_order_relaxed)
         << " spinningthreads=" << sched.spinning.load(memory_order_relaxed)
         << " runqueue=" << sched.global_size.load(memory_order_relaxed) << " [";
    const std::uint32_t n = sched.procs.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < n && i < 32; ++i) {
        const P* p = sched.all_ps[i].load(memory_order_acquire);
        if (i != 0) line << " ";
        line << std::uint64_t{p != nullptr ? p->runq.ring_size() : 0};
    }
    line << (n > 32 ? " ...]\n" : "]\n");
    line.write_to(2);
}

// Every P idle: sleeps until start_m's caller, a system call or a second's end wakes it.
void deep_sleep(bool memory_to_give) noexcept {
    sched.sysmon_waiting.store(true, memory_order_seq_cst);
    const std::uint32_t procs = sched.procs.load(memory_order_relaxed);
    if (sched.idle_p_count.load(memory_order_seq_cst) == procs) {
        const bool suspect = sched.deadlock_suspected.load(memory_order_relaxed);
        sched.sysmon_note.sleep_for(suspect          ? 100'000'000
                                    : memory_to_give ? second_ns
                                                     : 60 * second_ns);
    }
    sched.sysmon_waiting.store(false, memory_order_relaxed);
    sched.sysmon_note.clear();
}

}  // namespace

namespace {
// Until the next deadline, if nobody else watches it. The order: timers.hpp, "No deadline is slept over". True: a
// deadline has cut it short.
// `patience`: at least so long. More than the least while the busy Ps see to what is due themselves, since they
// switch often: then it is not to be woken for an earlier deadline either, 10,000 times a second.
bool doze(std::int64_t ns, std::int64_t patience) noexcept {
    const bool relies = patience > least_sleep_ns;
    const std::int64_t now = timer_now();
    const std::int64_t first = watched_deadline();
    std::int64_t until = now + (relies ? std::min(ns, most_patience_ns) : ns);
    // What is due already has been seen to (hurry_timers).
    if (first > now && first < until) until = std::max(first, now + patience);
    if (!relies) sched.sysmon_until.store(until, memory_order_seq_cst);
    const std::int64_t again = watched_deadline();
    if (again >= until || again == first || relies) sched.sysmon_note.sleep_for(until - now);
    sched.sysmon_until.store(0, memory_order_relaxed);
    sched.sysmon_note.clear();
    return first < now + ns;
}

void set_clock(std::int64_t now) noexcept {
    const auto seconds = static_cast<std::uint32_t>(now / second_ns);
    if (sched.seconds.load(memory_order_relaxed) != seconds) {
        sched.seconds.store(seconds, memory_order_relaxed);
    }
}
}  // namespace

// The clock has stood still while it slept, and goroutines are about to run.
void wake_sysmon() noexcept {
    set_clock(nanotime());
    sched.sysmon_note.wake();
}

namespace {
// A keeper that sleeps on a simulated clock is not in the poller.
bool simulated_io() noexcept {
    return current_clock_base.load(memory_order_relaxed) != nullptr && io_waiters() != 0;
}
}  // namespace

void sysmon_main() noexcept {
    const settings& debug = debug_settings();
    const std::int64_t start = nanotime();
    std::int64_t last_trace = start;
    std::int64_t last_update = start;
    std::int64_t next_reclaim = start;
    std::int64_t sleep = least_sleep_ns;
    std::int64_t patience = least_sleep_ns;
    int idle_rounds = 0;
    bool memory_to_give = true;
    bool behind = false;
    bool ran = true;
    for (;;) {
        if (idle_rounds == 0) {
            sleep = least_sleep_ns;
        } else if (idle_rounds > 50 && sleep < most_sleep_ns) {
            sleep *= 2;
            if (sleep > most_sleep_ns) sleep = most_sleep_ns;
        }
        const bool cut_short =
            doze(std::min(sleep, behind ? most_sleep_behind_ns : most_sleep_ns), patience);
        create_requested_threads();
        std::int64_t now = nanotime();
        // Not in a short pause: whoever runs next would have to wake it.
        if (debug.schedtrace_ms <= 0 && !ran && !simulated_io() &&
            sched.idle_p_count.load(memory_order_relaxed) ==
                sched.procs.load(memory_order_relaxed)) {
            deep_sleep(memory_to_give);
            create_requested_threads();
            // acquire: pairs with suspect_deadlock. Taken before it is looked into: see deadlock.cpp.
            if (sched.deadlock_suspected.exchange(false, memory_order_acquire)) check_deadlock();
            idle_rounds = 0;
            memory_to_give = true;  // for all we know
            now = nanotime();
        }
        set_clock(now);
        quick_clock::calibrate();
        const bool needed = hurry_timers();
        patience = cut_short && !needed ? std::min(2 * patience, most_patience_ns) : least_sleep_ns;
        round looked = inspect_all(now);
        looked.did |= poll_for_all(now);
        behind = looked.behind;
        ran = looked.ran;
        idle_rounds = looked.did ? 0 : idle_rounds + 1;
        if (now - last_update >= second_ns) {
            last_update = now;
            update_maxprocs();
            memory_to_give = trim_stacks();
            if (now >= next_reclaim) {
                memory_to_give |= reclaim_parked().more;
                const auto gs = static_cast<std::int64_t>(sched.g_count.load(memory_order_relaxed));
                next_reclaim = now + std::max(second_ns, gs * look_ns * 100);
            }
        }
        if (debug.schedtrace_ms > 0 && now - last_trace >= debug.schedtrace_ms * 1'000'000LL) {
            last_trace = now;
            trace_line(now, start);
        }
    }
}

}  // namespace vole::detail
