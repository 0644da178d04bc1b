// Exploring schedules: a test is run again and again in bubbles (<vole/synctest.hpp>), each time with its goroutines in another
// order, until one fails; that one can be run again exactly.
//
//     vole::synctest::explore([] {
//         account a;                       // with a vole::mutex, say
//         vole::wait_group done;
//         done.go([&] { a.withdraw(60); });
//         done.go([&] { a.withdraw(60); });
//         done.wait();
//         if (a.balance() < 0) throw std::logic_error("overdrawn");
//     });
//
// In an explored bubble one goroutine runs at a time. Before each operation that others can tell apart it may have to let
// another one go first: those of sync (locks, channels, select, groups, conditions, semaphores, contexts, maps, pools), of
// time, of net::pipe, gosched(), and those of vole::atomic and vole::atomic_pair. Which goroutine goes on, which ready
// case select takes and the order of timers that are due at once are the strategy's decisions; nothing is left to chance or to
// the machine, so what was decided says all about a schedule. Time is virtual, as in every bubble. Nobody is preempted.
//
// A schedule fails when an exception leaves f or any other goroutine, or when the bubble is deadlocked, or when goroutines are left over. Then
// explore() writes the goroutines, the schedule and a *replay* to stderr, and throws. With that replay in the environment
// (VOLE_REPLAY) or in the options, explore() runs exactly that schedule, under a debugger too. If a schedule aborts the process,
// by assert() or a fatal error, its replay is written before.
//
// f must do the same each time: it may be run thousands of times, also after it has failed, to find a shorter schedule. What it leaves to
// chance it takes from synctest::random(). What is not seen: unordered accesses to plain memory (ThreadSanitizer sees those), the
// effects of memory orders weaker than sequential consistency, std::atomic, threads and blocking() calls: whoever
// is in one keeps the others waiting. Locks count as the bubble's own, wherever they were made.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include <vole/synctest.hpp>

namespace vole::inline v0::synctest {

/// How the next schedule is made.
enum class strategy : std::uint8_t {
    /// Any goroutine that can go on, each as likely.
    random_walk,
    /// Probabilistic concurrency testing: goroutines have priorities by chance, and `depth` - 1 times the one that runs falls behind
    /// all others. A bug that needs d such changes among k steps of n goroutines is found by each schedule with a probability of at least 1/(n k^(d-1))
    /// (Burckhardt et al., 2010).
    pct,
    /// All schedules, those without preemptions first, then those with one, and so on. Who waits for others in a loop must call
    /// gosched() in it.
    exhaustive,
};

struct explore_options {
    strategy how = strategy::random_walk;
    /// The most that are tried.
    std::uint64_t schedules = 1000;
    /// Real time after which no more are begun. Not positive: no limit.
    clock::duration time_limit{};
    /// As synctest::options::seed.
    std::uint64_t seed = 0;
    /// Of pct: at least 1.
    std::uint32_t depth = 3;
    /// Of exhaustive: how often a goroutine that could go on may be made to wait. Negative: without a bound; then of schedules that
    /// differ only in the order of operations that do not touch each other's objects most are left out (sleep sets). With a bound none
    /// are: the one that is kept might be one of those that need more preemptions, and the bug would be missed.
    int preemptions = 2;
    /// After so many decisions the others come in turn, so that those who wait for others in a loop get on; the schedule counts as cut. One
    /// that is still under way after 100 times as many has failed: a livelock.
    std::uint64_t max_steps = 10'000;
    /// Only this schedule. Empty: what VOLE_REPLAY of the environment says, if anything.
    std::string replay;
    /// Looks for a shorter schedule that fails, too.
    bool shorten = true;
    /// As synctest::options::real_timeout, for all schedules together.
    clock::duration real_timeout = std::chrono::minutes(10);
};

struct explore_result {
    std::uint64_t schedules = 0;
    /// Decisions, of all schedules.
    std::uint64_t steps = 0;
    /// That came to max_steps.
    std::uint64_t cut = 0;
    /// That sleep sets showed to be like others, half-way.
    std::uint64_t redundant = 0;
    /// There is no other schedule, within the bound: none has been left out, and none was cut.
    bool complete = false;
};

namespace detail {
explore_result run_exploration(const explore_options& opts, void (*fn)(void*), void* arg);
}

/// Runs f() under one schedule after the other. Throws what the first schedule that fails ended with: the exception that left f or
/// another goroutine, or runtime_error with the text of the deadlock. Throws std::invalid_argument for options or a replay that make no
/// sense. Otherwise as test(): from goroutines and threads, not in a bubble.
template <class F>
    requires(std::is_invocable_v<F&>)
explore_result explore(const explore_options& opts, F&& f) {
    struct callee {
        F& f;
    } c{f};
    return detail::run_exploration(
        opts, [](void* p) { static_cast<callee*>(p)->f(); }, &c);
}
template <class F>
    requires(std::is_invocable_v<F&>)
explore_result explore(F&& f) { return explore(explore_options{}, std::forward<F>(f)); }

}  // namespace vole::synctest
