// Holds known values in every register while a loop runs (registers.cpp).

// struct registers of registers.cpp
#define GENERAL 0                      // x0 ... x30
#define NZCV 248
#define FPCR 256
#define FPSR 264
#define VECTORS 272                    // v0 ... v31, 16 bytes each

	.text
// vole_test_registers(in /*x0*/, out /*x1*/)
// in: what to hold; x0 in it is the number of rounds. out: what was there afterwards. clobbers: what a call
// may. stack: saves what belongs to the caller, the pointers, and its own fpcr; x29 and x30 are held too, so
// there is no frame record while the loop runs.
	.globl	vole_test_registers
	.hidden	vole_test_registers
	.type	vole_test_registers, %function
	.p2align 4
vole_test_registers:
	.cfi_startproc
	bti	c
	sub	sp, sp, #192
	.cfi_adjust_cfa_offset 192
	stp	x29, x30, [sp, #32]
	.cfi_rel_offset x29, 32
	.cfi_rel_offset x30, 40
	stp	x19, x20, [sp, #48]
	.cfi_rel_offset x19, 48
	.cfi_rel_offset x20, 56
	stp	x21, x22, [sp, #64]
	.cfi_rel_offset x21, 64
	.cfi_rel_offset x22, 72
	stp	x23, x24, [sp, #80]
	.cfi_rel_offset x23, 80
	.cfi_rel_offset x24, 88
	stp	x25, x26, [sp, #96]
	.cfi_rel_offset x25, 96
	.cfi_rel_offset x26, 104
	stp	x27, x28, [sp, #112]
	.cfi_rel_offset x27, 112
	.cfi_rel_offset x28, 120
	stp	d8, d9, [sp, #128]
	stp	d10, d11, [sp, #144]
	stp	d12, d13, [sp, #160]
	stp	d14, d15, [sp, #176]
	str	x1, [sp, #0]
	mrs	x2, fpcr
	str	x2, [sp, #8]

	ldr	x2, [x0, #FPCR]
	msr	fpcr, x2
	ldr	x2, [x0, #FPSR]
	msr	fpsr, x2
	add	x2, x0, #VECTORS
	ld1	{v0.2d-v3.2d}, [x2], #64
	ld1	{v4.2d-v7.2d}, [x2], #64
	ld1	{v8.2d-v11.2d}, [x2], #64
	ld1	{v12.2d-v15.2d}, [x2], #64
	ld1	{v16.2d-v19.2d}, [x2], #64
	ld1	{v20.2d-v23.2d}, [x2], #64
	ld1	{v24.2d-v27.2d}, [x2], #64
	ld1	{v28.2d-v31.2d}, [x2], #64
	ldr	x2, [x0, #NZCV]
	msr	nzcv, x2
	.irp	n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
	ldr	x\n, [x0, #GENERAL + 8*\n]
	.endr
	ldr	x0, [x0, #GENERAL]

1:	sub	x0, x0, #1                     // leaves the flags alone
	cbnz	x0, 1b

	str	x1, [sp, #16]
	ldr	x1, [sp, #0]
	.irp	n, 0,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
	str	x\n, [x1, #GENERAL + 8*\n]
	.endr
	ldr	x2, [sp, #16]
	str	x2, [x1, #GENERAL + 8]
	mrs	x2, nzcv
	str	x2, [x1, #NZCV]
	mrs	x2, fpcr
	str	x2, [x1, #FPCR]
	mrs	x2, fpsr
	str	x2, [x1, #FPSR]
	add	x2, x1, #VECTORS
	st1	{v0.2d-v3.2d}, [x2], #64
	st1	{v4.2d-v7.2d}, [x2], #64
	st1	{v8.2d-v11.2d}, [x2], #64
	st1	{v12.2d-v15.2d}, [x2], #64
	st1	{v16.2d-v19.2d}, [x2], #64
	st1	{v20.2d-v23.2d}, [x2], #64
	st1	{v24.2d-v27.2d}, [x2], #64
	st1	{v28.2d-v31.2d}, [x2], #64

	ldr	x2, [sp, #8]
	msr	fpcr, x2
	ldp	d14, d15, [sp, #176]
	ldp	d12, d13, [sp, #160]
	ldp	d10, d11, [sp, #144]
	ldp	d8, d9, [sp, #128]
	ldp	x27, x28, [sp, #112]
	.cfi_restore x27
	.cfi_restore x28
	ldp	x25, x26, [sp, #96]
	.cfi_restore x25
	.cfi_restore x26
	ldp	x23, x24, [sp, #80]
	.cfi_restore x23
	.cfi_restore x24
	ldp	x21, x22, [sp, #64]
	.cfi_restore x21
	.cfi_restore x22
	ldp	x19, x20, [sp, #48]
	.cfi_restore x19
	.cfi_restore x20
	ldp	x29, x30, [sp, #32]
	.cfi_restore x29
	.cfi_restore x30
	add	sp, sp, #192
	.cfi_adjust_cfa_offset -192
	ret
	.cfi_endproc
	.size	vole_test_registers, .-vole_test_registers

	.section .note.GNU-stack, "", %progbits
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
