// The amd64 half of the port contract: what needs a register but no routine of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include <ucontext.h>

#include "arch/amd64/layout.hpp"

extern "C" {
extern __attribute__((visibility("hidden"))) std::uint8_t vole_has_xsave;    // for morestack.S
extern __attribute__((visibility("hidden"))) std::uint8_t vole_loads_pairs;  // for pair.S
// For preempt.S: which components it saves, and how many bytes those need at most; 0: cannot.
extern __attribute__((visibility("hidden"))) std::uint32_t vole_xsave_mask;
extern __attribute__((visibility("hidden"))) std::uint32_t vole_xsave_bytes;
}

namespace vole::arch {

struct this_port {
    using growth = amd64::growth;
    static constexpr const char* name = "amd64";
    static constexpr std::size_t frame_bytes = VOLE_FRAME_BYTES;
    static constexpr std::size_t stack_align = 16;
    static constexpr bool can_inject = true;
    static constexpr bool keeps_frame_pointers = false;
    static constexpr int guard_register = 3;  // rbx
    static constexpr const char* stack_pointer = "rsp";
    static constexpr saved_register saved_registers[] = {
        {"rip", VOLE_FRAME_PC},  {"rbp", VOLE_FRAME_RBP}, {"rbx", VOLE_FRAME_RBX},
        {"r12", VOLE_FRAME_R12}, {"r13", VOLE_FRAME_R13}, {"r14", VOLE_FRAME_R14},
        {"r15", VOLE_FRAME_R15},
    };

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
    /// suspended one were running. A traceback reads as a guess what may be changing: no
    /// race, and no matter if somebody's red zone lies there by now.
    template <class Context>
    __attribute__((no_sanitize("thread"), no_sanitize("address"))) static void
    fill_unwind_context(const gobuf& g, Context& c) noexcept {
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

    static long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                            long f = 0) noexcept {
        register long r10 asm("r10") = d;
        register long r8 asm("r8") = e;
        register long r9 asm("r9") = f;
        long result;
        asm volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
        return result;
    }

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

    // The calling thread's depth in the runtime (runtime/internal/entry.hpp). Each change is one
    // instruction, so that no signal falls into the middle.
    static void* runtime_depth() noexcept {
        void* word;
        asm volatile("movq %%fs:0, %0\n\t"
                     "addq vole_tls_depth@gottpoff(%%rip), %0"
                     : "=&r"(word)
                     :
                     : "cc");
        return word;
    }
    static void count_in() noexcept {
        void* offset;
        asm volatile("movq vole_tls_depth@gottpoff(%%rip), %0\n\t"
                     "incl %%fs:(%0)"
                     : "=&r"(offset)
                     :
                     : "memory", "cc");
    }
    static void count_out() noexcept {
        void* offset;
        asm volatile("movq vole_tls_depth@gottpoff(%%rip), %0\n\t"
                     "decl %%fs:(%0)"
                     : "=&r"(offset)
                     :
                     : "memory", "cc");
    }

    // The same for who comes from outside: zero becomes one and one zero, without an addition whose result the next one
    // has to wait for. False: it was not zero, and nothing has been done. Between the look and the store the goroutine may
    // go on on another thread; there it is outside, too.
    static bool step_in() noexcept {
        void* offset;
        bool outside;
        asm volatile("movq vole_tls_depth@gottpoff(%%rip), %0\n\t"
                     "cmpl $0, %%fs:(%0)"
                     : "=&r"(offset), "=@cce"(outside)
                     :
                     : "memory");
        if (!outside) [[unlikely]]
            return false;
        asm volatile("movl $1, %%fs:(%0)" : : "r"(offset) : "memory");
        return true;
    }
    static void step_out() noexcept {
        void* offset;
        asm volatile("movq vole_tls_depth@gottpoff(%%rip), %0\n\t"
                     "movl $0, %%fs:(%0)"
                     : "=&r"(offset)
                     :
                     : "memory");
    }

    // Where -fsplit-stack looks: a word of the thread's control block that glibc leaves to it.
    static void set_stack_guard(char* guard) noexcept {
        asm volatile("movq %0, %%fs:0x70" : : "r"(guard) : "memory");
    }

    static void prepare() noexcept {
        unsigned a, b, c, d;
        asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
        constexpr unsigned osxsave = 1u << 27;
        vole_has_xsave = (c & osxsave) != 0;
        constexpr unsigned avx = 1u << 28;
        vole_loads_pairs = (c & avx) != 0;
    }

    static interrupted_point interrupted(const void* context) noexcept {
        const auto& r = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
        return {static_cast<std::uintptr_t>(r[REG_RIP]), static_cast<std::uintptr_t>(r[REG_RSP]),
                static_cast<std::uintptr_t>(r[REG_RBP]), 0};
    }
    static void make_fault(void* context, std::uintptr_t a, std::uintptr_t b,
                           std::uintptr_t c) noexcept {
        auto& r = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
        r[REG_RSP] -= VOLE_INJECTION_RED_ZONE + 8;
        *reinterpret_cast<long long*>(r[REG_RSP]) = r[REG_RIP];
        r[REG_RIP] = reinterpret_cast<long long>(&vole_fault);
        r[REG_RDI] = static_cast<long long>(a);
        r[REG_RSI] = static_cast<long long>(b);
        r[REG_RDX] = static_cast<long long>(c);
    }
    template <class F>
    static void each_register(const void* context, F f) noexcept {
        constexpr struct {
            const char* name;
            int number;
        } registers[] = {{"rax", REG_RAX}, {"rbx", REG_RBX},   {"rcx", REG_RCX}, {"rdx", REG_RDX},
                         {"rdi", REG_RDI}, {"rsi", REG_RSI},   {"rbp", REG_RBP}, {"rsp", REG_RSP},
                         {"r8", REG_R8},   {"r9", REG_R9},     {"r10", REG_R10}, {"r11", REG_R11},
                         {"r12", REG_R12}, {"r13", REG_R13},   {"r14", REG_R14}, {"r15", REG_R15},
                         {"rip", REG_RIP}, {"rflags", REG_EFL}};
        const auto& r = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
        for (const auto& one : registers) f(one.name, static_cast<std::uint64_t>(r[one.number]));
    }
    static bool call_was_interrupted(const void* context) noexcept {
        const auto& r = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
        constexpr long long eintr = -4;
        const auto pc = static_cast<std::uintptr_t>(r[REG_RIP]);
        if (r[REG_RAX] != eintr || pc % 4096 < 2) return false;
        const auto* code = reinterpret_cast<const unsigned char*>(pc);
        return code[-2] == 0x0f && code[-1] == 0x05;  // syscall
    }
    static std::size_t signal_frame_bytes(const void* context) noexcept {
        const auto* c = static_cast<const ucontext_t*>(context);
        std::uint32_t words[2] = {};  // behind the legacy area: a magic number and the whole size
        constexpr std::size_t software_bytes = 464;
        if (c->uc_mcontext.fpregs == nullptr) return sizeof(*c);
        std::memcpy(words, reinterpret_cast<const char*>(c->uc_mcontext.fpregs) + software_bytes,
                    sizeof(words));
        return sizeof(*c) + (words[0] == 0x46505853 ? words[1] : 512);
    }

    // Which registers vole_async_preempt saves with xsavec: what the system has enabled, without AMX (8
    // KiB) and without protection keys, which belong to the thread. False: no xsavec here.
    static bool prepare_injection() noexcept {
        if (vole_has_xsave == 0) return false;
        unsigned a, b, c, d;
        asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0xd), "c"(1));
        if ((a & 2) == 0) return false;
        unsigned enabled, high;
        asm volatile("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
        constexpr unsigned x87_sse_avx_avx512 = 0xe7;
        vole_xsave_mask = enabled & x87_sse_avx_avx512;
        unsigned bytes = 576;
        for (unsigned i = 2; i < 8; ++i) {
            if ((vole_xsave_mask & (1u << i)) == 0) continue;
            asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0xd), "c"(i));
            if ((c & 2) != 0) bytes = (bytes + 63) & ~63u;
            bytes += a;
        }
        vole_xsave_bytes = bytes;
        return true;
    }
    /// Stack that an injected call takes, vole_async_preempt2's own apart.
    static std::size_t injection_bytes() noexcept {
        return VOLE_INJECTION_RED_ZONE + VOLE_INJECTION_GENERAL + vole_xsave_bytes + 64;
    }
    static void inject_call(void* context) noexcept {
        auto& r = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
        r[REG_RSP] -= VOLE_INJECTION_RED_ZONE + 8;
        *reinterpret_cast<long long*>(r[REG_RSP]) = r[REG_RIP];
        r[REG_RIP] = reinterpret_cast<long long>(&vole_async_preempt);
    }
};

}  // namespace vole::arch
