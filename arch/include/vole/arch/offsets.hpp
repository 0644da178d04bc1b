// Offsets into the runtime's structs that the assembly of every port uses. The runtime holds each
// against its struct with a static_assert (runtime/src/stack/segment.cpp). Included by the
// assembler too: preprocessor lines only.
#pragma once

// M
#define VOLE_M_CURG 0
#define VOLE_M_G0_TOP 16
#define VOLE_M_SPARE 72
#define VOLE_M_SPARE_COUNT 80

// G
#define VOLE_G_STACK 24
#define VOLE_G_STACK_GUARD 32

// stack_segment, the header at the top of every stack
#define VOLE_SEG_PREV 0
#define VOLE_SEG_NEXT 8
#define VOLE_SEG_GUARD 16
#define VOLE_SEG_FOREIGN_GUARD 24
#define VOLE_SEG_LO 32
#define VOLE_SEG_ENTRY_SP 40
#define VOLE_SEG_DYNAMIC 48
#define VOLE_SEG_FLAGS 61
#define VOLE_SEG_BYTES_OF_HEADER 64

// stack_segment::flags
#define VOLE_SEG_BORROWS 1  // what does not fit here runs on a segment borrowed from the M
#define VOLE_SEG_SPARE 2    // belongs to the M's list of spare segments when it is left
#define VOLE_SEG_GREW 4     // a frame of its own code did not fit here
#define VOLE_SEG_PROBE 8    // smaller than its goroutine's place usually gets (adapt.hpp)
// 16 to 64: the kind that a goroutine has begun with (attach.cpp)
#define VOLE_SEG_CANARY 128  // its lowest word stands in for the guard pages that could not be had
// The upper four: the segment_kind that the goroutine started with.

// growth::kind: why __morestack was entered; vole_newstack answers with COPIED
#define VOLE_GROWTH_OWN 0
#define VOLE_GROWTH_FOREIGN 1
#define VOLE_GROWTH_COPIED 2

// Room that every check leaves beside the frame: a call, alignment of the argument block.
#define VOLE_GROWTH_SLACK 192
