// __wrap_NAME for each NAME in foreign.def, in programs that are linked with --wrap=NAME for all of
// them; nothing else refers to this file. in, out: the real one's. clobbers: r10 r11. stack: where
// the current segment has room for foreign code, and on threads and g0, a jump to the real one; else it
// runs on a borrowed segment (as if this were the body of an instrumented function: morestack.S).

#include "vole/arch/offsets.hpp"

#define ROOM(name) WRAP name, 0
#define VARARGS(name) WRAP name, 1
#define LEAF(name) WRAP_LEAF name

#define GUARD %fs:0x70
// Stack arguments of a call with variable ones: nobody knows how many, so as many as there may be.
#define MOST_ARGUMENTS 1024

	.macro BEGIN name
	.weak	__real_\name          // no such thing without --wrap
	.globl	__wrap_\name
	.hidden	__wrap_\name
	.type	__wrap_\name, @function
	.p2align 4
__wrap_\name:
	.cfi_startproc
	endbr64
	.endm

	.macro END name
	.cfi_endproc
	.size	__wrap_\name, .-__wrap_\name
	.endm

	.macro WRAP name, varargs
	BEGIN	\name
	cmpq	$0, GUARD
	je	1f
	movq	vole_tls_m@gottpoff(%rip), %r11
	movq	%fs:(%r11), %r11
	movq	VOLE_M_CURG(%r11), %r11
	movq	VOLE_G_STACK(%r11), %r10
	cmpq	VOLE_SEG_FOREIGN_GUARD(%r10), %rsp
	jae	1f
	.if \varargs
	leaq	8(%rsp), %r11
	subq	%r11, %r10             // what there is between here and the segment's header
	movl	$MOST_ARGUMENTS, %r11d
	cmpq	%r11, %r10
	cmovb	%r10, %r11
	.else
	xorl	%r11d, %r11d
	.endif
	xorl	%r10d, %r10d
	call	__morestack_foreign
	ret
1:	jmp	*__real_\name@GOTPCREL(%rip)
	END	\name
	.endm

	.macro WRAP_LEAF name
	BEGIN	\name
	jmp	*__real_\name@GOTPCREL(%rip)
	END	\name
	.endm

	.section vole_port_code, "ax", @progbits
#include "arch/amd64/foreign.def"

	.section .note.GNU-stack, "", @progbits
	.section .note.GNU-split-stack, "", @progbits
	.section .note.GNU-no-split-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
