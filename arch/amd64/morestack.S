// Growing a stack on amd64: the -fsplit-stack convention of GCC and clang, with our own segments in
// the place of libgcc's. runtime/src/stack/README.md tells the story; segment.hpp has the fields.
//
// What instrumented code does (GCC 12, clang 14): compares rsp, or r11 = rsp - frame, with the guard
// at %fs:0x70, and below it
//	mov $frame, %r10d ; mov $argument_bytes, %r11d ; call __morestack ; ret ; body...
// so the body begins one byte after the return address. A function with variable arguments reads
// them from 24(%rbp) after the call: rbp must stand on a frame of the old stack then.
// Main and other ordinary threads, and g0, have 0 in the guard: their checks never fail.
//
// All argument registers are kept, vector and x87 ones too, and both pairs of return registers.
// Unwinding: at __morestack's entry the return address is said to be that of the instrumented
// function, so that one appears once in a backtrace; the personality routine takes the segment away.
// Not compatible with user shadow stacks, as in switch.S.

#include "vole/arch/offsets.hpp"

#define GUARD %fs:0x70
// x87, SSE, AVX, opmask, both halves of ZMM: what may carry an argument.
#define VECTOR_STATE 0xe7
#define VECTOR_BYTES 4096

	// reg = this thread's M
	.macro GETM reg
	movq	vole_tls_m@gottpoff(%rip), \reg
	movq	%fs:(\reg), \reg
	.endm

	// rsp at a 64-aligned block of VECTOR_BYTES; clobbers eax and edx
	.macro SAVE_VECTORS
	xorl	%edx, %edx
	movq	%rdx, 512(%rsp)
	movq	%rdx, 520(%rsp)
	movq	%rdx, 528(%rsp)
	movq	%rdx, 536(%rsp)
	movq	%rdx, 544(%rsp)
	movq	%rdx, 552(%rsp)
	movq	%rdx, 560(%rsp)
	movq	%rdx, 568(%rsp)
	movl	$VECTOR_STATE, %eax
	cmpb	$0, vole_has_xsave(%rip)
	je	81f
	xsave	(%rsp)
	jmp	82f
81:	fxsave64 (%rsp)
82:
	.endm

	.macro RESTORE_VECTORS
	movl	$VECTOR_STATE, %eax
	xorl	%edx, %edx
	cmpb	$0, vole_has_xsave(%rip)
	je	83f
	xrstor	(%rsp)
	jmp	84f
83:	fxrstor64 (%rsp)
84:
	.endm

	.section vole_port_code, "ax", @progbits

// __morestack
// in: r10 frame bytes, r11 bytes of stack arguments, return address one byte before the body.
// out: whatever the body returns. clobbers: r10 r11 before the body; rcx rsi rdi r8-r11 after it.
// stack: leaves the goroutine's current segment for a newer one while the body runs; vole_newstack
// runs on g0. For a copying stack: goes on in the body on the copy, and is gone.
	.globl	__morestack
	.hidden	__morestack
	.type	__morestack, @function
	.p2align 4
__morestack:
	.cfi_startproc
	.cfi_personality 0x9b, DW.ref.vole_morestack_personality
	.cfi_def_cfa %rsp, 16
	endbr64
	pushq	%rbp
	.cfi_def_cfa_offset 24
	.cfi_offset %rbp, -24
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	$VOLE_GROWTH_OWN
	pushq	%rdi
	GETM	%rcx
	movq	VOLE_M_CURG(%rcx), %rsi
.Lretry:
	movq	VOLE_G_STACK(%rsi), %rax
	movq	VOLE_SEG_NEXT(%rax), %rdx
	testq	%rdx, %rdx
	jz	.Lborrow
	leaq	VOLE_GROWTH_SLACK(%r10,%r11), %rdi
	addq	VOLE_SEG_GUARD(%rdx), %rdi
	cmpq	%rdx, %rdi
	ja	.Lslow
.Lenter:                               // rdx: the newer segment, linked to rax
	movq	%rdx, VOLE_G_STACK(%rsi)
	movq	VOLE_SEG_GUARD(%rdx), %rdi
	movq	%rdi, VOLE_G_STACK_GUARD(%rsi)
	movq	%rdi, GUARD
	movq	%rbp, VOLE_SEG_ENTRY_SP(%rdx)
	// Stack arguments go to the same alignment modulo 64 as they had: some are read as vectors.
	subq	%r11, %rdx
	subq	$64, %rdx
	andq	$-64, %rdx
	leaq	24(%rbp), %rdi
	andq	$63, %rdi
	addq	%rdi, %rdx
	testq	%r11, %r11
	jz	2f
1:	movq	16(%rbp,%r11), %rdi
	movq	%rdi, -8(%rdx,%r11)
	subq	$8, %r11
	jnz	1b
2:	movq	%rdx, %r10
	movq	8(%rbp), %r11
	incq	%r11                   // over the one-byte ret
	popq	%rdi
	addq	$8, %rsp
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	movq	%r10, %rsp
	call	*%r11
	// The body has returned: back to the older segment. rax rdx and the vector and x87 registers
	// carry results.
	GETM	%r11
	movq	VOLE_M_CURG(%r11), %rcx
	movq	VOLE_G_STACK(%rcx), %rsi
	cmpq	$0, VOLE_SEG_DYNAMIC(%rsi)
	jne	.Lfree_dynamic
.Lleave:
	movq	VOLE_SEG_PREV(%rsi), %rdi
	movq	%rdi, VOLE_G_STACK(%rcx)
	movq	VOLE_SEG_GUARD(%rdi), %r8
	movq	%r8, VOLE_G_STACK_GUARD(%rcx)
	movq	%r8, GUARD
	testb	$VOLE_SEG_SPARE, VOLE_SEG_FLAGS(%rsi)
	jz	3f
	cmpq	$0, VOLE_SEG_NEXT(%rsi)
	jne	3f                     // larger ones hang behind it: all of them are kept
	movq	$0, VOLE_SEG_NEXT(%rdi)
	movq	VOLE_M_SPARE(%r11), %r8
	movq	%r8, VOLE_SEG_NEXT(%rsi)
	movq	%rsi, VOLE_M_SPARE(%r11)
	incl	VOLE_M_SPARE_COUNT(%r11)
3:	movq	%rbp, %rsp
	popq	%rbp
	.cfi_remember_state
	.cfi_restore %rbp
	.cfi_def_cfa %rsp, 16
	ret                            // to the ret after "call __morestack", and so to the caller
	.cfi_restore_state

	// No newer segment at hand. rax: the current one.
.Lborrow:
	cmpb	$VOLE_GROWTH_OWN, -40(%rbp)
	jne	4f
	testb	$VOLE_SEG_BORROWS, VOLE_SEG_FLAGS(%rax)
	jz	.Lslow
	orb	$VOLE_SEG_GREW, VOLE_SEG_FLAGS(%rax)
4:	movq	VOLE_M_SPARE(%rcx), %rdx
	testq	%rdx, %rdx
	jz	.Lslow
	leaq	VOLE_GROWTH_SLACK(%r10,%r11), %rdi
	addq	VOLE_SEG_GUARD(%rdx), %rdi
	cmpq	%rdx, %rdi
	ja	.Lslow
	movq	VOLE_SEG_NEXT(%rdx), %rdi
	movq	%rdi, VOLE_M_SPARE(%rcx)
	decl	VOLE_M_SPARE_COUNT(%rcx)
	movq	$0, VOLE_SEG_NEXT(%rdx)
	movq	%rax, VOLE_SEG_PREV(%rdx)
	movq	%rdx, VOLE_SEG_NEXT(%rax)
	jmp	.Lenter

	// The runtime finds a segment, or copies the stack. What is pushed here is struct growth
	// (grow.hpp); it lies on the old stack, so a copy takes it along and adjusts it.
.Lslow:
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	.cfi_offset %rbx, -112
	pushq	%r12
	.cfi_offset %r12, -120
	pushq	%r13
	.cfi_offset %r13, -128
	pushq	%r14
	.cfi_offset %r14, -136
	pushq	%r15
	.cfi_offset %r15, -144
	movq	%rsp, %rbx
	movq	$0, GUARD
	movq	VOLE_M_G0_TOP(%rcx), %rsp
	subq	$VECTOR_BYTES, %rsp
	andq	$-64, %rsp
	movq	%rsi, %rdi
	movq	%rbx, %rsi
	SAVE_VECTORS
	call	vole_newstack
	addq	%rax, %rbx             // rax: how far the stack has moved
	RESTORE_VECTORS
	movq	%rbx, %rsp
	GETM	%rcx
	movq	VOLE_M_CURG(%rcx), %rsi
	movq	VOLE_G_STACK_GUARD(%rsi), %rdi
	movq	%rdi, GUARD
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	.cfi_restore %rbx
	.cfi_restore %r12
	.cfi_restore %r13
	.cfi_restore %r14
	.cfi_restore %r15
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	cmpb	$VOLE_GROWTH_COPIED, 8(%rsp)
	jne	.Lretry
	popq	%rdi
	addq	$8, %rsp
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	popq	%rbp
	.cfi_restore %rbp
	.cfi_def_cfa %rsp, 16
	// Into the body, on the same stack by now. r10 and r11 are free.
.Linto_body:
	popq	%r10
	.cfi_def_cfa_offset 8
	incq	%r10
	cmpl	$0xfa1e0ff3, (%r10)    // endbr64
	jne	5f
	addq	$4, %r10
	// A body with variable arguments begins with lea 24(%rbp), %r11, of __morestack's frame,
	// which there is none of: what it wants is the address of the first stack argument.
5:	leaq	8(%rsp), %r11
	cmpl	$0x185d8d4c, (%r10)
	jne	6f
	addq	$4, %r10
6:	jmp	*%r10
	.cfi_def_cfa %rbp, 24
	.cfi_offset %rbp, -24

	// rsi: the segment to be left, r11: M
.Lfree_dynamic:
	pushq	%rax
	pushq	%rdx
	movq	%rsp, %rax
	movq	VOLE_M_G0_TOP(%r11), %rsp
	subq	$VECTOR_BYTES, %rsp
	andq	$-64, %rsp
	movq	$0, GUARD
	movq	%rsi, %rdi
	movq	%rbx, %r8
	movq	%rax, %rbx
	.cfi_remember_state
	.cfi_undefined %rbx
	SAVE_VECTORS
	subq	$16, %rsp
	movq	%r8, (%rsp)
	call	vole_free_dynamic
	movq	(%rsp), %r8
	addq	$16, %rsp
	RESTORE_VECTORS
	movq	%rbx, %rsp
	movq	%r8, %rbx
	.cfi_restore_state
	popq	%rdx
	popq	%rax
	GETM	%r11
	movq	VOLE_M_CURG(%r11), %rcx
	movq	VOLE_G_STACK(%rcx), %rsi
	jmp	.Lleave
	.cfi_endproc
	.size	__morestack, .-__morestack

// __morestack_non_split
// ld.lld and gold send functions here that call uninstrumented ones. in, out: as __morestack; on
// amd64 lld makes a short check fail always, so the body mostly has room: then it runs on this
// stack, called (not jumped to, which would put the return predictor out of step).
// clobbers: r10 r11 before the body, nothing after it. stack: the same, or as __morestack.
	.globl	__morestack_non_split
	.hidden	__morestack_non_split
	.type	__morestack_non_split, @function
	.p2align 4
__morestack_non_split:
	.cfi_startproc
	.cfi_def_cfa %rsp, 16
	endbr64
	cmpq	$0, GUARD              // a thread, or g0
	je	.Lroom
	pushq	%rax
	.cfi_def_cfa_offset 24
	pushq	%rcx
	.cfi_def_cfa_offset 32
	GETM	%rcx
	movq	VOLE_M_CURG(%rcx), %rcx
	movq	VOLE_G_STACK(%rcx), %rcx
	leaq	16(%rsp), %rax
	subq	%r10, %rax
	jc	7f
	cmpq	VOLE_SEG_FOREIGN_GUARD(%rcx), %rax
7:	popq	%rcx
	.cfi_def_cfa_offset 24
	popq	%rax
	.cfi_def_cfa_offset 16
	jb	.Lforeign
.Lroom:
	testq	%r11, %r11
	jnz	.Linto_body            // arguments on the stack must stay where the body looks
	pushq	%rbp
	.cfi_def_cfa_offset 24
	.cfi_offset %rbp, -24
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	movq	8(%rbp), %r11
	incq	%r11
	subq	$8, %rsp
	call	*%r11
	movq	%rbp, %rsp
	popq	%rbp
	.cfi_restore %rbp
	.cfi_def_cfa %rsp, 16
	ret
	.cfi_endproc
	.size	__morestack_non_split, .-__morestack_non_split

// __morestack_foreign: the same, known not to have room.
	.globl	__morestack_foreign
	.hidden	__morestack_foreign
	.type	__morestack_foreign, @function
__morestack_foreign:
.Lforeign:
	.cfi_startproc
	.cfi_personality 0x9b, DW.ref.vole_morestack_personality
	.cfi_def_cfa %rsp, 16
	pushq	%rbp
	.cfi_def_cfa_offset 24
	.cfi_offset %rbp, -24
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	$VOLE_GROWTH_FOREIGN
	pushq	%rdi
	GETM	%rcx
	movq	VOLE_M_CURG(%rcx), %rsi
	jmp	.Lretry
	.cfi_endproc
	.size	__morestack_foreign, .-__morestack_foreign

// vole_call_with_room(fn /*rdi*/, arg /*rsi*/, bytes /*rdx*/)
// in: rdi rsi rdx. Calls fn(arg) with at least `bytes` of stack: here, or on a newer segment, by the
// convention above, written by hand. Exceptions pass. On threads and g0: just calls.
	.globl	vole_call_with_room
	.hidden	vole_call_with_room
	.type	vole_call_with_room, @function
	.p2align 4
vole_call_with_room:
	.cfi_startproc
	endbr64
	cmpq	$0, GUARD
	je	8f
	movq	%rsp, %rax
	subq	%rdx, %rax
	jc	9f
	cmpq	GUARD, %rax
	jae	8f
9:	movq	%rdx, %r10
	xorl	%r11d, %r11d
	call	__morestack
	ret
8:	subq	$8, %rsp
	.cfi_def_cfa_offset 16
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
	addq	$8, %rsp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	vole_call_with_room, .-vole_call_with_room

	// Whether the system lets us use xsave; set before the first goroutine (port.hpp).
	.globl	vole_has_xsave
	.hidden	vole_has_xsave
	.type	vole_has_xsave, @object
	.size	vole_has_xsave, 1
	.bss
vole_has_xsave:
	.byte	0

	.hidden	DW.ref.vole_morestack_personality
	.weak	DW.ref.vole_morestack_personality
	.section .data.rel.local.DW.ref.vole_morestack_personality, "awG", @progbits, DW.ref.vole_morestack_personality, comdat
	.p2align 3
	.type	DW.ref.vole_morestack_personality, @object
	.size	DW.ref.vole_morestack_personality, 8
DW.ref.vole_morestack_personality:
	.quad	vole_morestack_personality

	.section .note.GNU-stack, "", @progbits
	// Known to the linker as split: calls of these need no adjustment.
	.section .note.GNU-split-stack, "", @progbits
	.section .note.GNU-no-split-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
