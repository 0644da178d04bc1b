// See unwind.hpp. By libunwind: from the callee-saved registers a suspended context consists of it
// walks on as if that context were running.
#include "runtime/src/trace/unwind.hpp"

#include "runtime/internal/fatal.hpp"

#if defined(VOLE_HAVE_LIBUNWIND)
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <ucontext.h>

#include <algorithm>
#include <cstring>

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

void print_interrupted_frames(const void* context, int fd) noexcept {
    // The kernel's ucontext_t is a prefix of what libunwind takes on both architectures.
    unw_context_t copy{};
    std::memcpy(&copy, context, std::min(sizeof(copy), sizeof(ucontext_t)));
    unw_cursor_t cursor;
    if (unw_init_local2(&cursor, &copy, UNW_INIT_SIGNAL_FRAME) != 0) return;
    print_from(&cursor, 0, fd);
}

std::size_t frames_within(const void* lo, const void* hi, std::size_t most, std::uintptr_t* pcs,
                          std::size_t room) noexcept {
    unw_context_t context;
    unw_cursor_t cursor;
    if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0) return 0;
    const auto low = reinterpret_cast<std::uintptr_t>(lo);
    const std::uintptr_t bytes = reinterpret_cast<std::uintptr_t>(hi) - low;
    std::size_t n = 0;
    while (n < most && unw_step(&cursor) > 0) {
        unw_word_t pc = 0;
        unw_word_t sp = 0;
        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        unw_get_reg(&cursor, UNW_REG_SP, &sp);
        const bool inside = sp - low < bytes;
        if (pc == 0 || (!inside && n != 0)) break;
        if (!inside) continue;
        if (n < room) pcs[n] = pc;
        ++n;
    }
    return n;
}

bool function_name(std::uintptr_t pc, char* text, std::size_t size) noexcept {
    unw_context_t context;
    unw_cursor_t cursor;
    if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0) return false;
    unw_word_t offset = 0;
    if (unw_set_reg(&cursor, UNW_REG_IP, pc) != 0) return false;
    const int found = unw_get_proc_name(&cursor, text, size, &offset);
    return found == 0 || found == -UNW_ENOMEM;
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
void print_interrupted_frames(const void* context, int fd) noexcept {
    message line;
    line << "\t";
    line.hex(arch::this_port::interrupted(context).pc) << " (built without libunwind)\n";
    line.write_to(fd);
}
std::size_t frames_within(const void*, const void*, std::size_t, std::uintptr_t*,
                          std::size_t) noexcept {
    return 0;
}
bool function_name(std::uintptr_t, char*, std::size_t) noexcept { return false; }

}  // namespace vole::detail
#endif
