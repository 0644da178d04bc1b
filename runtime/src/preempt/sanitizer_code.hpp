// The sanitizers' own code, when it is linked into the program (clang does; GCC uses libraries): it holds
// spin locks, so nothing may be stopped in it. Found by the names in the program's symbol table.
#pragma once

#include <cstdint>

#include <vole/config.hpp>

namespace vole::inline v0::detail {

#if defined(VOLE_ASAN) && defined(__clang__)
/// Calls f(lo, hi) for the stretch that holds all of it.
void add_sanitizer_code(void (*f)(std::uintptr_t lo, std::uintptr_t hi)) noexcept;
#else
inline void add_sanitizer_code(void (*)(std::uintptr_t, std::uintptr_t)) noexcept {}
#endif

}  // namespace vole::detail
