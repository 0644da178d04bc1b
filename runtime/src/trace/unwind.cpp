// See unwind.hpp. By libunwind: from the callee-saved registers a suspended context consists of it
// walks on as if that context were running.
#include "runtime/src/trace/unwind.hpp"

#include "runtime/internal/fatal.hpp"

#if defined(VOLE_HAVE_LIBUNWIND)
#define UNW_LOCAL_ONLY
#include <libunwind.h>

namespace vole::inline v0::detail {

namespace {

constexpr int most_frames = 50;

void print_from(unw_cursor_t* cursor, int skip, int fd) noexcept {
    for (int i = 0; i < most_frames; ++i) {
        unw_word_t pc = 0;
        unw_get_reg(cursor, UNW_REG_IP, &pc);
        if (pc == 0) return;
        if (i >= skip) {
            char name[160];
            unw_word_t offset = 0;
            message line;
            line << "\t";
            const int found = unw_get_proc_name(cursor, name, sizeof(name), &offset);
            if (found == 0 || found == -UNW_ENOMEM) {
                line << name << "+";
                line.hex(offset) << "  ";
            }
            line.hex(pc) << "\n";
            line.write_to(fd);
        }
        if (unw_step(cursor) <= 0) return;
    }
    message line;
    line << "\t...more frames, not shown\n";
    line.write_to(fd);
}

}  // namespace

void print_own_frames(int fd) noexcept {
    unw_context_t context;
    unw_cursor_t cursor;
    if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0) return;
    print_from(&cursor, 1, fd);
}

void print_frames(const arch::gobuf& suspended, int fd) noexcept {
    unw_context_t context;
    unw_cursor_t cursor;
    if (unw_getcontext(&context) != 0) return;
    arch::this_port::fill_unwind_context(suspended, context);
    if (unw_init_local(&cursor, &context) != 0) return;
    print_from(&cursor, 0, fd);
}

}  // namespace vole::detail

#else

namespace vole::inline v0::detail {

// Built without libunwind: the resume address is what can be had of a suspended context.
void print_own_frames(int) noexcept {}
void print_frames(const arch::gobuf& suspended, int fd) noexcept {
    message line;
    line << "\t";
    line.hex(arch::this_port::resume(suspended).pc) << " (built without libunwind)\n";
    line.write_to(fd);
}

}  // namespace vole::detail
#endif
