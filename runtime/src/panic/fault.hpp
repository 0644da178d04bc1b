// Which code throws for a fault of one of its instructions, and who reports the others.
#pragma once

#include <cstdint>

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

/// Any, signal handlers included: whether pc is in a program or library built with VOLE_FAULTS.
bool throws_faults(std::uintptr_t pc) noexcept;
/// Signal: fatal if the address is in the guard of g's stack.
void check_overflow(const G* g, std::uintptr_t address) noexcept;

}  // namespace vole::detail
