// __wrap_NAME for each NAME in foreign.def, in programs that are linked with --wrap=NAME for all of
// them; nothing else refers to this file. Each is an instrumented function by hand: its body is a jump
// to the real one. in, out: the real one's, arguments in registers only. clobbers: r10 r11 more.
// stack: a borrowed segment for ROOM while the real one runs, where the current one is small.

#define ROOM(name) WRAP_ROOM name
#define LEAF(name) WRAP_LEAF name

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

	.macro WRAP_ROOM name
	BEGIN	\name
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	call	__morestack_non_split
	ret
	jmp	*__real_\name@GOTPCREL(%rip)
	END	\name
	.endm

	.macro WRAP_LEAF name
	BEGIN	\name
	jmp	*__real_\name@GOTPCREL(%rip)
	END	\name
	.endm

	.text
#include "arch/amd64/foreign.def"

	.section .note.GNU-stack, "", @progbits
	.section .note.GNU-split-stack, "", @progbits
	.section .note.GNU-no-split-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
