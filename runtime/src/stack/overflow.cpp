// A goroutine that runs into its guard: found by SIGSEGV on an alternate signal stack, told apart
// from other faults by the address, reported, and fatal. Every other fault goes to the handler that
// was there before, or to the default action.
//
// Stack: signal (each M has one, with room for the kernel's frame of this processor, which may be
// larger than SIGSTKSZ). Async-signal-safe: no lock, no allocation.
#include <sys/auxv.h>
#include <sys/mman.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "runtime/internal/fatal.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/segment.hpp"
#include "runtime/src/stack/verify.hpp"

namespace vole::inline v0::detail {

namespace {

struct sigaction previous_segv;
struct sigaction previous_bus;

[[noreturn]] void report(const G* g, std::uintptr_t address) noexcept {
    message text;
    text << "runtime: goroutine " << g->id;
    if (g->name != nullptr) text << " \"" << g->name << "\"";
    text << " stack exceeds " << std::uint64_t{g->stack->bytes}
         << "-byte limit (policy reserved)\n";
    text << "runtime: fault at ";
    text.hex(address) << ", stack=[";
    text.hex(reinterpret_cast<std::uintptr_t>(g->stack->lo)) << ", ";
    text.hex(reinterpret_cast<std::uintptr_t>(g->stack->end()))
        << "], guard of " << std::uint64_t{guard_bytes} << " bytes at its low end\n";
    text << "runtime: remedy: start it with go({.stack = stack_policy::reserved(BYTES)}, f) and a "
            "larger size, recurse less, or move large locals to the heap";
    fatal("stack overflow", text.c_str());
}

void pass_on(struct sigaction& previous, int signal, siginfo_t* info, void* context) noexcept {
    const struct sigaction old = previous;
    // A handler that asked to be called once has been, from now on.
    if ((old.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) {
        previous = {};
        previous.sa_handler = SIG_DFL;
    }
    if ((old.sa_flags & SA_SIGINFO) != 0 && old.sa_sigaction != nullptr) {
        old.sa_sigaction(signal, info, context);
        return;
    }
    if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) {
        old.sa_handler(signal);
        return;
    }
    // The default action, at the faulting instruction, when the handler returns.
    struct sigaction fallback {};
    fallback.sa_handler = SIG_DFL;
    sigaction(signal, &fallback, nullptr);
}

void on_fault(int signal, siginfo_t* info, void* context) {
    const int saved = errno;
    const M* m = current_m();
    const G* g = m != nullptr ? m->curg : nullptr;
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    if (g != nullptr && g->stack != nullptr) {
        const auto lo = reinterpret_cast<std::uintptr_t>(g->stack->lo);
        if (!is_small(g->stack->kind) && address >= lo && address < lo + guard_bytes) {
            report(g, address);
        }
    }
    if (keeps_abandoned_stacks()) explain_abandoned(address);
    errno = saved;
    pass_on(signal == SIGSEGV ? previous_segv : previous_bus, signal, info, context);
}

}  // namespace

std::size_t signal_stack_bytes() noexcept {
    constexpr std::size_t ours = 32 * 1024;
    return (getauxval(AT_MINSIGSTKSZ) + ours + 4095) / 4096 * 4096;
}

void install_fault_handler() noexcept {
    struct sigaction ours {};
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGSEGV, &ours, &previous_segv);
    sigaction(SIGBUS, &ours, &previous_bus);
}

void* install_signal_stack() noexcept {
    const std::size_t bytes = signal_stack_bytes();
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;  // then an overflow ends the process without a word
    stack_t stack{};
    stack.ss_sp = p;
    stack.ss_size = bytes;
    sigaltstack(&stack, nullptr);
    return p;
}

void remove_signal_stack(void* p) noexcept {
    if (p == nullptr) return;
    stack_t off{};
    off.ss_flags = SS_DISABLE;
    sigaltstack(&off, nullptr);
    munmap(p, signal_stack_bytes());
}

}  // namespace vole::detail
