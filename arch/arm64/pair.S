// Two words at once (arm64: caspal where the processor has the large system extensions, else an exclusive
// load and store). Contract in arch/include/vole/arch/pair.hpp.
//
// Both ways may be used on one object at the same time. So the choice need not be made before the first
// use: until the runtime starts (port.hpp, prepare), it is the second way, which every processor knows.

	.arch	armv8-a+lse
	.section vole_port_code, "ax", %progbits

// vole_load_pair(object /*x0*/, to /*x1*/)
// in: x0 x1. clobbers: x0 and x2 to x8, flags. stack: any; a leaf that uses none of it.
	.globl	vole_load_pair
	.hidden	vole_load_pair
	.type	vole_load_pair, %function
	.p2align 4
vole_load_pair:
	.cfi_startproc
	hint	#34                      // bti c
	stp	xzr, xzr, [x1]
	mov	x2, xzr
	mov	x3, xzr
	b	vole_exchange_pair
	.cfi_endproc
	.size	vole_load_pair, .-vole_load_pair

// vole_exchange_pair(object /*x0*/, expected /*x1*/, first /*x2*/, second /*x3*/) -> w0
// in: x0 x1 x2 x3. out: w0. clobbers: x4 x5 x6 x7 x8, flags. stack: any; a leaf that uses none of it.
	.globl	vole_exchange_pair
	.hidden	vole_exchange_pair
	.type	vole_exchange_pair, %function
	.p2align 4
vole_exchange_pair:
	.cfi_startproc
	hint	#34                      // bti c
	ldp	x6, x7, [x1]
	adrp	x8, vole_has_casp
	ldrb	w8, [x8, #:lo12:vole_has_casp]
	cbz	w8, .Lexclusive
	mov	x4, x6
	mov	x5, x7
	caspal	x4, x5, x2, x3, [x0]
	cmp	x4, x6
	ccmp	x5, x7, #0, eq
	b.ne	.Ldiffers
	mov	w0, #1
	ret
.Lexclusive:
	ldaxp	x4, x5, [x0]
	cmp	x4, x6
	ccmp	x5, x7, #0, eq
	b.ne	.Lstore_back
	stlxp	w8, x2, x3, [x0]
	cbnz	w8, .Lexclusive
	mov	w0, #1
	ret
.Lstore_back:                            // the two halves were read at once only if this succeeds
	stlxp	w8, x4, x5, [x0]
	cbnz	w8, .Lexclusive
.Ldiffers:
	stp	x4, x5, [x1]
	mov	w0, #0
	ret
	.cfi_endproc
	.size	vole_exchange_pair, .-vole_exchange_pair

	.data
	.globl	vole_has_casp
	.hidden	vole_has_casp
	.type	vole_has_casp, %object
	.size	vole_has_casp, 1
vole_has_casp:
	.byte	0

	.section .note.GNU-stack, "", %progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
