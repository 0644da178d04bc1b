// Two words at once (amd64: cmpxchg16b, which all processors have but the first of 2003). Contract in
// arch/include/vole/arch/pair.hpp.
//
// Whoever has AVX loads 16 aligned bytes at once: Intel and AMD have promised that in 2021, for all their
// processors of that kind. It takes a fraction of a nanosecond instead of 15, and readers share the line. As
// everybody writes by locked instructions, a plain load is sequentially consistent. Both ways of loading may
// be used at the same time: until the runtime starts (port.hpp, prepare), it is by an exchange.

	.section vole_port_code, "ax", @progbits

// vole_load_pair(object /*rdi*/, to /*rsi*/)
// in: rdi rsi. clobbers: rax rcx rdx r8 xmm0, flags. stack: any; a leaf that uses none of it.
	.globl	vole_load_pair
	.hidden	vole_load_pair
	.type	vole_load_pair, @function
	.p2align 4
vole_load_pair:
	.cfi_startproc
	endbr64
	cmpb	$0, vole_loads_pairs(%rip)
	je	.Lexchange
	movdqa	(%rdi), %xmm0
	movups	%xmm0, (%rsi)
	ret
.Lexchange:
	xorl	%edx, %edx
	xorl	%ecx, %ecx
	movq	%rdx, (%rsi)
	movq	%rdx, 8(%rsi)
	jmp	vole_exchange_pair
	.cfi_endproc
	.size	vole_load_pair, .-vole_load_pair

// vole_exchange_pair(object /*rdi*/, expected /*rsi*/, first /*rdx*/, second /*rcx*/) -> eax
// in: rdi rsi rdx rcx. out: eax. clobbers: rdx r8, flags. stack: any; a leaf that uses none of it.
	.globl	vole_exchange_pair
	.hidden	vole_exchange_pair
	.type	vole_exchange_pair, @function
	.p2align 4
vole_exchange_pair:
	.cfi_startproc
	endbr64
	movq	%rbx, %r8
	.cfi_register %rbx, %r8
	movq	%rdx, %rbx                     // rcx:rbx the new value; rcx has its half
	movq	(%rsi), %rax                   // rdx:rax the expected one
	movq	8(%rsi), %rdx
	lock cmpxchg16b (%rdi)
	movq	%r8, %rbx
	.cfi_restore %rbx
	jne	.Ldiffers
	movl	$1, %eax
	ret
.Ldiffers:
	movq	%rax, (%rsi)
	movq	%rdx, 8(%rsi)
	xorl	%eax, %eax
	ret
	.cfi_endproc
	.size	vole_exchange_pair, .-vole_exchange_pair

	.data
	.globl	vole_loads_pairs
	.hidden	vole_loads_pairs
	.type	vole_loads_pairs, @object
	.size	vole_loads_pairs, 1
vole_loads_pairs:
	.byte	0

	// Instrumented code calls it as it is: see arch/include/vole/arch/split_note.hpp.
	.section .note.GNU-stack, "", @progbits
	.section .note.GNU-split-stack, "", @progbits
	.section .note.GNU-no-split-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
