// Where a goroutine goes on that a signal handler makes throw, for arm64 (AAPCS64). The contract is in
// arch/include/vole/arch/port.hpp; who decides, in runtime/src/panic/fault.cpp.

	.section vole_port_code, "ax", %progbits

// vole_fault
// in: x0, x1, x2 the arguments of vole_throw_fault; [sp] the faulting PC, [sp, #8] x30 as it was there, sp 16
// below where it was. out: never, it throws. stack: the goroutine's. A signal frame to unwinders: the
// PC was not behind a call, and x30 has a value of its own, so the PC is in the column that they keep for
// this. The nop in front keeps look-ups of "pc - 1" inside.
	.p2align 4
	nop
	.globl	vole_fault
	.hidden	vole_fault
	.type	vole_fault, %function
vole_fault:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_return_column 96
	.cfi_def_cfa sp, 16
	.cfi_offset 96, -16
	.cfi_offset x30, -8
	hint	#38                      // bti jc
	stp	x29, xzr, [sp, #-16]!
	.cfi_adjust_cfa_offset 16
	.cfi_offset x29, -32
	bl	vole_throw_fault
	brk	#1
	.cfi_endproc
	.size	vole_fault, .-vole_fault

	.section .note.GNU-stack, "", %progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
