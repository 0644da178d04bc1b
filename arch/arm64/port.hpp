// The arm64 half of the port contract: what needs a register but no routine of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include <sys/auxv.h>
#include <ucontext.h>

#include "arch/arm64/layout.hpp"

extern "C" {
extern __attribute__((visibility("hidden"))) std::uint8_t vole_has_casp;  // for pair.S
}

namespace vole::arch {

struct this_port {
    using growth = arm64::growth;
    static constexpr const char* name = "arm64";
    static constexpr std::size_t frame_bytes = VOLE_FRAME_BYTES;
    static constexpr std::size_t stack_align = 16;
    // There is no way back to an arbitrary PC without losing a register, but by rt_sigreturn.
    static constexpr bool can_inject = false;
    static constexpr bool keeps_frame_pointers = true;
    static constexpr int guard_register = 19;
    static constexpr const char* stack_pointer = "sp";
    // x30: the switch returns by it, so at the pc it has that value.
    static constexpr saved_register saved_registers[] = {
        {"pc", VOLE_FRAME_PC},       {"x30", VOLE_FRAME_PC},      {"x29", VOLE_FRAME_FP},
        {"x19", VOLE_FRAME_X19},     {"x20", VOLE_FRAME_X19 + 8}, {"x21", VOLE_FRAME_X21},
        {"x22", VOLE_FRAME_X21 + 8}, {"x23", VOLE_FRAME_X23},     {"x24", VOLE_FRAME_X23 + 8},
        {"x25", VOLE_FRAME_X25},     {"x26", VOLE_FRAME_X25 + 8}, {"x27", VOLE_FRAME_X27},
        {"x28", VOLE_FRAME_X27 + 8},
    };

    static gobuf make_context(void* top, void* arg) noexcept {
        auto high = reinterpret_cast<std::uintptr_t>(top) & ~(stack_align - 1);
        auto* f = new (reinterpret_cast<void*>(high - sizeof(arm64::frame))) arm64::frame{};
        f->x[0] = reinterpret_cast<std::uintptr_t>(arg);
        f->pc = reinterpret_cast<std::uintptr_t>(&vole_gostart);
        return gobuf{f};  // fpcr 0: the ABI's default, round to nearest, no traps
    }

    static resume_point resume(const gobuf& g) noexcept {
        const auto* f = static_cast<const arm64::frame*>(g.sp);
        return {f->pc, reinterpret_cast<std::uintptr_t>(f + 1), f->fp};
    }

    /// Makes an unwinder's context (libunwind's, which is a ucontext here) look as if the
    /// suspended one were running. A traceback reads as a guess what may be changing: no
    /// race, and no matter if somebody's red zone lies there by now.
    template <class Context>
    __attribute__((no_sanitize("thread"), no_sanitize("address"))) static void
    fill_unwind_context(const gobuf& g, Context& c) noexcept {
        const auto* f = static_cast<const arm64::frame*>(g.sp);
        auto& mc = c.uc_mcontext;
        for (unsigned i = 0; i < 10; ++i) mc.regs[19 + i] = f->x[i];
        mc.regs[29] = f->fp;
        mc.regs[30] = f->pc;
        mc.sp = reinterpret_cast<std::uintptr_t>(f + 1);
        mc.pc = f->pc;
    }

    static void pause() noexcept { asm volatile("isb" ::: "memory"); }
    static std::uint64_t ticks() noexcept {
        std::uint64_t t;
        asm volatile("mrs %0, cntvct_el0" : "=r"(t));
        return t;
    }

    static long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                            long f = 0) noexcept {
        register long x8 asm("x8") = number;
        register long x0 asm("x0") = a;
        register long x1 asm("x1") = b;
        register long x2 asm("x2") = c;
        register long x3 asm("x3") = d;
        register long x4 asm("x4") = e;
        register long x5 asm("x5") = f;
        asm volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
        return x0;
    }

    // `asm volatile` is what forbids the compiler to keep the value over a switch: a plain
    // thread_local may be (and is) read once per function, and then names the wrong thread.
    static void* current_m() noexcept {
        void* m;
        void* offset;
        asm volatile("adrp %1, :gottprel:vole_tls_m\n\t"
                     "ldr %1, [%1, :gottprel_lo12:vole_tls_m]\n\t"
                     "mrs %0, tpidr_el0\n\t"
                     "ldr %0, [%0, %1]"
                     : "=&r"(m), "=&r"(offset));
        return m;
    }
    static void set_current_m(void* m) noexcept {
        void* base;
        void* offset;
        asm volatile("adrp %1, :gottprel:vole_tls_m\n\t"
                     "ldr %1, [%1, :gottprel_lo12:vole_tls_m]\n\t"
                     "mrs %0, tpidr_el0\n\t"
                     "str %2, [%0, %1]"
                     : "=&r"(base), "=&r"(offset)
                     : "r"(m)
                     : "memory");
    }

    // The calling thread's depth in the runtime (runtime/internal/entry.hpp).
    static void* runtime_depth() noexcept {
        void* word;
        void* offset;
        asm volatile("adrp %1, :gottprel:vole_tls_depth\n\t"
                     "ldr %1, [%1, :gottprel_lo12:vole_tls_depth]\n\t"
                     "mrs %0, tpidr_el0\n\t"
                     "add %0, %0, %1"
                     : "=&r"(word), "=&r"(offset));
        return word;
    }

    // The second word of the thread's control block, which glibc leaves alone.
    static void set_stack_guard(char* guard) noexcept {
        void* base;
        asm volatile("mrs %0, tpidr_el0\n\t"
                     "str %1, [%0, #8]"
                     : "=&r"(base)
                     : "r"(guard)
                     : "memory");
    }

    static void prepare() noexcept { vole_has_casp = (getauxval(AT_HWCAP) & HWCAP_ATOMICS) != 0; }

    static interrupted_point interrupted(const void* context) noexcept {
        const auto& mc = static_cast<const ucontext_t*>(context)->uc_mcontext;
        return {static_cast<std::uintptr_t>(mc.pc), static_cast<std::uintptr_t>(mc.sp),
                static_cast<std::uintptr_t>(mc.regs[29]), static_cast<std::uintptr_t>(mc.regs[30])};
    }
    static void make_fault(void* context, std::uintptr_t a, std::uintptr_t b,
                           std::uintptr_t c) noexcept {
        auto& mc = static_cast<ucontext_t*>(context)->uc_mcontext;
        mc.sp -= 16;
        auto* words = reinterpret_cast<std::uint64_t*>(mc.sp);
        words[0] = mc.pc;
        words[1] = mc.regs[30];
        mc.pc = reinterpret_cast<std::uintptr_t>(&vole_fault);
        mc.regs[0] = a;
        mc.regs[1] = b;
        mc.regs[2] = c;
    }
    template <class F>
    static void each_register(const void* context, F f) noexcept {
        constexpr const char* names[] = {"x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",
                                         "x8",  "x9",  "x10", "x11", "x12", "x13", "x14", "x15",
                                         "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23",
                                         "x24", "x25", "x26", "x27", "x28", "x29", "x30"};
        const auto& mc = static_cast<const ucontext_t*>(context)->uc_mcontext;
        for (int i = 0; i < 31; ++i) f(names[i], mc.regs[i]);
        f("sp", mc.sp);
        f("pc", mc.pc);
        f("pstate", mc.pstate);
    }
    static bool call_was_interrupted(const void* context) noexcept {
        const auto& mc = static_cast<const ucontext_t*>(context)->uc_mcontext;
        constexpr std::uint64_t eintr = ~std::uint64_t{0} - 3;
        if (mc.regs[0] != eintr || mc.pc % 4096 < 4) return false;
        std::uint32_t code = 0;
        std::memcpy(&code, reinterpret_cast<const void*>(mc.pc - 4), sizeof(code));
        return code == 0xd4000001;  // svc #0
    }
    // The records behind the general registers: floating point, SVE, and what is to come.
    static std::size_t signal_frame_bytes(const void* context) noexcept {
        const auto& mc = static_cast<const ucontext_t*>(context)->uc_mcontext;
        const auto* at = reinterpret_cast<const char*>(mc.__reserved);
        std::size_t sum = 0;
        while (sum + 8 <= sizeof(mc.__reserved)) {
            std::uint32_t record[2];  // magic, bytes
            std::memcpy(record, at + sum, sizeof(record));
            if (record[0] == 0 || record[1] == 0) break;
            sum += record[1];
        }
        return sizeof(ucontext_t) - sizeof(mc.__reserved) + sum;
    }
};

}  // namespace vole::arch
