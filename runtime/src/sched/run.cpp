// Starting the runtime, and run(): a main goroutine that a thread waits for.
//
// The runtime starts once, at the first run() or go(), from whatever thread; nothing runs before,
// and nothing of it has a static destructor. A failed start leaves nothing behind and may be tried
// again. It never stops: goroutines that are left when the process exits are not unwound.
//
// Stack: ordinary threads for run_main and the start; goroutine for main_entry.
#include <pthread.h>

#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include <vole/panic.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/membarrier.hpp"
#include "runtime/src/os/process_threads.hpp"
#include "runtime/src/os/settings.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/default.hpp"
#include "runtime/src/trace/gdb/layout.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

enum : std::uint32_t { not_started, starting, started };
constinit atomic<std::uint32_t> state{not_started};

// In the child of a fork only the forking thread lives: the runtime is not to be used there.
// The next entry of that thread's goroutine, and every path of ordinary threads, finds out.
void poison_child() {
    sched.poisoned.store(true, memory_order_relaxed);
    if (M* m = current_m(); m != nullptr) m->attention.store(attend_preempt, memory_order_relaxed);
}

// Up to the monitor's thread, from which on others may look at what is here: that is done once, even if there is no
// thread for goroutines afterwards.
void prepare(int max_procs) {
    lock_ranks_checked = debug_settings().lockrank;
    // A use, so that the linker keeps it.
    asm volatile("" : : "r"(&vole_debug_layout));
    start_recording_as_asked();
    const std::uint32_t procs = initial_procs(max_procs);
    if (!resize_procs(procs)) throw std::bad_alloc();
    if (!promise_slots(1)) throw std::bad_alloc();
    {
        lock_guard held(sched.mu);
        while (idle_p_get() != nullptr) {
        }
        for (std::uint32_t i = procs; i-- > 0;) {
            idle_p_put(sched.all_ps[i].load(memory_order_relaxed));
        }
    }
    prepare_process_threads();
    start_preemption();
    start_sysmon_thread();
    pthread_atfork(nullptr, nullptr, poison_child);
    install_fault_handler();
    install_terminate_handler();
    arch::this_port::prepare();
    enable_restartable_release();
}

// Whether max_procs counted.
bool start(int max_procs) {
    static constinit bool prepared = false;
    const bool first = !prepared;
    if (first) prepare(max_procs);
    prepared = true;
    // The first thread: without any there would be nobody to do what later fails to get one.
    P* p = nullptr;
    {
        lock_guard held(sched.mu);
        p = idle_p_get();
    }
    if (!start_m(p, false)) {
        throw std::system_error(EAGAIN, std::generic_category(),
                                "vole: cannot create the first thread of the runtime (is the "
                                "limit of processes, ulimit -u, reached?)");
    }
    return first;
}

[[gnu::noinline]] bool ensure_slow(int max_procs) {
    for (;;) {
        std::uint32_t seen = not_started;
        // acq_rel: the starter sees what an earlier failed start left; others see the whole start.
        if (state.compare_exchange_strong(seen, starting, memory_order_acq_rel,
                                          memory_order_acquire)) {
            bool counted = false;
            try {
                counted = start(max_procs);
            } catch (...) {
                state.store(not_started, memory_order_release);
                futex_wake(&state, 1 << 30);
                throw;
            }
            state.store(started, memory_order_release);
            futex_wake(&state, 1 << 30);
            return counted;
        }
        if (seen == started) return false;
        futex_wait(&state, starting);
    }
}

struct main_call {
    void (*fn)(void*);
    void* arg;
    bool detect;
    std::exception_ptr error;
    note done;
};

void main_entry(void* closure) {
    main_call* call = *static_cast<main_call**>(closure);
    G* g = current_g();
    g->is_main = true;
    call->error = run_outermost(call->fn, call->arg, true);
    g->is_main = false;
    {
        const runtime_pin pin;
        // Before the waiter can be seen as waiting for a main that is gone.
        lock_guard held(sched.mu);
        --sched.runs_waiting;
        if (!call->detect) --sched.runs_undetected;
    }
    // run() returns when the goroutine has ended (end_commit), so that it is not counted any more.
    g->param = &call->done;
    g->wakes_run = true;
}

constexpr closure_type main_closure{main_entry, nullptr};

}  // namespace

bool runtime_has_started() noexcept { return state.load(memory_order_acquire) != not_started; }

bool ensure_runtime(int max_procs) {
    // acquire: pairs with the release after the start.
    if (state.load(memory_order_acquire) == started) [[likely]]
        return false;
    return ensure_slow(max_procs);
}

std::exception_ptr run_main(const options& opts, void (*fn)(void*), void* arg) {
    if (current_m() != nullptr) {
        throw runtime_error("vole::run called from a goroutine; use vole::go there");
    }
    if (opts.max_procs > max_procs_limit) {
        throw std::invalid_argument("vole::run: options.max_procs is " +
                                    std::to_string(opts.max_procs) +
                                    ", more than the limit of 4096 Ps");
    }
    const bool counted = ensure_runtime(opts.max_procs);
    if (!counted && opts.max_procs > 0) gomaxprocs(opts.max_procs);

    set_uncaught_policy(opts.uncaught);
    if (opts.quit_traceback) install_quit_handler();

    main_call call{fn, arg, opts.deadlock_detection, nullptr, {}};
    const go_options main_options{.name = {}, .stack = default_main_stack()};
    spawn_ticket t = spawn_begin(main_options, sizeof(main_call*), alignof(main_call*));
    ::new (t.storage) main_call*(&call);
    {
        // Counted, but not queued yet: nobody may take that for a deadlock.
        external_waker not_queued_yet;
        {
            lock_guard held(sched.mu);
            ++sched.runs_waiting;
            if (!call.detect) ++sched.runs_undetected;
        }
        spawn_commit(t, &main_closure);
    }
    call.done.sleep();
    wait_for_reports();
    return std::move(call.error);
}

}  // namespace vole::detail
