// A release of a lock word that costs no read-modify-write (amd64: restartable sequence).
// Contract in arch/include/vole/arch/rseq.hpp.

	.section vole_port_code, "ax", @progbits

// vole_clear_if(word /*rdi*/, expected /*esi*/) -> eax
// in: rdi esi. out: eax 1 when *word was expected and is 0 now, else 0. clobbers: rax rdx, flags.
// stack: any; a leaf. The store is the commit: until it is done, preemption, migration, a signal or
// somebody's membarrier(PRIVATE_EXPEDITED_RSEQ) sends the thread back to the beginning.
	.globl	vole_clear_if
	.hidden	vole_clear_if
	.type	vole_clear_if, @function
	.p2align 5
vole_clear_if:
	.cfi_startproc
	endbr64
	movq	__rseq_offset@GOTPCREL(%rip), %rax
	movq	(%rax), %rax
	leaq	.Lsequence(%rip), %rdx
	movq	%rdx, %fs:8(%rax)              // struct rseq: rseq_cs
.Lstart:
	cmpl	%esi, (%rdi)
	jne	.Ldiffers
	movl	$0, (%rdi)
.Lcommitted:
	movl	$1, %eax
	ret
.Ldiffers:
	xorl	%eax, %eax
	ret
	// The kernel demands the signature right before the place it sends the thread to. As the
	// displacement of an undefined instruction it disassembles, and traps if it is ever run.
	.byte	0x0f, 0xb9, 0x3d
	.long	0x53053053
.Labort:
	jmp	vole_clear_if
	.cfi_endproc
	.size	vole_clear_if, .-vole_clear_if

	.section .data.rel.ro, "aw"
	.p2align 5
.Lsequence:                                    // struct rseq_cs
	.long	0, 0
	.quad	.Lstart, .Lcommitted - .Lstart, .Labort

	.weak	__rseq_offset
	.section .note.GNU-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
