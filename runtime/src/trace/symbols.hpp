// What lies at an address: function, file and line.
//
// From debug information and symbol tables, by GCC's libbacktrace, which allocates with mmap only and takes
// no lock of ours: usable after a crash and in signal handlers. The first look-up reads the tables of all
// loaded objects. Names are as the linker knows them; demangling allocates with malloc and is the caller's
// choice.
// Stack: any with some KiB of room.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vole::inline v0::detail {

struct symbol {
    const char* function;  // null: not known
    const char* file;      // null: no debug information
    int line;
    std::uintptr_t offset;  // of the address from the function's begin; ~0: not known
};

/// Calls f(arg, s) for the function at pc and, inlined functions first, for those that it is inlined into. At
/// least once.
void symbols_at(std::uintptr_t pc, void (*f)(void* arg, const symbol& s), void* arg) noexcept;

/// The linker's name of the function at pc. False: not known.
bool function_name(std::uintptr_t pc, char* text, std::size_t size) noexcept;
/// Where that function begins. 0: not known.
std::uintptr_t function_begin(std::uintptr_t pc) noexcept;

}  // namespace vole::detail
