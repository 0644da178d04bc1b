// Context switch for arm64 (AAPCS64). Contracts are in arch/include/vole/arch/port.hpp.
//
// A suspended context is 176 bytes at gobuf::sp (layout.hpp): frame record, x19-x28, d8-d15, FPCR.
// FPCR is written only when it differs: a write may serialise. FPSR (status) is not part of it.
// x18 is the platform register and left alone.

#include "arch/arm64/layout.hpp"

	.macro FUNC name
	.globl	\name
	.hidden	\name
	.type	\name, %function
	.p2align 4
\name:
	.cfi_startproc
	hint	#34                      // bti c
	.endm

	.macro ENDFUNC name
	.cfi_endproc
	.size	\name, .-\name
	.endm

	// Registers 72-79 are DWARF's numbers of v8-v15, of which the low halves are saved.
	.macro CFI_FRAME
	.cfi_def_cfa sp, VOLE_FRAME_BYTES
	.cfi_offset x29, -VOLE_FRAME_BYTES+VOLE_FRAME_FP
	.cfi_offset x30, -VOLE_FRAME_BYTES+VOLE_FRAME_PC
	.cfi_offset x19, -VOLE_FRAME_BYTES+16
	.cfi_offset x20, -VOLE_FRAME_BYTES+24
	.cfi_offset x21, -VOLE_FRAME_BYTES+32
	.cfi_offset x22, -VOLE_FRAME_BYTES+40
	.cfi_offset x23, -VOLE_FRAME_BYTES+48
	.cfi_offset x24, -VOLE_FRAME_BYTES+56
	.cfi_offset x25, -VOLE_FRAME_BYTES+64
	.cfi_offset x26, -VOLE_FRAME_BYTES+72
	.cfi_offset x27, -VOLE_FRAME_BYTES+80
	.cfi_offset x28, -VOLE_FRAME_BYTES+88
	.cfi_offset 72, -VOLE_FRAME_BYTES+96
	.cfi_offset 73, -VOLE_FRAME_BYTES+104
	.cfi_offset 74, -VOLE_FRAME_BYTES+112
	.cfi_offset 75, -VOLE_FRAME_BYTES+120
	.cfi_offset 76, -VOLE_FRAME_BYTES+128
	.cfi_offset 77, -VOLE_FRAME_BYTES+136
	.cfi_offset 78, -VOLE_FRAME_BYTES+144
	.cfi_offset 79, -VOLE_FRAME_BYTES+152
	.endm

	// Leaves sp at the frame and the live FPCR in x9.
	.macro SAVE_FRAME
	stp	x29, x30, [sp, #-VOLE_FRAME_BYTES]!
	stp	x19, x20, [sp, #VOLE_FRAME_X19]
	stp	x21, x22, [sp, #VOLE_FRAME_X21]
	stp	x23, x24, [sp, #VOLE_FRAME_X23]
	stp	x25, x26, [sp, #VOLE_FRAME_X25]
	stp	x27, x28, [sp, #VOLE_FRAME_X27]
	stp	d8, d9, [sp, #VOLE_FRAME_D8]
	stp	d10, d11, [sp, #VOLE_FRAME_D10]
	stp	d12, d13, [sp, #VOLE_FRAME_D12]
	stp	d14, d15, [sp, #VOLE_FRAME_D14]
	mrs	x9, fpcr
	str	x9, [sp, #VOLE_FRAME_FPCR]
	CFI_FRAME
	.endm

	// sp is at a frame, the live FPCR in x9: takes over the frame's and returns to its pc.
	.macro RESTORE_FRAME
	ldr	x10, [sp, #VOLE_FRAME_FPCR]
	cmp	x9, x10
	b.eq	1f
	msr	fpcr, x10
1:	ldp	x19, x20, [sp, #VOLE_FRAME_X19]
	ldp	x21, x22, [sp, #VOLE_FRAME_X21]
	ldp	x23, x24, [sp, #VOLE_FRAME_X23]
	ldp	x25, x26, [sp, #VOLE_FRAME_X25]
	ldp	x27, x28, [sp, #VOLE_FRAME_X27]
	ldp	d8, d9, [sp, #VOLE_FRAME_D8]
	ldp	d10, d11, [sp, #VOLE_FRAME_D10]
	ldp	d12, d13, [sp, #VOLE_FRAME_D12]
	ldp	d14, d15, [sp, #VOLE_FRAME_D14]
	ldp	x29, x30, [sp], #VOLE_FRAME_BYTES
	.cfi_def_cfa sp, 0
	.cfi_restore x29
	.cfi_restore x30
	ret
	.endm

	.section vole_port_code, "ax", %progbits

// vole_switch(from /*x0*/, to /*x1*/)
// in: x0 x1. out: nothing. clobbers: x9 x10, flags, and all that the ABI lets a call clobber.
// stack: leaves the caller's, returns on the stack of `to`.
FUNC vole_switch
	SAVE_FRAME
	mov	x10, sp
	str	x10, [x0, #VOLE_GOBUF_SP]
	ldr	x10, [x1, #VOLE_GOBUF_SP]
	mov	sp, x10
	RESTORE_FRAME
ENDFUNC vole_switch

// vole_exchange(other /*x0*/)
// in: x0. out: nothing. clobbers: x9 x10 x11, flags, and all that the ABI lets a call clobber.
// stack: leaves the caller's, returns on that of what `other` held.
FUNC vole_exchange
	SAVE_FRAME
	mov	x10, sp
	ldr	x11, [x0, #VOLE_GOBUF_SP]
	str	x10, [x0, #VOLE_GOBUF_SP]
	mov	sp, x11
	RESTORE_FRAME
ENDFUNC vole_exchange

// vole_gogo(to /*x0*/)
// in: x0. Does not return to its caller. stack: leaves the caller's, goes on on that of `to`.
FUNC vole_gogo
	mrs	x9, fpcr
	ldr	x10, [x0, #VOLE_GOBUF_SP]
	mov	sp, x10
	CFI_FRAME
	RESTORE_FRAME
ENDFUNC vole_gogo

// vole_mcall(from /*x0*/, stack_top /*x1*/, fn /*x2*/, arg /*x3*/)
// in: x0 x1 x2 x3. Returns when `from` is resumed. stack: calls fn on the given one, whose frames
// (if any) are abandoned; a backtrace from fn ends here, since the goroutine that called may be
// running elsewhere by then.
FUNC vole_mcall
	SAVE_FRAME
	mov	x10, sp
	str	x10, [x0, #VOLE_GOBUF_SP]
	and	x10, x1, #~15
	mov	sp, x10
	.cfi_undefined x30
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x3
	blr	x2
	brk	#1
ENDFUNC vole_mcall

// vole_gosave(buf /*x0*/, fn /*x1*/, arg /*x2*/)
// in: x0 x1 x2. Returns when `buf` is resumed. stack: fn runs below the saved frame, on the same.
FUNC vole_gosave
	SAVE_FRAME
	mov	x10, sp
	str	x10, [x0, #VOLE_GOBUF_SP]
	mov	x29, sp
	mov	x0, x2
	blr	x1
	brk	#1
ENDFUNC vole_gosave

// vole_systemstack(stack_top /*x0*/, fn /*x1*/, arg /*x2*/)
// in: x0 x1 x2. Callee-saved registers kept. stack: calls fn on the given one and comes back.
// The CFA hangs on x29, which stands on the caller's stack: exceptions and debuggers cross here.
FUNC vole_systemstack
	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	mov	x29, sp
	.cfi_def_cfa_register x29
	and	x10, x0, #~15
	mov	sp, x10
	mov	x0, x2
	blr	x1
	mov	sp, x29
	.cfi_def_cfa_register sp
	ldp	x29, x30, [sp], #16
	.cfi_def_cfa_offset 0
	.cfi_restore x29
	.cfi_restore x30
	ret
ENDFUNC vole_systemstack

// vole_gostart: first code of a new context; x19 holds make_context's word.
// stack: the new context's, 16-aligned. Never returns. The nop before the label keeps "pc - 1"
// look-ups of unwinders inside a function that says: the stack ends here.
	.globl	vole_gostart
	.hidden	vole_gostart
	.type	vole_gostart, %function
	.p2align 4
	.cfi_startproc
	.cfi_undefined x30
	nop
vole_gostart:
	hint	#38                      // bti jc
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x19
	bl	vole_goroutine_main
	bl	vole_goroutine_exit
	brk	#1
ENDFUNC vole_gostart

	.section .note.GNU-stack, "", %progbits

	// This object keeps to branch target identification (a landing pad at every entry).
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
