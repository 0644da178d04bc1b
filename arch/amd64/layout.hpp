// Offsets that amd64/switch.S uses, as constants a C++ static_assert can hold against the structs.
// Included by the assembler too: preprocessor lines only above the C++ part.
#pragma once

#define VOLE_GOBUF_SP 0

// A suspended context, upward from gobuf::sp.
#define VOLE_FRAME_MXCSR 0
#define VOLE_FRAME_FCW 4
#define VOLE_FRAME_R15 8
#define VOLE_FRAME_R14 16
#define VOLE_FRAME_R13 24
#define VOLE_FRAME_R12 32
#define VOLE_FRAME_RBX 40
#define VOLE_FRAME_RBP 48
#define VOLE_FRAME_PC 56
#define VOLE_FRAME_BYTES 64

// An injected call (preempt.S): the red zone is left alone; return address, flags and fifteen registers.
#define VOLE_INJECTION_RED_ZONE 128
#define VOLE_INJECTION_GENERAL 136

#ifndef __ASSEMBLER__
#include <cstddef>
#include <cstdint>

namespace vole::arch::amd64 {

struct frame {
    std::uint32_t mxcsr;
    std::uint16_t fcw;
    std::uint16_t pad;
    std::uint64_t r15, r14, r13, r12, rbx, rbp, pc;
};
static_assert(offsetof(frame, mxcsr) == VOLE_FRAME_MXCSR);
static_assert(offsetof(frame, fcw) == VOLE_FRAME_FCW);
static_assert(offsetof(frame, r15) == VOLE_FRAME_R15);
static_assert(offsetof(frame, r14) == VOLE_FRAME_R14);
static_assert(offsetof(frame, r13) == VOLE_FRAME_R13);
static_assert(offsetof(frame, r12) == VOLE_FRAME_R12);
static_assert(offsetof(frame, rbx) == VOLE_FRAME_RBX);
static_assert(offsetof(frame, rbp) == VOLE_FRAME_RBP);
static_assert(offsetof(frame, pc) == VOLE_FRAME_PC);
static_assert(sizeof(frame) == VOLE_FRAME_BYTES);

// What __morestack pushes before it asks for a segment, lowest address first.
struct growth {
    std::uint64_t r15, r14, r13, r12, rbx;
    std::uint64_t argument_bytes;  // r11
    std::uint64_t frame_bytes;     // r10
    std::uint64_t r9, r8, rdi;
    std::uint64_t kind;
    std::uint64_t rsi, rdx, rcx, rax;
    std::uint64_t rbp;
    std::uintptr_t body_pc;    // return address of the call of __morestack
    std::uintptr_t caller_pc;  // where the instrumented function returns to
};
static_assert(sizeof(growth) == 18 * 8);

}  // namespace vole::arch::amd64
#endif
