// Frames of a stack, as lines of text: names and offsets as the symbol tables have them.
#pragma once

#include <vole/arch/port.hpp>

namespace vole::inline v0::detail {

/// A suspended context's frames. Stack: any.
void print_frames(const arch::gobuf& context, int fd) noexcept;
/// The caller's own.
void print_own_frames(int fd) noexcept;

}  // namespace vole::detail
