// Holds known values in every register and in the red zone while a loop runs (registers.cpp).

// struct registers of registers.cpp
#define GENERAL 0                      // rax rbx rcx rdx rsi rdi rbp r8 ... r15
#define FLAGS 120
#define RED_ZONE 128
#define VECTORS 256                    // 32 of 64 bytes
#define MASKS 2304                     // k0 ... k7
#define X87 2368                       // 8 of 16 bytes, the last one pushed first
#define MXCSR 2496
#define FCW 2500

// Locals, above the red zone of the loop.
#define OUT 0
#define WIDE 8
#define RAX 16
#define OWN_MXCSR 24
#define OWN_FCW 28

	.text
// vole_test_registers(in /*rdi*/, out /*rsi*/, wide /*edx*/)
// in: what to hold; rcx in it is the number of rounds; wide: AVX-512 state too. out: what was there
// afterwards. clobbers: what a call may. stack: 128 bytes below its frame are its red zone.
	.globl	vole_test_registers
	.hidden	vole_test_registers
	.type	vole_test_registers, @function
	.p2align 4
vole_test_registers:
	.cfi_startproc
	endbr64
	.irp	r, rbp, rbx, r12, r13, r14, r15
	pushq	%\r
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %\r, 0
	.endr
	subq	$40, %rsp
	.cfi_adjust_cfa_offset 40
	movq	%rsi, OUT(%rsp)
	movq	%rdx, WIDE(%rsp)
	stmxcsr	OWN_MXCSR(%rsp)
	fnstcw	OWN_FCW(%rsp)
	movq	%rdi, %rax

	testl	%edx, %edx
	jz	1f
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovdqu64	VECTORS + 64*\n(%rax), %zmm\n
	.endr
	.irp	n, 0,1,2,3,4,5,6,7
	kmovq	MASKS + 8*\n(%rax), %k\n
	.endr
	jmp	2f
1:	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	VECTORS + 64*\n(%rax), %ymm\n
	.endr
2:	ldmxcsr	MXCSR(%rax)
	fninit
	fldcw	FCW(%rax)
	.irp	n, 0,1,2,3,4,5,6,7
	fldt	X87 + 16*\n(%rax)
	.endr
	pushq	FLAGS(%rax)
	popfq
	// From here nothing changes flags or is pushed.
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movq	RED_ZONE + 8*\n(%rax), %rbx
	movq	%rbx, 8*\n - 128(%rsp)
	.endr
	movq	GENERAL + 8(%rax), %rbx
	movq	GENERAL + 16(%rax), %rcx
	movq	GENERAL + 24(%rax), %rdx
	movq	GENERAL + 32(%rax), %rsi
	movq	GENERAL + 40(%rax), %rdi
	movq	GENERAL + 48(%rax), %rbp
	movq	GENERAL + 56(%rax), %r8
	movq	GENERAL + 64(%rax), %r9
	movq	GENERAL + 72(%rax), %r10
	movq	GENERAL + 80(%rax), %r11
	movq	GENERAL + 88(%rax), %r12
	movq	GENERAL + 96(%rax), %r13
	movq	GENERAL + 104(%rax), %r14
	movq	GENERAL + 112(%rax), %r15
	movq	GENERAL(%rax), %rax

3:	nop
	nop
	loop	3b

	movq	%rax, RAX(%rsp)
	movq	OUT(%rsp), %rax
	movq	%rbx, GENERAL + 8(%rax)
	movq	%rcx, GENERAL + 16(%rax)
	movq	%rdx, GENERAL + 24(%rax)
	movq	%rsi, GENERAL + 32(%rax)
	movq	%rdi, GENERAL + 40(%rax)
	movq	%rbp, GENERAL + 48(%rax)
	movq	%r8, GENERAL + 56(%rax)
	movq	%r9, GENERAL + 64(%rax)
	movq	%r10, GENERAL + 72(%rax)
	movq	%r11, GENERAL + 80(%rax)
	movq	%r12, GENERAL + 88(%rax)
	movq	%r13, GENERAL + 96(%rax)
	movq	%r14, GENERAL + 104(%rax)
	movq	%r15, GENERAL + 112(%rax)
	movq	RAX(%rsp), %rbx
	movq	%rbx, GENERAL(%rax)
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movq	8*\n - 128(%rsp), %rbx
	movq	%rbx, RED_ZONE + 8*\n(%rax)
	.endr
	pushfq
	.cfi_adjust_cfa_offset 8
	popq	FLAGS(%rax)
	.cfi_adjust_cfa_offset -8
	cld
	.irp	n, 7,6,5,4,3,2,1,0
	fstpt	X87 + 16*\n(%rax)
	.endr
	stmxcsr	MXCSR(%rax)
	fnstcw	FCW(%rax)
	cmpl	$0, WIDE(%rsp)
	je	4f
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovdqu64	%zmm\n, VECTORS + 64*\n(%rax)
	.endr
	.irp	n, 0,1,2,3,4,5,6,7
	kmovq	%k\n, MASKS + 8*\n(%rax)
	.endr
	jmp	5f
4:	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	%ymm\n, VECTORS + 64*\n(%rax)
	.endr
5:	vzeroupper
	fninit
	ldmxcsr	OWN_MXCSR(%rsp)
	fldcw	OWN_FCW(%rsp)
	addq	$40, %rsp
	.cfi_adjust_cfa_offset -40
	.irp	r, r15, r14, r13, r12, rbx, rbp
	popq	%\r
	.cfi_adjust_cfa_offset -8
	.cfi_restore %\r
	.endr
	ret
	.cfi_endproc
	.size	vole_test_registers, .-vole_test_registers

	.section .note.GNU-stack, "", @progbits
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
