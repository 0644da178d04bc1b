// A release of a lock word (arm64: by exclusive load and store). Contract in
// arch/include/vole/arch/rseq.hpp. A restartable sequence as on amd64 would work here too, but has
// met no kernel yet: qemu-user knows none.

	.section vole_port_code, "ax", %progbits

// vole_clear_if(word /*x0*/, expected /*w1*/) -> w0
// in: x0 w1. out: w0 1 when *word was expected and is 0 now, else 0. clobbers: x9 x10, flags.
// stack: any; a leaf.
	.globl	vole_clear_if
	.hidden	vole_clear_if
	.type	vole_clear_if, %function
	.p2align 4
vole_clear_if:
	.cfi_startproc
	hint	#34                      // bti c
1:	ldxr	w9, [x0]
	cmp	w9, w1
	b.ne	2f
	stlxr	w10, wzr, [x0]
	cbnz	w10, 1b
	mov	w0, #1
	ret
2:	clrex
	mov	w0, #0
	ret
	.cfi_endproc
	.size	vole_clear_if, .-vole_clear_if

	.section .note.GNU-stack, "", %progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
