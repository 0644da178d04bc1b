// A goroutine that runs into its guard: found by SIGSEGV on an alternate signal stack (panic/fault.cpp), told
// apart from other faults by the address, reported, and fatal. And the signal stacks.
//
// Stack: signal (each M has one, with room for the kernel's frame of this processor, which may be
// larger than SIGSTKSZ). Async-signal-safe: no lock, no allocation.
#include <sys/auxv.h>
#include <sys/mman.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/panic/fault.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/segment.hpp"

namespace vole::inline v0::detail {

namespace {

[[noreturn]] void report(const G* g, std::uintptr_t address) noexcept {
    message text;
    text << "runtime: goroutine " << g->id;
    if (name_of(g) != nullptr) text << " \"" << name_of(g) << "\"";
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

}  // namespace

void check_overflow(const G* g, std::uintptr_t address) noexcept {
    const auto lo = reinterpret_cast<std::uintptr_t>(g->stack->lo);
    if (!is_small(g->stack->kind) && address >= lo && address < lo + guard_bytes) {
        report(g, address);
    }
}

std::size_t signal_stack_bytes() noexcept {
    constexpr std::size_t ours = 128 * 1024;  // for tracebacks with names; touched when needed
    return (getauxval(AT_MINSIGSTKSZ) + ours + 4095) / 4096 * 4096;
}

void* install_signal_stack() noexcept {
    const std::size_t bytes = signal_stack_bytes();
    void* p = os::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;  // then an overflow ends the process without a word
    stack_t stack{};
    stack.ss_sp = p;
    stack.ss_size = bytes;
    os::sigaltstack(&stack, nullptr);
    return p;
}

void remove_signal_stack(void* p) noexcept {
    if (p == nullptr) return;
    stack_t off{};
    off.ss_flags = SS_DISABLE;
    os::sigaltstack(&off, nullptr);
    os::munmap(p, signal_stack_bytes());
}

}  // namespace vole::detail
