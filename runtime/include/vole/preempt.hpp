// Preemption: what a program may choose, and what it must tell the runtime about its code.
//
// A goroutine that runs for longer than 10 ms while others wait is asked to give way. It does so at its
// next operation of this library. If none comes, and it is in code that may be interrupted, a signal stops
// it where it is, and it goes on later, on the same thread. If it blocks in the kernel, or nowhere offers
// such a place, its P is taken away without a signal: it goes on alone until its next operation.
// runtime/src/preempt/README.md tells how; HAZARDS.md what a program must not do.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>

#include <vole/config.hpp>

namespace vole::inline v0::preempt {

enum class migration {
    same_thread,  ///< a goroutine that a signal has stopped goes on on its thread: always right
    /// As in Go: it may go on on any thread. Only for code that has no thread-bound state across any
    /// instruction: no thread_local, no errno, no std::mutex. amd64 only, not under ASan.
    free,
};

struct settings {
    /// Whether goroutines are stopped by signals at all. Off: only operations and taking Ps away.
    bool signals = true;
    /// The signal used. Only this one is ours; SIGURG is ignored by default and by debuggers.
    int signal = SIGURG;
    migration preempt_migration = migration::same_thread;
    /// How many threads may wait, each with the goroutine that a signal stopped on it. From half of it on,
    /// goroutines whose like have mostly been stopped do not begin until fewer are; at it, a stopped
    /// goroutine gives way only to another that is stopped. At least 1, at most 10,000.
    std::uint32_t max_frozen = 64;
};

/// Before the runtime starts (the first run or go): runtime_error if it has. Throws std::invalid_argument
/// for a signal that cannot be used, max_frozen out of range, or a migration that this build cannot do.
void configure(const settings& s);

/// A stretch of machine code.
struct code_range {
    const void* begin = nullptr;
    const void* end = nullptr;  ///< one past
};

/// Goroutines may be stopped by signals in the executable code of the shared library (or plugin) that
/// `address` lies in: the main program's is known, no other. Only for libraries whose code takes no lock
/// that spins, and is no allocator. A library that is closed must be forgotten first. Throws
/// std::invalid_argument when no loaded library holds the address, runtime_error when 64 ranges are known.
void add_library(const void* address);
void forget_library(const void* address);

/// Never in here, though the library or program around it is known: code that must not be stopped, such
/// as an allocator of the program's own, or hand-written code that switches stacks. Throws
/// std::invalid_argument when begin is not below end, runtime_error when 64 ranges are known.
void add_unsafe_range(code_range r);

/// Counted since the runtime started, but for the last two.
struct counts {
    std::uint64_t requests;         ///< time slices above 10 ms, and stops of the world
    std::uint64_t yields;           ///< followed at the next operation
    std::uint64_t signals_sent;     ///<
    std::uint64_t signals_seen;     ///< by the handler; the sum of the following eleven
    std::uint64_t freezes;          ///< goroutines stopped, with their threads
    std::uint64_t injections;       ///< goroutines stopped by an injected call (migration::free)
    std::uint64_t refused_request;  ///< nothing was asked any more
    std::uint64_t refused_runtime;  ///< inside the runtime, or on a thread's own stack
    std::uint64_t refused_stack;    ///< the stack pointer was not on the goroutine's stack
    std::uint64_t refused_code;     ///< in code that must not be stopped: libc, libstdc++, ...
    std::uint64_t refused_handler;  ///< in a signal handler of the program, or with signals blocked
    std::uint64_t refused_work;     ///< nothing else to run
    std::uint64_t refused_thread;   ///< no thread to go on with
    std::uint64_t refused_cap;      ///< max_frozen threads are frozen
    std::uint64_t refused_elsewhere;  ///< the handler ran on a signal stack that is not ours
    std::uint64_t passed_on;          ///< signals that were not ours: to the program's own handler
    std::uint64_t detached_blocked;   ///< Ps taken from goroutines that the kernel had blocked
    std::uint64_t detached_running;   ///< and from ones that were nowhere to be stopped for 20 ms
    std::uint64_t returns;            ///< goroutines that took a P again after that
    std::uint64_t
        interrupted_calls;      ///< system calls that returned EINTR because of our signal: stays 0
    std::uint64_t frozen;       ///< threads that are frozen now
    std::uint64_t most_frozen;  ///< at any time
};

}  // namespace vole::preempt
