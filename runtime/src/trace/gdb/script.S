// Puts vole-gdb.py into every program that runs goroutines, where gdb looks for scripts: a section of
// entries, each a byte for its kind (4: Python), a line that is its name, the text, and a zero. No part
// of the loaded program, and taken away by strip with the rest of what debuggers read.

	.section .debug_gdb_scripts, "MS", %progbits, 1
	.byte	4
	.ascii	"vole-gdb.py\n"
#include "vole-gdb.inc"
	.byte	0

	// Whoever refers to this has this object linked.
	.section .rodata.vole_gdb_script, "a", %progbits
	.globl	vole_gdb_script
	.hidden	vole_gdb_script
	.type	vole_gdb_script, %object
	.size	vole_gdb_script, 1
vole_gdb_script:
	.byte	0

	.section .note.GNU-stack, "", %progbits

	// There is no code here, so this object keeps to whatever the others do. Without the note the
	// linker would take the whole program for one that does not.
	.section .note.gnu.property, "a"
	.p2align 3
#if defined(__x86_64__)
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
#elif defined(__aarch64__)
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
#endif
