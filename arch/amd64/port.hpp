// The amd64 half of the port contract: what needs a register but no routine of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "arch/amd64/layout.hpp"

extern "C" __attribute__((visibility("hidden")))
std::uint8_t vole_has_xsave;  // morestack.S reads it

namespace vole::arch {

struct this_port {
    using growth = amd64::growth;
    static constexpr const char* name = "amd64";
    static constexpr std::size_t frame_bytes = VOLE_FRAME_BYTES;
    static constexpr std::size_t stack_align = 16;

    // The frame ends 16-aligned, so that vole_gostart is entered with an aligned stack pointer.
    static gobuf make_context(void* top, void* arg) noexcept {
        auto high = reinterpret_cast<std::uintptr_t>(top) & ~(stack_align - 1);
        auto* f = new (reinterpret_cast<void*>(high - sizeof(amd64::frame))) amd64::frame{};
        f->mxcsr = 0x1f80;  // the ABI's defaults: all exceptions masked, round to nearest
        f->fcw = 0x037f;
        f->rbx = reinterpret_cast<std::uintptr_t>(arg);
        f->pc = reinterpret_cast<std::uintptr_t>(&vole_gostart);
        return gobuf{f};
    }

    static resume_point resume(const gobuf& g) noexcept {
        const auto* f = static_cast<const amd64::frame*>(g.sp);
        return {f->pc, reinterpret_cast<std::uintptr_t>(f + 1), f->rbp};
    }

    /// Makes an unwinder's context (libunwind's, which is a ucontext here) look as if the
    /// suspended one were running. A traceback reads as a guess what may be changing: no race.
    template <class Context>
    __attribute__((no_sanitize("thread"))) static void fill_unwind_context(const gobuf& g,
                                                                           Context& c) noexcept {
        const auto* f = static_cast<const amd64::frame*>(g.sp);
        auto& regs = c.uc_mcontext.gregs;
        regs[4 /* R12 */] = static_cast<long long>(f->r12);
        regs[5 /* R13 */] = static_cast<long long>(f->r13);
        regs[6 /* R14 */] = static_cast<long long>(f->r14);
        regs[7 /* R15 */] = static_cast<long long>(f->r15);
        regs[10 /* RBP */] = static_cast<long long>(f->rbp);
        regs[11 /* RBX */] = static_cast<long long>(f->rbx);
        regs[15 /* RSP */] = static_cast<long long>(reinterpret_cast<std::uintptr_t>(f + 1));
        regs[16 /* RIP */] = static_cast<long long>(f->pc);
    }

    static void pause() noexcept { __builtin_ia32_pause(); }
    static std::uint64_t ticks() noexcept { return __builtin_ia32_rdtsc(); }

    // `asm volatile` is what forbids the compiler to keep the value over a switch: a plain
    // thread_local may be (and is) read once per function, and then names the wrong thread.
    static void* current_m() noexcept {
        void* m;
        asm volatile("movq vole_tls_m@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(m));
        return m;
    }
    static void set_current_m(void* m) noexcept {
        void* offset;
        asm volatile("movq vole_tls_m@gottpoff(%%rip), %0\n\t"
                     "movq %1, %%fs:(%0)"
                     : "=&r"(offset)
                     : "r"(m)
                     : "memory");
    }

    // Where -fsplit-stack looks: a word of the thread's control block that glibc leaves to it.
    static void set_stack_guard(char* guard) noexcept {
        asm volatile("movq %0, %%fs:0x70" : : "r"(guard) : "memory");
    }

    static void prepare_morestack() noexcept {
        unsigned a, b, c, d;
        asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
        constexpr unsigned osxsave = 1u << 27;
        vole_has_xsave = (c & osxsave) != 0;
    }
};

}  // namespace vole::arch
