// A call that no exception passes unseen, for amd64 (System V ABI). The contract is in
// arch/include/vole/arch/port.hpp; what is done with the exceptions, in runtime/src/panic/guard.cpp.

	.section vole_port_code, "ax", @progbits

// vole_call_guarded
// in: rdi function, rsi its argument, rdx guard. out: rax null, or the exception that was stopped.
// clobbers: what a call does. stack: any. The personality routine finds the guard in rbx.
	.p2align 4
	.globl	vole_call_guarded, vole_guard_landing
	.hidden	vole_call_guarded, vole_guard_landing
	.type	vole_call_guarded, @function
vole_call_guarded:
	.cfi_startproc
	.cfi_personality 0x9b, DW.ref.vole_guard_personality
	endbr64
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	movq	%rdx, %rbx
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
	xorl	%eax, %eax
	jmp	1f
	// The unwinder comes here, with the exception in rax and the stack as it was around the call.
vole_guard_landing:
	endbr64
1:	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
	.cfi_endproc
	.size	vole_call_guarded, .-vole_call_guarded

	.hidden	DW.ref.vole_guard_personality
	.weak	DW.ref.vole_guard_personality
	.section .data.rel.local.DW.ref.vole_guard_personality, "awG", @progbits, DW.ref.vole_guard_personality, comdat
	.p2align 3
	.type	DW.ref.vole_guard_personality, @object
	.size	DW.ref.vole_guard_personality, 8
DW.ref.vole_guard_personality:
	.quad	vole_guard_personality

	.section .note.GNU-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
