// Where a goroutine goes on that a signal handler makes throw, for amd64 (System V ABI). The contract is in
// arch/include/vole/arch/port.hpp; who decides, in runtime/src/panic/fault.cpp.

#include "arch/amd64/layout.hpp"

	.section vole_port_code, "ax", @progbits

// vole_fault
// in: rdi, rsi, rdx the arguments of vole_throw_fault; [rsp] the faulting PC, rsp 136 below where it was:
// the red zone stays. out: never, it throws. stack: the goroutine's. A signal frame to unwinders: the PC was
// not behind a call, and the faulting instruction's own range of handlers counts. The nop in front keeps
// look-ups of "pc - 1" inside.
	.p2align 4
	nop
	.globl	vole_fault
	.hidden	vole_fault
	.type	vole_fault, @function
vole_fault:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, VOLE_INJECTION_RED_ZONE + 8
	.cfi_offset %rip, -(VOLE_INJECTION_RED_ZONE + 8)
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_offset %rbp, -(VOLE_INJECTION_RED_ZONE + 16)
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	andq	$-16, %rsp
	cld
	call	vole_throw_fault@PLT
	ud2
	.cfi_endproc
	.size	vole_fault, .-vole_fault

	.section .note.GNU-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
