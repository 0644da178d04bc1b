// Sending the signal: to a thread that burns CPU time, and to no other.
//
// Each M has a timer on its own CPU clock; sysmon sets it to the least time there is. It fires only while
// the thread runs, and the kernel delivers it on the way back to user code, so no system call of the
// program ever returns EINTR because of it. tgkill instead, sent to a thread that looks as if it ran, hits
// one call in five of a program that blocks a lot. It is used where no timer can be had (the limit of
// pending signals), and only on threads that the kernel calls running.
//
// The kernel's timers are used directly: glibc's timer_create allocates. Stack: as preempt.hpp says.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "runtime/internal/may_fail.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

namespace {

int make_cpu_timer(M* m) noexcept {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = preempt_settings.signal;
    event.sigev_value.sival_ptr = m;
    event._sigev_un._tid = m->tid.load(memory_order_relaxed);
    int timer = -1;
    if (may_fail<fallible::timer_create>(::syscall, SYS_timer_create, CLOCK_THREAD_CPUTIME_ID,
                                         &event, &timer) != 0)
        return -1;
    return timer;
}

}  // namespace

void begin_preemptible_thread(M* m) noexcept {
    const int saved = errno;
    m->tid.store(static_cast<int>(syscall(SYS_gettid)), memory_order_relaxed);
    m->attention.store(0, memory_order_relaxed);
    m->detached_since.store(0, memory_order_relaxed);
    m->signal_sent.store(false, memory_order_relaxed);
    m->signals_useless = false;
    runtime_depth()->store(1, memory_order_relaxed);  // it begins in the scheduler
    if (signals_on()) {
        sigset_t ours;
        sigemptyset(&ours);
        sigaddset(&ours, preempt_settings.signal);
        pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
        m->cpu_timer = make_cpu_timer(m);
    }
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    std::memcpy(&m->signal_mask, &mask, sizeof(m->signal_mask));
    {
        lock_guard held(sched.mu);
        m->depth = runtime_depth();
    }
    errno = saved;
}

void end_preemptible_thread(M* m) noexcept {
    const int timer = m->cpu_timer;
    {
        lock_guard held(sched.mu);  // sysmon looks at both under it
        m->depth = nullptr;
        m->cpu_timer = -1;
    }
    if (timer >= 0) syscall(SYS_timer_delete, timer);
}

bool send_preempt_signal(M* m) noexcept {
    if (m->signals_useless) return false;
    bool sent = false;
    lock_guard held(sched.mu);
    if (m->depth == nullptr) return false;  // the thread has ended
    if (m->cpu_timer >= 0) {
        itimerspec soon{};
        soon.it_value.tv_nsec = 1;
        sent = may_fail<fallible::timer_settime>(::syscall, SYS_timer_settime, m->cpu_timer, 0,
                                                 &soon, nullptr) == 0;
    } else if (!m->signal_sent.load(memory_order_relaxed) && looks_running(m)) {
        m->signal_sent.store(true, memory_order_relaxed);
        sent = may_fail<fallible::tgkill>(::syscall, SYS_tgkill, getpid(),
                                          m->tid.load(memory_order_relaxed),
                                          preempt_settings.signal) == 0;
        if (!sent) m->signal_sent.store(false, memory_order_relaxed);  // or none would be again
    }
    if (sent) count_up(preempt_total.signals_sent);
    return sent;
}

}  // namespace vole::detail
