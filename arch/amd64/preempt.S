// The injected call of asynchronous preemption for amd64 (System V ABI). The contract is in
// arch/include/vole/arch/port.hpp; who injects it, and when that is right, in runtime/src/preempt.
//
// The interrupted code may be between any two instructions: every register counts, flags and the 128
// bytes below its stack pointer included. Vector state is saved by xsavec, as little of it as is in use;
// AMX (8 KiB) is left out: such code must not be preempted this way.
// Not compatible with user shadow stacks: `ret $128` returns to where no call came from.

#include "arch/amd64/layout.hpp"

#define XSAVE_HEADER 512
#define XSAVE_AVX512 0xe0              // opmask, upper halves, upper sixteen
#define XSAVE_LEGACY_AND_AVX 832       // 512 + header 64 + 256

	.section vole_port_code, "ax", @progbits

// vole_async_preempt
// in: [rsp] the interrupted PC, rsp 136 below the interrupted one. out: everything as it was.
// clobbers: nothing. stack: the goroutine's; needs 128 + 136 + vole_xsave_bytes + 64 and what
// vole_async_preempt2 uses. A signal frame to unwinders: the PC was not behind a call. The nop in front
// keeps look-ups of "pc - 1" inside.
	.p2align 4
	nop
	.globl	vole_async_preempt
	.hidden	vole_async_preempt
	.type	vole_async_preempt, @function
vole_async_preempt:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, VOLE_INJECTION_RED_ZONE + 8
	.cfi_offset %rip, -(VOLE_INJECTION_RED_ZONE + 8)
	endbr64                                // changes neither registers nor flags
	pushfq
	.cfi_adjust_cfa_offset 8
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_offset %rbp, -(VOLE_INJECTION_RED_ZONE + 24)
	movq	%rsp, %rbp
	.cfi_def_cfa %rbp, VOLE_INJECTION_RED_ZONE + 24

	// From here the CFA hangs on rbp; each register lies 8 below the one before.
	.set	.Lbelow, VOLE_INJECTION_RED_ZONE + 24
	.irp	r, rax, rcx, rdx, rbx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq	%\r
	.set	.Lbelow, .Lbelow + 8
	.cfi_offset %\r, -.Lbelow
	.endr

	cld
	movl	$1, %ecx
	xgetbv                                 // eax: components that are not in their first state
	andl	vole_xsave_mask(%rip), %eax
	orl	$3, %eax                       // x87 and SSE always: the control words are in there
	xorl	%edx, %edx
	movl	vole_xsave_bytes(%rip), %ecx
	testl	$XSAVE_AVX512, %eax
	jnz	1f
	movl	$XSAVE_LEGACY_AND_AVX, %ecx
1:	subq	%rcx, %rsp
	andq	$-64, %rsp
	// xsavec writes the first 16 bytes of its header; xrstor wants the others zero.
	xorl	%ecx, %ecx
	movq	%rcx, XSAVE_HEADER + 16(%rsp)
	movq	%rcx, XSAVE_HEADER + 24(%rsp)
	movq	%rcx, XSAVE_HEADER + 32(%rsp)
	movq	%rcx, XSAVE_HEADER + 40(%rsp)
	movq	%rcx, XSAVE_HEADER + 48(%rsp)
	movq	%rcx, XSAVE_HEADER + 56(%rsp)
	xsavec	(%rsp)
	// What a C++ function expects on entry.
	fninit
	ldmxcsr	.Ldefault_mxcsr(%rip)
	vzeroupper

	call	vole_async_preempt2@PLT

	movl	vole_xsave_mask(%rip), %eax
	orl	$3, %eax
	xorl	%edx, %edx
	xrstor	(%rsp)                         // what was not saved goes back to its first state
	leaq	-14*8(%rbp), %rsp
	.irp	r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbx, rdx, rcx, rax
	popq	%\r
	.cfi_restore %\r
	.endr
	popq	%rbp
	.cfi_restore %rbp
	.cfi_def_cfa %rsp, VOLE_INJECTION_RED_ZONE + 16
	popfq
	.cfi_adjust_cfa_offset -8
	ret	$VOLE_INJECTION_RED_ZONE
	.cfi_endproc
	.size	vole_async_preempt, .-vole_async_preempt

	.section .rodata
	.p2align 2
.Ldefault_mxcsr:
	.long	0x1f80

	.bss
	.globl	vole_xsave_mask, vole_xsave_bytes
	.hidden	vole_xsave_mask, vole_xsave_bytes
	.type	vole_xsave_mask, @object
	.type	vole_xsave_bytes, @object
	.size	vole_xsave_mask, 4
	.size	vole_xsave_bytes, 4
	.p2align 2
vole_xsave_mask:
	.zero	4
vole_xsave_bytes:
	.zero	4

	.section .note.GNU-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
