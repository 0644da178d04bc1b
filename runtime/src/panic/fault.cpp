// Faults of instructions: SIGSEGV, SIGBUS, SIGFPE. In this order, the handler
//   reports a goroutine that has run into its guard (stack/overflow.cpp), or into a stack it has left;
//   makes the goroutine throw, if the code was built for it (-fnon-call-exceptions, see <vole/panic.hpp>)
//     and the tables say that an exception can leave: it returns to vole_fault instead of the instruction;
//   calls the handler that was there before;
//   says what happened and where everybody is, and lets the default action end the process.
//
// What throws must be the program's own code, outside the runtime, on its goroutine's own stack.
//
// Stack: signal (each M has one); vole_throw_fault the goroutine's. Async-signal-safe: no lock, no malloc but
// for demangling where that is safe.
#include <csignal>

#include <cerrno>
#include <cstring>

#include <vole/panic.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/panic/fault.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/panic/landing.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/grow.hpp"
#include "runtime/src/stack/verify.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE};
struct sigaction previous[3];

struct sigaction& previous_of(int signal) noexcept {
    return previous[signal == SIGSEGV ? 0 : signal == SIGBUS ? 1 : 2];
}

// A page at address 0 is never mapped; members of a null object lie in it.
constexpr std::uintptr_t first_page = 4096;

const char* name_of(int signal) noexcept {
    switch (signal) {
        case SIGSEGV: return "SIGSEGV: segmentation violation";
        case SIGBUS: return "SIGBUS: bus error";
        case SIGFPE: return "SIGFPE: floating-point exception";
        default: return "signal";
    }
}

// What Go panics for too.
const char* error_of(int signal, int code, std::uintptr_t address) noexcept {
    if (signal == SIGSEGV && code > 0 && address < first_page) {
        return "runtime error: invalid memory address or nil pointer dereference";
    }
    if (signal == SIGFPE && code == FPE_INTDIV) return "runtime error: integer divide by zero";
    if (signal == SIGFPE && code == FPE_INTOVF) return "runtime error: integer overflow";
    if (signal == SIGBUS && code == BUS_ADRERR) {
        return "runtime error: memory that is mapped from a file which is shorter now";
    }
    return nullptr;
}

message& describe(message& text, int signal, int code, std::uintptr_t address,
                  std::uintptr_t pc) noexcept {
    text << "[signal " << name_of(signal) << " code=";
    text.hex(static_cast<std::uint64_t>(static_cast<unsigned>(code))) << " addr=";
    text.hex(address) << " pc=";
    return text.hex(pc) << "]";
}

bool can_throw(const M* m, const G* g, const siginfo_t* info, const void* context) noexcept {
    const arch::interrupted_point at = arch::this_port::interrupted(context);
    return error_of(info->si_signo, info->si_code,
                    reinterpret_cast<std::uintptr_t>(info->si_addr)) != nullptr &&
           m->depth->load(memory_order_relaxed) == 0 && throws_faults(at.pc) &&
           is_on_stack(g, reinterpret_cast<const void*>(at.sp)) && may_throw_at(at.pc);
}

// The arguments of vole_throw_fault: signal and code share one.
void make_throw(const siginfo_t* info, void* context) noexcept {
    const std::uintptr_t what = static_cast<std::uintptr_t>(info->si_signo) << 32 |
                                static_cast<std::uint32_t>(info->si_code);
    arch::this_port::make_fault(context, what, reinterpret_cast<std::uintptr_t>(info->si_addr),
                                arch::this_port::interrupted(context).pc);
}

bool call_previous(int signal, siginfo_t* info, void* context) noexcept {
    struct sigaction& before = previous_of(signal);
    const struct sigaction old = before;
    // A handler that asked to be called once has been, from now on.
    if ((old.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) {
        before = {};
        before.sa_handler = SIG_DFL;
    }
    if ((old.sa_flags & SA_SIGINFO) != 0 && old.sa_sigaction != nullptr) {
        old.sa_sigaction(signal, info, context);
        return true;
    }
    if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) {
        old.sa_handler(signal);
        return true;
    }
    return false;
}

void explain(const siginfo_t* info, const void* context) noexcept {
    message text;
    text << "fatal error: unexpected signal\n";
    describe(text, info->si_signo, info->si_code, reinterpret_cast<std::uintptr_t>(info->si_addr),
             arch::this_port::interrupted(context).pc)
        << "\n\n";
    text.write_to(2);
    write_traceback(2, traceback_scope::all);
}

// The default action, at the faulting instruction, when the handler returns.
void take_default_action(int signal) noexcept {
    struct sigaction fallback {};
    fallback.sa_handler = SIG_DFL;
    os::sigaction(signal, &fallback, nullptr);
}

void on_fault(int signal, siginfo_t* info, void* context) {
    const int saved = errno;
    const M* m = current_m();
    const G* g = m != nullptr ? m->curg : nullptr;
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    const bool of_goroutine = g != nullptr && g->stack != nullptr;
    if (signal != SIGFPE) {
        if (of_goroutine) check_overflow(g, address);
        if (keeps_abandoned_stacks()) explain_abandoned(address);
    }
    if (of_goroutine && can_throw(m, g, info, context)) {
        make_throw(info, context);
        errno = saved;
        return;
    }
    errno = saved;
    if (call_previous(signal, info, context)) return;
    if (of_goroutine) explain(info, context);
    save_recording_of_crash();
    take_default_action(signal);
}

struct throwing {
    int signal;
    int code;
    std::uintptr_t address;
    std::uintptr_t pc;
};

[[noreturn]] void throw_now(void* p) {
    const auto* t = static_cast<const throwing*>(p);
    message detail;
    throw fault_error(error_of(t->signal, t->code, t->address), t->signal, t->address,
                      describe(detail, t->signal, t->code, t->address, t->pc).c_str());
}

}  // namespace

void install_fault_handler() noexcept {
    struct sigaction ours {};
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    for (const int s : signals) os::sigaction(s, &ours, &previous_of(s));
}

}  // namespace vole::detail

extern "C" [[noreturn]] void vole_throw_fault(std::uintptr_t what, std::uintptr_t address,
                                              std::uintptr_t pc) {
    using namespace vole::detail;
    throwing t{static_cast<int>(what >> 32), static_cast<int>(what & 0xffffffff), address, pc};
    call_with_room(throw_bytes, throw_now, &t);
    __builtin_unreachable();
}
