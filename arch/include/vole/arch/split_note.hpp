// VOLE_FITS_SMALL_STACK: a note in the object file that its functions make do with the red zone of a
// small stack segment, so that a linker which knows split stacks lets instrumented code call them as it
// is (runtime/internal/deep.hpp says when a file may carry it). Put it in a namespace, once a file.
#pragma once

#if defined(__x86_64__)
#define VOLE_FITS_SMALL_STACK                                                                      \
    asm(".pushsection .note.GNU-split-stack,\"\",@progbits\n\t"                                    \
        ".popsection\n\t"                                                                          \
        ".pushsection .note.GNU-no-split-stack,\"\",@progbits\n\t"                                 \
        ".popsection")
#else
#define VOLE_FITS_SMALL_STACK static_assert(true)
#endif
