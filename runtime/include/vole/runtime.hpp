// Goroutines: starting them, running a program of them, and the scheduler's public face.
// Semantics follow Go's runtime; where C++ makes them differ, the comment says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>
#include <vole/detail/spawn.hpp>
#include <vole/preempt.hpp>
#include <vole/stack.hpp>

namespace vole::inline v0 {

struct go_options {
    std::string_view name = {};  ///< shown in tracebacks; copied
    stack_policy stack = {};
};

enum class uncaught_policy : unsigned char {
    report,  ///< the panic handler is called and the goroutine ends; the main one's exception leaves run()
    abort,  ///< Go's way, in the main goroutine too: the handler is called, then the process ends with status 2
};

struct options {
    /// Number of Ps. 0: the environment's VOLE_MAXPROCS, then the cgroup quota, then the CPUs that
    /// the process may use. Above 0 it counts as set by gomaxprocs(n). At most 4096, else
    /// std::invalid_argument.
    int max_procs = 0;
    /// Whether to end the process with "all goroutines are asleep - deadlock!" when they are.
    /// True for every run that waits, or it is off.
    bool deadlock_detection = true;
    /// What an exception does that no frame of a goroutine catches. True for all goroutines of the process
    /// from this run on.
    uncaught_policy uncaught = uncaught_policy::report;
    /// Whether SIGQUIT (Ctrl-\) writes every goroutine and the registers to stderr and ends the process with
    /// status 2, as Go's; a handler that the program has installed before is called instead of the end.
    /// From the first run that asks for it on.
    bool quit_traceback = false;
};

/// Runs `main` as a goroutine and blocks the calling thread until it returns; gives its result or
/// rethrows what left it. Starts the runtime if need be. Other goroutines are not waited for: they
/// go on, and a later run finds them. May be called again, and from several threads.
/// Throws runtime_error from a goroutine, std::system_error when the first thread cannot be
/// created, std::bad_alloc without memory.
template <class F>
auto run(options opts, F&& main) -> std::invoke_result_t<F> {
    using R = std::invoke_result_t<F>;
    using stored = std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>;
    struct frame {
        F& f;
        std::optional<std::conditional_t<std::is_void_v<R>, char, stored>> result;
    } fr{main, std::nullopt};
    std::exception_ptr error = detail::run_main(
        opts,
        [](void* p) {
            auto* fp = static_cast<frame*>(p);
            if constexpr (std::is_void_v<R>) {
                std::forward<F>(fp->f)();
            } else if constexpr (std::is_reference_v<R>) {
                fp->result.emplace(&std::forward<F>(fp->f)());
            } else {
                fp->result.emplace(std::forward<F>(fp->f)());
            }
        },
        &fr);
    if (error != nullptr) std::rethrow_exception(std::move(error));
    if constexpr (std::is_reference_v<R>) {
        return static_cast<R>(**fr.result);
    } else if constexpr (!std::is_void_v<R>) {
        return std::move(*fr.result);
    }
}

template <class F>
auto run(F&& main) -> std::invoke_result_t<F> {
    return run(options{}, std::forward<F>(main));
}

/// Starts a goroutine that calls f(args...). Everything is copied or moved in the caller, as in
/// std::thread; what f returns is dropped. Happens-before: the call -> f begins.
/// From any thread; starts the runtime if it is not up. Does not block.
/// Throws runtime_error "go of nil func value" for a null f, std::bad_alloc, or what a copy throws;
/// then no goroutine was started. An exception that leaves f ends that goroutine only and is
/// reported: see set_panic_handler in <vole/panic.hpp>.
template <class F, class... A>
    requires(std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>)
[[gnu::always_inline]] inline void go(go_options opts, F&& f, A&&... args) {
    if (detail::is_nil_callable(f)) detail::throw_nil_func();
    if constexpr (sizeof...(A) == 0) {
        detail::spawn<std::decay_t<F>>(opts, std::forward<F>(f));
    } else {
        using call = detail::bound_call<std::decay_t<F>, std::decay_t<A>...>;
        detail::spawn<call>(opts, std::forward<F>(f),
                            std::tuple<std::decay_t<A>...>(std::forward<A>(args)...));
    }
}

template <class F, class... A>
    requires(!std::is_same_v<std::decay_t<F>, go_options> &&
             std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>)
[[gnu::always_inline]] inline void go(F&& f, A&&... args) {
    go(go_options{}, std::forward<F>(f), std::forward<A>(args)...);
}

/// Lets other runnable goroutines run first. On an ordinary thread: gives up its time slice.
void gosched();

/// Ends the calling goroutine: destructors run, `catch (...)` blocks that rethrow are passed.
/// A `catch (...)` that swallows it is a fatal error. On an ordinary thread: runtime_error.
[[noreturn]] void goexit();

/// Sets the number of Ps and returns the previous one; n < 1 only asks. Stops the world for a
/// moment when the number changes. More than 4096: std::invalid_argument.
int gomaxprocs(int n = 0);
/// Recomputes the default (cgroup quota, CPUs; not the environment) and follows it from now on.
void set_default_gomaxprocs();
/// CPUs the process could use when the runtime was first asked; constant afterwards.
int num_cpu();
/// User goroutines that exist now, in whatever state.
std::size_t num_goroutine();
/// Unique in the process, 0 outside a goroutine. For diagnostics only.
std::uint64_t goroutine_id() noexcept;

/// Ties the goroutine to its thread until as many unlock_os_thread calls; the thread runs nothing
/// else, and is destroyed if the goroutine ends while tied. No effect on ordinary threads.
void lock_os_thread();
void unlock_os_thread();

namespace detail {
void enter_blocking() noexcept;
void leave_blocking() noexcept;
void call_on_system_stack(void (*fn)(void*), void* arg);

struct blocking_scope {
    blocking_scope() noexcept { enter_blocking(); }
    ~blocking_scope() { leave_blocking(); }
    blocking_scope(const blocking_scope&) = delete;
    blocking_scope& operator=(const blocking_scope&) = delete;
};
}  // namespace detail

/// Calls f, which may block in the kernel or in foreign code: the P is handed over at once, so that
/// other goroutines go on. Result, exception and errno are f's. f must not use blocking operations
/// of this library (a fatal error says so). On an ordinary thread: just calls f.
template <class F>
auto blocking(F&& f) -> std::invoke_result_t<F> {
    detail::blocking_scope scope;
    return std::forward<F>(f)();
}

/// Calls f on the thread's own, large stack: for C libraries with deep frames. f must not block
/// in operations of this library (a fatal error says so). On an ordinary thread: just calls f.
template <class F>
auto on_system_stack(F&& f) -> std::invoke_result_t<F> {
    using R = std::invoke_result_t<F>;
    if constexpr (std::is_void_v<R>) {
        struct frame {
            F& f;
        } fr{f};
        detail::call_on_system_stack([](void* p) { std::forward<F>(static_cast<frame*>(p)->f)(); },
                                     &fr);
    } else {
        using stored = std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>;
        struct frame {
            F& f;
            std::optional<stored> result;
        } fr{f, std::nullopt};
        detail::call_on_system_stack(
            [](void* p) {
                auto* fp = static_cast<frame*>(p);
                if constexpr (std::is_reference_v<R>) {
                    fp->result.emplace(&std::forward<F>(fp->f)());
                } else {
                    fp->result.emplace(std::forward<F>(fp->f)());
                }
            },
            &fr);
        if constexpr (std::is_reference_v<R>) {
            return static_cast<R>(**fr.result);
        } else {
            return std::move(*fr.result);
        }
    }
}

/// While one exists, no deadlock is reported: something the runtime cannot see (a signal handler,
/// a device, another library) may still wake a goroutine.
class external_waker {
  public:
    external_waker() noexcept;
    ~external_waker();
    external_waker(const external_waker&) = delete;
    external_waker& operator=(const external_waker&) = delete;
};

/// Counters of the scheduler. Sums over all Ps and threads, read without stopping them: each is
/// right at some moment during the call, not all at the same one.
struct runtime_stats {
    std::uint64_t goroutines;              ///< user goroutines that exist now
    std::uint64_t goroutines_created;      ///< since the runtime started
    std::uint64_t coroutines;              ///< that exist now and have not ended
    std::uint64_t threads;                 ///< threads of the runtime now (Ms), sysmon not counted
    std::uint64_t threads_created;         ///< since the runtime started
    std::uint64_t procs;                   ///< Ps
    std::uint64_t idle_procs;              ///< Ps without work now
    std::uint64_t switches;                ///< goroutines resumed or begun
    std::uint64_t direct_switches;         ///< of these, straight from another goroutine
    std::uint64_t steals;                  ///< successful steals
    std::uint64_t stolen;                  ///< goroutines moved by them
    std::uint64_t global_pops;             ///< goroutines taken from the global queue
    preempt::counts preempt;               ///< see <vole/preempt.hpp>
    std::uint64_t handoffs;                ///< Ps given away on entering a blocking call
    std::uint64_t retakes;                 ///< Ps taken by sysmon from system calls
    std::uint64_t stack_slots;             ///< slots of the default size with memory behind them
    std::uint64_t stack_slots_in_use;      ///< of these, held by goroutines or by a P's cache
    std::uint64_t stack_bytes_reserved;    ///< address space reserved for stacks, in bytes
    std::uint64_t stack_bytes_in_use;      ///< of these, held by goroutines or by caches
    std::uint64_t stack_growths;           ///< segments linked or fetched to borrow, and copies
    std::uint64_t stack_copies;            ///< of these, copies
    std::uint64_t stack_shrinks;           ///< stacks of policy copying halved while parked
    std::uint64_t stack_largest;           ///< high-water mark of one goroutine's stack, in bytes
    std::uint64_t stack_bytes_given_back;  ///< of parked goroutines, to caches or the system
    std::uint64_t object_cache_hits;       ///< small objects that a P had memory for
    std::uint64_t object_cache_misses;     ///< that came from the shared depot or malloc instead
    std::uint64_t object_cache_bytes;      ///< what such objects left behind and is kept for others
    std::uint64_t futex_sleeps;            ///< times a thread of the runtime went to sleep
    std::uint64_t futex_wakes;             ///< times one was woken
    std::uint64_t maxprocs_updates;        ///< automatic changes of the number of Ps
};
runtime_stats read_stats();

enum class traceback_scope {
    current,  ///< the calling goroutine
    all,      ///< every goroutine; more than 200: as profile
    profile,  ///< every goroutine, those with equal stacks counted together, most frequent first
};
/// Writes the state of goroutines to a file descriptor, in Go's format: "goroutine N [state]:", the frames
/// of those that do not run elsewhere just now, and where each was created. The runtime's own frames are
/// left out unless the environment says VOLE_TRACEBACK=system. Async-signal-safe; takes no lock. Names are
/// demangled except in a handler that has interrupted code of the C library or the like.
void write_traceback(int fd, traceback_scope scope = traceback_scope::all) noexcept;

}  // namespace vole
