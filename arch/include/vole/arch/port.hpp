// The contract between the runtime and one processor architecture.
//
// A port is the only code in Vole that names a register. It supplies its assembly routines (the
// same labels on every architecture, declared below), one header of layout constants, and the
// small inline functions that `concept port` lists. arch/README.md is the porting guide; the
// conformance test (test/unit/arch_*.cpp) is what a port must pass.
//
// Invariants every port keeps:
//  - a suspended context is one stack pointer (gobuf::sp); everything the ABI makes callee-saved,
//    the floating-point control words included, lies at that address in `layout::frame` order;
//  - status bits of the floating-point unit (sticky exception flags) are not part of a context:
//    the ABI makes them caller-visible, not callee-saved;
//  - every routine has full CFI, so unwinding from inside what it calls ends or passes cleanly.
//
// Stack: each routine says on which stack it is entered and on which it leaves.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace vole::arch {

/// A suspended context. Meaningful only while nothing runs on its stack.
struct gobuf {
    void* sp = nullptr;
};

/// Where a suspended context will go on: what a traceback starts from.
struct resume_point {
    std::uintptr_t pc;
    std::uintptr_t sp;  ///< stack pointer right after resumption
    std::uintptr_t fp;  ///< frame pointer register's saved value
};

/// A register of a suspended context, for debuggers: what they call it, and where it lies from
/// gobuf::sp.
struct saved_register {
    char name[8];
    std::uint32_t offset;
};

/// Where a signal has interrupted a thread.
struct interrupted_point {
    std::uintptr_t pc;
    std::uintptr_t sp;
    std::uintptr_t fp;
    std::uintptr_t link;  ///< register that calls leave their return address in; 0: there is none
};

extern "C" {
/// Suspends the caller in `from` and resumes `to`. Returns when somebody resumes `from`.
void vole_switch(gobuf* from, const gobuf* to) noexcept;

/// Resumes what `other` holds, and suspends the caller there: vole_switch for two that take turns, each
/// in a place of its own. May be reached by a jump from the end of another function.
void vole_exchange(gobuf* other) noexcept;

/// Resumes `to`; the caller's context is forgotten.
[[noreturn]] void vole_gogo(const gobuf* to) noexcept;

/// Suspends the caller in `from`, moves to the stack whose top is `stack_top` and calls fn(arg)
/// there. fn never returns: it ends in vole_gogo.
void vole_mcall(gobuf* from, void* stack_top, void (*fn)(void*), void* arg) noexcept;

/// Suspends the caller in `buf` and calls fn(arg) further down the same stack. Returns when
/// somebody resumes `buf`; fn itself never returns.
void vole_gosave(gobuf* buf, void (*fn)(void*), void* arg) noexcept;

/// Calls fn(arg) on the stack whose top is `stack_top`, then comes back. Exceptions pass through.
void vole_systemstack(void* stack_top, void (*fn)(void*), void* arg);

/// Entry trampoline: a new context starts here, calls vole_goroutine_main (the runtime's) with
/// the word given to make_context, then vole_goroutine_exit. Unwinding ends here.
void vole_gostart() noexcept;

/// Calls fn(arg) with at least `bytes` of stack: here, or on a segment from vole_newstack. On a
/// thread's own stack: just calls. Exceptions pass through.
void vole_call_with_room(void (*fn)(void*), void* arg, std::size_t bytes);

/// Calls fn(arg). Null when it returns; the _Unwind_Exception that vole_guard_personality (the runtime's)
/// has stopped. That finds `guard` in this frame's register number guard_register.
void* vole_call_guarded(void (*fn)(void*), void* arg, void* guard);
/// Where it continues then; for the personality routine only.
void vole_guard_landing() noexcept;

/// A goroutine whose instruction has faulted goes on here (make_fault), and throws: calls vole_throw_fault
/// (the runtime's). Unwinders see the faulting instruction behind it.
void vole_fault() noexcept;

/// A port that can inject calls: entered as if the interrupted instruction had called it; saves every
/// register, calls vole_async_preempt2 (the runtime's), restores them and goes on.
void vole_async_preempt() noexcept;

/// Supplied by the runtime.
void vole_goroutine_main(void* arg);
[[noreturn]] void vole_goroutine_exit() noexcept;
}

extern "C" {
// All assembly lies in a section of its own, and the linker names its ends.
extern const char __start_vole_port_code[] __attribute__((visibility("hidden")));
extern const char __stop_vole_port_code[] __attribute__((visibility("hidden")));
}

inline bool in_port_code(std::uintptr_t pc) noexcept {
    return pc >= reinterpret_cast<std::uintptr_t>(__start_vole_port_code) &&
           pc < reinterpret_cast<std::uintptr_t>(__stop_vole_port_code);
}

/// What the runtime asks of a port beside the routines above.
template <class P>
concept port = requires(void* top, void* arg, const gobuf& g) {
    { P::name } -> std::convertible_to<const char*>;
    /// Bytes of a suspended context at gobuf::sp.
    { P::frame_bytes } -> std::convertible_to<std::size_t>;
    /// Lays a first frame below `top` so that resuming it runs vole_gostart with `arg`.
    { P::make_context(top, arg) } -> std::same_as<gobuf>;
    /// DWARF's number of the register in which vole_call_guarded keeps its guard.
    { P::guard_register } -> std::convertible_to<int>;
    /// Whether compilers keep a chain of frame records by default.
    { P::keeps_frame_pointers } -> std::convertible_to<bool>;
    /// Reads where a suspended context goes on.
    { P::resume(g) } -> std::same_as<resume_point>;
    /// A hint to the processor that this is a spin loop.
    {P::pause()};
    /// A system call on Linux: its result, or -errno. Every register but the result's is as before.
    {
        P::system_call(long{}, long{}, long{}, long{}, long{}, long{}, long{})
        } -> std::same_as<long>;
    /// A cheap, monotonic-per-core cycle or tick counter; units are the port's own.
    { P::ticks() } -> std::same_as<std::uint64_t>;
    /// The calling thread's M, read afresh at every call: never cached over a switch.
    { P::current_m() } -> std::same_as<void*>;
    {P::set_current_m(top)};
    /// The address of the calling thread's uint32 vole_tls_depth, computed afresh at every call.
    { P::runtime_depth() } -> std::same_as<void*>;
    /// What instrumented code on this thread compares its stack pointer with; null: never grows.
    {P::set_stack_guard(static_cast<char*>(top))};
    /// Once, before the first goroutine: whatever the routines must know of the processor.
    {P::prepare()};
    /// In a signal handler, from its third argument: where the thread was.
    { P::interrupted(top) } -> std::same_as<interrupted_point>;
    /// Right behind a system call that has returned EINTR.
    { P::call_was_interrupted(top) } -> std::same_as<bool>;
    /// In a handler: when it returns, vole_fault runs with these arguments for vole_throw_fault.
    {P::make_fault(top, std::uintptr_t{}, std::uintptr_t{}, std::uintptr_t{})};
    /// Calls f(name, value) for each general register of the interrupted thread.
    {P::each_register(top, [](const char*, std::uint64_t) {})};
    /// Whether the port has vole_async_preempt; then also prepare_injection, injection_bytes and
    /// inject_call (amd64/port.hpp).
    { P::can_inject } -> std::convertible_to<bool>;
    /// A suspended context as a debugger is told of it: the pc, then the others. The stack pointer,
    /// which goes by the second name, is frame_bytes above gobuf::sp.
    { P::saved_registers[0] } -> std::same_as<const saved_register&>;
    { P::stack_pointer } -> std::convertible_to<const char*>;
    /// Bytes of registers that the kernel has saved for this handler.
    { P::signal_frame_bytes(top) } -> std::same_as<std::size_t>;
};

}  // namespace vole::arch

#if defined(__x86_64__)
#include "arch/amd64/port.hpp"
#elif defined(__aarch64__)
#include "arch/arm64/port.hpp"
#else
#error "Vole has no port to this architecture: see arch/README.md for what one consists of"
#endif

static_assert(vole::arch::port<vole::arch::this_port>);
