// Context switch for amd64 (System V ABI). Contracts are in arch/include/vole/arch/port.hpp.
//
// A suspended context is 64 bytes at gobuf::sp (layout.hpp): control words, six callee-saved
// registers, return address. Two rules of thumb behind the code:
//  - resume by `ret`, not by an indirect jump: all switches of the runtime come from one or two
//    call sites, so the return predictor is usually right, and stays in step. vole_exchange alone
//    jumps: its two sides are calls in two places of the program, which the predictor of indirect
//    jumps learns, and the other cannot;
//  - the control words are loaded at every switch. Comparing them with the live ones first would save the
//    loads, but has to read back what stmxcsr has just stored: 2 ns on the EPYC that was measured,
//    where both loads take less. MXCSR's sticky status bits travel along.
// Not compatible with user shadow stacks (CET SHSTK): a switch changes the call stack under them.

#include "arch/amd64/layout.hpp"

	.macro FUNC name
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	.endm

	.macro ENDFUNC name
	.cfi_endproc
	.size	\name, .-\name
	.endm

	// Pushes the callee-saved state below the return address. Leaves rsp at the frame.
	.macro SAVE_FRAME
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	VOLE_FRAME_MXCSR(%rsp)
	fnstcw	VOLE_FRAME_FCW(%rsp)
	.endm

	// rsp is at a frame: takes over its control words and returns to its pc; `how` is jump: jumps there. The CFI describes the frame being
	// restored, which has the same shape as the one SAVE_FRAME made.
	.macro RESTORE_FRAME how=return
	ldmxcsr	VOLE_FRAME_MXCSR(%rsp)
	fldcw	VOLE_FRAME_FCW(%rsp)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	.ifc \how, jump
	popq	%rdx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rdx
	notrack jmp *%rdx
	.cfi_restore %rip
	.else
	ret
	.endif
	.cfi_def_cfa_offset VOLE_FRAME_BYTES
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	.endm

	.section vole_port_code, "ax", @progbits

// vole_switch(from /*rdi*/, to /*rsi*/)
// in: rdi, rsi. out: nothing. clobbers: flags, and all that the ABI lets a call clobber.
// stack: leaves the caller's, returns on the stack of `to`.
FUNC vole_switch
	SAVE_FRAME
	movq	%rsp, VOLE_GOBUF_SP(%rdi)
	movq	VOLE_GOBUF_SP(%rsi), %rsp
	RESTORE_FRAME
ENDFUNC vole_switch

// vole_exchange(other /*rdi*/)
// in: rdi. out: nothing. clobbers: rdx, flags, and all that the ABI lets a call clobber.
// stack: leaves the caller's, returns on that of what `other` held.
FUNC vole_exchange
	SAVE_FRAME
	movq	%rsp, %rdx
	movq	VOLE_GOBUF_SP(%rdi), %rsp
	movq	%rdx, VOLE_GOBUF_SP(%rdi)
	RESTORE_FRAME jump
ENDFUNC vole_exchange

// vole_gogo(to /*rdi*/)
// in: rdi. Does not return to its caller. stack: leaves the caller's, goes on on that of `to`.
FUNC vole_gogo
	movq	VOLE_GOBUF_SP(%rdi), %rsp
	.cfi_def_cfa_offset VOLE_FRAME_BYTES
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	RESTORE_FRAME
ENDFUNC vole_gogo

// vole_mcall(from /*rdi*/, stack_top /*rsi*/, fn /*rdx*/, arg /*rcx*/)
// in: rdi rsi rdx rcx. Returns when `from` is resumed. stack: calls fn on the given one, whose
// frames (if any) are abandoned; a backtrace from fn ends here, since the goroutine that called
// may be running elsewhere by then.
FUNC vole_mcall
	SAVE_FRAME
	movq	%rsp, VOLE_GOBUF_SP(%rdi)
	movq	%rsi, %rsp
	andq	$-16, %rsp
	.cfi_undefined %rip
	xorl	%ebp, %ebp
	movq	%rcx, %rdi
	call	*%rdx
	ud2
ENDFUNC vole_mcall

// vole_gosave(buf /*rdi*/, fn /*rsi*/, arg /*rdx*/)
// in: rdi rsi rdx. Returns when `buf` is resumed. stack: fn runs below the saved frame, on the same.
FUNC vole_gosave
	SAVE_FRAME
	movq	%rsp, VOLE_GOBUF_SP(%rdi)      // 16-aligned: entry is 8 off, the frame takes 56
	movq	%rdx, %rdi
	call	*%rsi
	ud2
ENDFUNC vole_gosave

// vole_systemstack(stack_top /*rdi*/, fn /*rsi*/, arg /*rdx*/)
// in: rdi rsi rdx. Callee-saved registers kept. stack: calls fn on the given one and comes back.
// The CFA hangs on rbp, which stands on the caller's stack: exceptions and debuggers cross here.
FUNC vole_systemstack
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	movq	%rdi, %rsp
	andq	$-16, %rsp
	movq	%rdx, %rdi
	call	*%rsi
	leave
	.cfi_def_cfa %rsp, 8
	.cfi_restore %rbp
	ret
ENDFUNC vole_systemstack

// vole_gostart: first code of a new context; rbx holds make_context's word.
// stack: the new context's, 16-aligned. Never returns. The nop before the label keeps "pc - 1"
// look-ups of unwinders inside a function that says: the stack ends here.
	.globl	vole_gostart
	.hidden	vole_gostart
	.type	vole_gostart, @function
	.p2align 4
	.cfi_startproc
	.cfi_undefined %rip
	nop
vole_gostart:
	endbr64
	xorl	%ebp, %ebp
	movq	%rbx, %rdi
	call	vole_goroutine_main@PLT
	call	vole_goroutine_exit@PLT
	ud2
ENDFUNC vole_gostart

	.section .note.GNU-stack, "", @progbits

	// This object keeps to indirect branch tracking (endbr64 at every entry), not to shadow stacks.
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
