// Threads: creating Ms, their first and last steps, and sysmon's thread.
//
// A new thread inherits signal mask, affinity, namespaces and working directory of its creator, so
// none is ever created by a thread that a goroutine has locked and may have changed: such requests
// go to sysmon, whose thread stays as the process made it (SCHED-54).
//
// Stack: any for new_m; the thread's own for the rest.
#include <cxxabi.h>
#include <pthread.h>
#include <sys/prctl.h>

#include <cerrno>
#include <system_error>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/os/permanent.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

void begin_thread(M* m) noexcept {
    arch::this_port::set_current_m(m);
    m->eh = reinterpret_cast<eh_state*>(abi::__cxa_get_globals());
    m->errno_ptr = &errno;
    m->signal_stack = install_signal_stack();
    // What this thread sleeps for is a goroutine's deadline: 50 us late, as by default, will not do.
    prctl(PR_SET_TIMERSLACK, 1'000UL, 0, 0, 0);
    tell_thread(m);
    begin_preemptible_thread(m);
    if (m->next_p != nullptr) acquire_p(m, m->next_p);
    m->next_p = nullptr;
}

void end_thread(M* m) noexcept {
    end_preemptible_thread(m);
    arch::this_port::set_current_m(nullptr);
    remove_signal_stack(m->signal_stack);
    m->signal_stack = nullptr;
    m->exiting = false;
    bool last = false;
    {
        lock_guard held(sched.mu);
        m->link = sched.dead_ms;
        sched.dead_ms = m;
        --sched.m_count;
        last = sched.m_count != 0 && sched.idle_m_count + sched.locked_m_idle == sched.m_count;
    }
    if (last) check_deadlock();
}

void* thread_main(void* arg) {
    M* m = static_cast<M*>(arg);
    begin_thread(m);
    arch::vole_gosave(&m->exit_context, g0_start, m);
    end_thread(m);  // somebody went to exit_context: m's locked goroutine is gone
    return nullptr;
}

// errno value, 0 for success.
int create_thread(void* (*main)(void*), void* arg) noexcept {
    pthread_attr_t attr;
    if (const int e = pthread_attr_init(&attr); e != 0) return e;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    const int e = os::pthread_create(&thread, &attr, main, arg);
    pthread_attr_destroy(&attr);
    return e;
}

M* take_m() noexcept {
    {
        lock_guard held(sched.mu);
        if (sched.m_count >= sched.m_limit) {
            // Cannot be survived: every one of these threads is blocked, and more want to.
            static constexpr char text[] = "runtime: program exceeds 10000-thread limit";
            sched.mu.release();
            fatal("thread exhaustion", text);
        }
        ++sched.m_count;
        if (M* m = sched.dead_ms; m != nullptr) {
            sched.dead_ms = m->link;
            return m;
        }
    }
    if (void* memory = permanent_alloc(sizeof(M), alignof(M)); memory != nullptr) {
        M* m = ::new (memory) M;
        // acquire, here and on failure: head's id is read.
        M* head = sched.all_ms.load(memory_order_acquire);
        do {
            m->all = head;
            m->id = head != nullptr ? head->id + 1 : 0;
        } while (!sched.all_ms.compare_exchange_weak(head, m, memory_order_acq_rel,
                                                     memory_order_acquire));
        return m;
    }
    lock_guard held(sched.mu);
    --sched.m_count;
    return nullptr;
}

void put_back(M* m) noexcept {
    if (m->next_p != nullptr) record_p(record_kind::unhand, m->next_p, m);
    m->next_p = nullptr;
    m->spinning = false;
    lock_guard held(sched.mu);
    m->link = sched.dead_ms;
    sched.dead_ms = m;
    --sched.m_count;
}

void report_once(int error) noexcept {
    static constinit atomic<bool> said{false};
    if (said.exchange(true, memory_order_relaxed)) return;
    message text;
    text << "vole: cannot create another thread (errno " << static_cast<std::uint64_t>(error)
         << "); goroutines go on with those there are. "
            "More may be allowed by `ulimit -u` or the cgroup's pids.max.\n";
    text.write_to(2);
}

bool launch(M* m) noexcept {
    const int saved = errno;
    const int e = create_thread(thread_main, m);
    errno = saved;
    if (e != 0) {
        report_once(e);
        return false;
    }
    sched.threads_created.fetch_add(1, memory_order_relaxed);
    return true;
}

void* sysmon_thread(void*) {
    sysmon_main();
    return nullptr;
}

}  // namespace

bool new_m(P* p, bool spinning) noexcept {
    M* m = take_m();
    if (m == nullptr) return false;
    m->next_p = p;
    m->spinning = spinning;
    if (p != nullptr) record_p(record_kind::hand, p, m);
    if (const M* creator = current_m(); creator != nullptr && creator->locked_g != nullptr) {
        {
            lock_guard held(sched.mu);
            m->link = sched.wanted_ms;
            sched.wanted_ms = m;
        }
        wake_sysmon();
        return true;
    }
    if (launch(m)) return true;
    put_back(m);
    return false;
}

void create_requested_threads() noexcept {
    for (;;) {
        M* m = nullptr;
        {
            lock_guard held(sched.mu);
            m = sched.wanted_ms;
            if (m == nullptr) return;
            sched.wanted_ms = m->link;
        }
        if (launch(m)) continue;
        P* p = m->next_p;
        const bool spinning = m->spinning;
        put_back(m);
        if (p != nullptr) do_without_thread(p, spinning);
    }
}

void start_sysmon_thread() {
    if (const int e = create_thread(sysmon_thread, nullptr); e != 0) {
        throw std::system_error(e, std::generic_category(),
                                "vole: cannot create the runtime's monitor thread (is the limit "
                                "of processes, ulimit -u, reached?)");
    }
}

}  // namespace vole::detail
