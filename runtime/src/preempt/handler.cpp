// The signal handler: decides whether the goroutine may be stopped here, and stops it.
//
// The rules, all of which must hold; each has its reason (design: README.md):
//   a request is pending                 it may have been answered, or the goroutine have changed
//   depth == 0, a goroutine on its own   the runtime is not used by itself in the middle
//     stack, our signal stack
//   the PC is in preemptible code        nothing of libc, the allocator, the unwinder, ld.so is held
//   the signal mask is the thread's      a handler of the program would be stopped, on top of whatever it
//     first                              interrupted
//   other work, and a thread for it      else nothing is gained
//
// Signals that are not ours (by si_code and si_value) go to the handler that was there before.
//
// Stack: signal. No lock but sched.mu (freeze.cpp), no allocation, no C library but system calls; errno is
// as it was on return.
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include <ucontext.h>
#include <unistd.h>

#include "runtime/internal/entry.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

namespace {

struct sigaction previous;

bool is_ours(const M* m, const siginfo_t* info) noexcept {
    if (m == nullptr) return false;
    if (info->si_code == SI_TIMER) return info->si_value.sival_ptr == m;
    return info->si_code == SI_TKILL && info->si_pid == getpid() &&
           m->signal_sent.load(memory_order_relaxed);
}

void pass_on(int signal, siginfo_t* info, void* context) noexcept {
    count_up(preempt_total.passed_on);
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        if (previous.sa_sigaction != nullptr) previous.sa_sigaction(signal, info, context);
        return;
    }
    if (previous.sa_handler == SIG_IGN) return;
    if (previous.sa_handler != SIG_DFL) {
        previous.sa_handler(signal);
        return;
    }
    // SIGURG's default is to be ignored. Another signal's may be to end the process: as it would have.
    if (signal == SIGURG || signal == SIGCHLD || signal == SIGWINCH || signal == SIGCONT) return;
    struct sigaction fallback {};
    fallback.sa_handler = SIG_DFL;
    os::sigaction(signal, &fallback, nullptr);
    raise(signal);  // delivered when the handler returns
}

bool on_own_signal_stack(const M* m) noexcept {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const auto lo = reinterpret_cast<std::uintptr_t>(m->signal_stack);
    return lo != 0 && here - lo < signal_stack_bytes();
}

bool mask_is_first(const M* m, const ucontext_t* c) noexcept {
    std::uint64_t mask = 0;
    std::memcpy(&mask, &c->uc_sigmask, sizeof(mask));
    return mask == m->signal_mask;
}

// The rules that can be looked at without being inside the runtime.
refusal judge(M* m, const ucontext_t* c, const arch::interrupted_point& at) noexcept {
    if ((m->attention.load(memory_order_relaxed) & (attend_preempt | attend_detached)) == 0) {
        return refusal::request;
    }
    const G* g = m->curg;
    if (runtime_depth()->load(memory_order_relaxed) != 0 || g == nullptr || m->on_system_stack ||
        m->blocking_depth != 0 || sched.poisoned.load(memory_order_relaxed)) {
        return refusal::runtime;
    }
    if (!on_own_signal_stack(m)) {
        m->signals_useless = true;
        return refusal::elsewhere;
    }
    const stack_segment* s = g->stack;
    const auto lo = reinterpret_cast<std::uintptr_t>(s->lo);
    if (at.sp - lo >= reinterpret_cast<std::uintptr_t>(s->hi()) - lo) return refusal::stack;
    if (!is_preemptible(at.pc)) return refusal::code;
    if (!mask_is_first(m, c)) return refusal::handler;
    return refusal::none;
}

refusal stop(M* m, void* context) noexcept {
    G* g = m->curg;
    if (preempt_settings.preempt_migration == preempt::migration::free) {
        if (arch::in_port_code(arch::this_port::interrupted(context).pc)) return refusal::code;
        if (m->p != nullptr && m->p->runq.empty_hint() &&
            sched.global_size.load(memory_order_relaxed) == 0 &&
            !sched.stopping.load(memory_order_relaxed) && !timers_due(m->p)) {
            return refusal::work;
        }
        if (inject(m, g, context)) return refusal::none;
    }
    // As an entry into the runtime (entry.hpp); from here on the thread keeps its P or its lack of one.
    const runtime_pin pin;
    return freeze(m, g, context);
}

void on_preempt_signal(int signal, siginfo_t* info, void* context) {
    const int saved = errno;
    M* m = current_m();
    if (!is_ours(m, info)) {
        pass_on(signal, info, context);
        errno = saved;
        return;
    }
    m->signal_sent.store(false, memory_order_relaxed);
    count_up(preempt_total.signals_seen);
    const arch::interrupted_point at = arch::this_port::interrupted(context);
    if (arch::this_port::call_was_interrupted(context)) count_up(preempt_total.interrupted_calls);
    refusal why = judge(m, static_cast<const ucontext_t*>(context), at);
    if (why == refusal::none) why = stop(m, context);
    if (why != refusal::none) {
        count_up(preempt_total.refusals[static_cast<std::size_t>(why)]);
        tell({.kind = preempt_event::what::refused,
              .why = why,
              .goroutine = m->curg != nullptr ? m->curg->id : 0,
              .tid = m->tid.load(memory_order_relaxed),
              .pc = at.pc,
              .sp = at.sp});
    }
    errno = saved;
}

}  // namespace

void install_preempt_handler() {
    struct sigaction ours {};
    ours.sa_sigaction = on_preempt_signal;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    // A frozen thread runs no other handler: it would run without a P, on a goroutine that is stopped.
    // Faults of our own stay visible.
    sigfillset(&ours.sa_mask);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
        sigdelset(&ours.sa_mask, fault);
    }
    if (os::sigaction(preempt_settings.signal, &ours, &previous) != 0) {
        throw std::system_error(errno, std::generic_category(),
                                "vole: cannot install the handler of the preemption signal");
    }
}

void check_preempt_handler() noexcept {
    static constinit bool said = false;
    if (said) return;
    struct sigaction now {};
    os::sigaction(preempt_settings.signal, nullptr, &now);
    if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_preempt_signal) return;
    said = true;
    message text;
    text << "vole: the handler of signal " << static_cast<std::uint64_t>(preempt_settings.signal)
         << " has been replaced after the runtime started: goroutines that loop keep their thread "
            "until "
            "their next operation. Install yours before, or choose another signal with "
            "vole::preempt::configure.\n";
    text.write_to(2);
}

}  // namespace vole::detail
