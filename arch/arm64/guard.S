// A call that no exception passes unseen, for arm64 (AAPCS64). The contract is in
// arch/include/vole/arch/port.hpp; what is done with the exceptions, in runtime/src/panic/guard.cpp.

	.section vole_port_code, "ax", %progbits

// vole_call_guarded
// in: x0 function, x1 its argument, x2 guard. out: x0 null, or the exception that was stopped.
// clobbers: what a call does. stack: any. The personality routine finds the guard in x19.
	.p2align 4
	.globl	vole_call_guarded
	.globl	vole_guard_landing
	.hidden	vole_call_guarded
	.hidden	vole_guard_landing
	.type	vole_call_guarded, %function
vole_call_guarded:
	.cfi_startproc
	.cfi_personality 0x9b, DW.ref.vole_guard_personality
	hint	#34                      // bti c
	stp	x29, x30, [sp, #-32]!
	.cfi_adjust_cfa_offset 32
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	str	x19, [sp, #16]
	.cfi_rel_offset x19, 16
	mov	x29, sp
	mov	x19, x2
	mov	x9, x0
	mov	x0, x1
	blr	x9
	mov	x0, xzr
	b	1f
	// The unwinder comes here, with the exception in x0 and the stack as it was around the call.
vole_guard_landing:
	hint	#38                      // bti jc
1:	ldr	x19, [sp, #16]
	.cfi_restore x19
	ldp	x29, x30, [sp], #32
	.cfi_restore x29
	.cfi_restore x30
	.cfi_adjust_cfa_offset -32
	ret
	.cfi_endproc
	.size	vole_call_guarded, .-vole_call_guarded

	.hidden	DW.ref.vole_guard_personality
	.weak	DW.ref.vole_guard_personality
	.section .data.rel.local.DW.ref.vole_guard_personality, "awG", %progbits, DW.ref.vole_guard_personality, comdat
	.p2align 3
	.type	DW.ref.vole_guard_personality, %object
	.size	DW.ref.vole_guard_personality, 8
DW.ref.vole_guard_personality:
	.xword	vole_guard_personality

	.section .note.GNU-stack, "", %progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
