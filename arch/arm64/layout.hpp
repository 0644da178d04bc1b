// Offsets that arm64/switch.S uses, as constants a C++ static_assert can hold against the structs.
// Included by the assembler too: preprocessor lines only above the C++ part.
#pragma once

#define VOLE_GOBUF_SP 0

// A suspended context, upward from gobuf::sp.
#define VOLE_FRAME_FP 0
#define VOLE_FRAME_PC 8
#define VOLE_FRAME_X19 16
#define VOLE_FRAME_X21 32
#define VOLE_FRAME_X23 48
#define VOLE_FRAME_X25 64
#define VOLE_FRAME_X27 80
#define VOLE_FRAME_D8 96
#define VOLE_FRAME_D10 112
#define VOLE_FRAME_D12 128
#define VOLE_FRAME_D14 144
#define VOLE_FRAME_FPCR 160
#define VOLE_FRAME_BYTES 176

#ifndef __ASSEMBLER__
#include <cstddef>
#include <cstdint>

namespace vole::arch::arm64 {

struct frame {
    std::uint64_t fp, pc;
    std::uint64_t x[10];  // x19 .. x28
    std::uint64_t d[8];   // d8 .. d15: only the low halves of v8..v15 are callee-saved
    std::uint64_t fpcr, pad;
};
static_assert(offsetof(frame, fp) == VOLE_FRAME_FP);
static_assert(offsetof(frame, pc) == VOLE_FRAME_PC);
static_assert(offsetof(frame, x) == VOLE_FRAME_X19);
static_assert(offsetof(frame, d) == VOLE_FRAME_D8);
static_assert(offsetof(frame, fpcr) == VOLE_FRAME_FPCR);
static_assert(sizeof(frame) == VOLE_FRAME_BYTES);

// What __morestack pushes before it asks for a segment, lowest address first.
struct growth {
    std::uint64_t q[16];  // q0 .. q7
    std::uint64_t x[9];   // x0 .. x8
    std::uint64_t x19;
    std::uint64_t fp;
    std::uintptr_t caller_pc;  // where the instrumented function returns to
    std::uintptr_t body_pc;    // return address of the call of __morestack
    std::uint64_t frame_bytes;
    std::uint64_t argument_bytes;
    std::uint64_t kind;
};
static_assert(offsetof(growth, x) == 128);
static_assert(offsetof(growth, fp) == 208);
static_assert(sizeof(growth) == 256);

}  // namespace vole::arch::arm64
#endif
