// Growing a stack on arm64. No compiler instruments code for it; a plugin for GCC does
// (tools/split-stack), by the convention below, and stack::ensure uses it too. Same labels as amd64, but
// for __morestack_non_split: no linker sends anybody there.
//
// Instrumented code compares sp, or sp - frame, with the guard at tpidr_el0 + 8, and below it
//	mov x16, frame ; mov x17, argument_bytes ; mov x15, x30 ; bl __morestack ; body...
// so x30 is where the body begins and x15 where the function returns to. argument_bytes is a multiple of
// 16; 65520 says that the function has variable arguments. x0-x8, x18 and q0-q7 are kept.
// Unwinding: at __morestack's entry the return address is said to be x15, so that the function appears
// once in a backtrace; the personality routine takes the segment away.

#include "vole/arch/offsets.hpp"

#define FRAME 48                       // x29, caller, body, frame, arguments, kind
#define SAVED 208                      // q0-q7, x0-x8, x19
#define VARIABLE_ARGUMENTS 65520
#define MOST_ARGUMENTS 1024

	// reg = this thread's M
	.macro GETM reg, scratch
	adrp	\reg, :gottprel:vole_tls_m
	ldr	\reg, [\reg, :gottprel_lo12:vole_tls_m]
	mrs	\scratch, tpidr_el0
	ldr	\reg, [\reg, \scratch]
	.endm

	.macro SETGUARD reg, scratch
	mrs	\scratch, tpidr_el0
	str	\reg, [\scratch, #8]
	.endm

	.section vole_port_code, "ax", %progbits

// __morestack
// in: x15 x16 x17 x30 as above. out: whatever the body returns. clobbers: x9-x17.
// stack: leaves the goroutine's current segment for a newer one while the body runs; vole_newstack
// runs on g0.
	.globl	__morestack
	.hidden	__morestack
	.type	__morestack, %function
	.p2align 4
__morestack:
	.cfi_startproc
	.cfi_personality 0x9b, DW.ref.vole_morestack_personality
	.cfi_register x30, x15
	hint	#34                    // bti c
	stp	x29, x15, [sp, #-FRAME]!
	.cfi_def_cfa_offset FRAME
	.cfi_offset x29, -FRAME
	.cfi_offset x30, -FRAME+8
	mov	x29, sp
	.cfi_def_cfa_register x29
	str	x30, [x29, #16]
	stp	x16, x17, [x29, #24]
	mov	x10, #VOLE_GROWTH_OWN
	str	x10, [x29, #40]
	GETM	x9, x10
	ldr	x11, [x9, #VOLE_M_CURG]
.Lretry:
	ldr	x12, [x11, #VOLE_G_STACK]
	mov	w10, #VARIABLE_ARGUMENTS
	cmp	x17, x10
	b.ne	1f
	// As many as there may be, up to the segment's header.
	add	x10, x29, #FRAME
	sub	x10, x12, x10
	and	x10, x10, #~15
	mov	x17, #MOST_ARGUMENTS
	cmp	x10, x17
	csel	x17, x10, x17, lo
1:	ldr	x13, [x12, #VOLE_SEG_NEXT]
	cbz	x13, .Lslow
	ldr	x14, [x13, #VOLE_SEG_GUARD]
	add	x10, x16, x17
	add	x10, x10, #VOLE_GROWTH_SLACK
	add	x10, x10, x14
	cmp	x10, x13
	b.hi	.Lslow
	str	x13, [x11, #VOLE_G_STACK]
	str	x14, [x11, #VOLE_G_STACK_GUARD]
	SETGUARD x14, x10
	str	x29, [x13, #VOLE_SEG_ENTRY_SP]
	sub	x13, x13, x17
	mov	sp, x13
	cbz	x17, 3f
	add	x11, x29, #FRAME
2:	ldp	x12, x14, [x11], #16
	stp	x12, x14, [x13], #16
	subs	x17, x17, #16
	b.ne	2b
3:	ldr	x10, [x29, #16]
	adr	x30, 4f
	ret	x10                    // the body is no landing pad for blr
4:	GETM	x9, x10
	ldr	x11, [x9, #VOLE_M_CURG]
	ldr	x12, [x11, #VOLE_G_STACK]
	ldr	x12, [x12, #VOLE_SEG_PREV]
	str	x12, [x11, #VOLE_G_STACK]
	ldr	x13, [x12, #VOLE_SEG_GUARD]
	str	x13, [x11, #VOLE_G_STACK_GUARD]
	SETGUARD x13, x10
	mov	sp, x29
	ldp	x29, x30, [sp], #FRAME
	.cfi_remember_state
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa sp, 0
	ret
	.cfi_restore_state

	// What is pushed here is struct growth (layout.hpp). x9: M, x11: G
.Lslow:
	sub	sp, sp, #SAVED
	stp	q0, q1, [sp]
	stp	q2, q3, [sp, #32]
	stp	q4, q5, [sp, #64]
	stp	q6, q7, [sp, #96]
	stp	x0, x1, [sp, #128]
	stp	x2, x3, [sp, #144]
	stp	x4, x5, [sp, #160]
	stp	x6, x7, [sp, #176]
	stp	x8, x19, [sp, #192]
	.cfi_offset x19, -FRAME-8
	str	x17, [x29, #32]
	mov	x19, sp
	SETGUARD xzr, x10
	ldr	x10, [x9, #VOLE_M_G0_TOP]
	and	x10, x10, #~15
	mov	sp, x10
	mov	x0, x11
	mov	x1, x19
	bl	vole_newstack          // links a segment: nothing is copied here
	mov	sp, x19
	ldp	q0, q1, [sp]
	ldp	q2, q3, [sp, #32]
	ldp	q4, q5, [sp, #64]
	ldp	q6, q7, [sp, #96]
	ldp	x0, x1, [sp, #128]
	ldp	x2, x3, [sp, #144]
	ldp	x4, x5, [sp, #160]
	ldp	x6, x7, [sp, #176]
	ldp	x8, x19, [sp, #192]
	.cfi_restore x19
	add	sp, sp, #SAVED
	GETM	x9, x10
	ldr	x11, [x9, #VOLE_M_CURG]
	ldr	x14, [x11, #VOLE_G_STACK_GUARD]
	SETGUARD x14, x10
	ldp	x16, x17, [x29, #24]
	b	.Lretry
	.cfi_endproc
	.size	__morestack, .-__morestack

// vole_call_with_room(fn /*x0*/, arg /*x1*/, bytes /*x2*/)
// in: x0 x1 x2. Calls fn(arg) with at least `bytes` of stack: here, or on a newer segment, by the
// convention above, written by hand. Exceptions pass. On threads and g0: just calls.
	.globl	vole_call_with_room
	.hidden	vole_call_with_room
	.type	vole_call_with_room, %function
	.p2align 4
vole_call_with_room:
	.cfi_startproc
	hint	#34                    // bti c
	mrs	x9, tpidr_el0
	ldr	x9, [x9, #8]
	cbz	x9, 2f
	mov	x10, sp
	subs	x10, x10, x2
	b.lo	1f
	cmp	x10, x9
	b.hs	2f
1:	mov	x16, x2
	mov	x17, #0
	mov	x15, x30
	.cfi_register x30, x15
	bl	__morestack
	.cfi_restore x30
2:	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	mov	x29, sp
	mov	x9, x0
	mov	x0, x1
	blr	x9
	ldp	x29, x30, [sp], #16
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	vole_call_with_room, .-vole_call_with_room

	.hidden	DW.ref.vole_morestack_personality
	.weak	DW.ref.vole_morestack_personality
	.section .data.rel.local.DW.ref.vole_morestack_personality, "awG", %progbits, DW.ref.vole_morestack_personality, comdat
	.p2align 3
	.type	DW.ref.vole_morestack_personality, %object
	.size	DW.ref.vole_morestack_personality, 8
DW.ref.vole_morestack_personality:
	.xword	vole_morestack_personality

	.section .note.GNU-stack, "", %progbits

	// This object keeps to branch target identification (a landing pad at every entry).
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
