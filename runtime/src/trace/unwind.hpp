// Frames of a stack, as lines of text: names and offsets as the symbol tables have them.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/arch/port.hpp>

namespace vole::inline v0::detail {

/// A suspended context's frames. Stack: any.
void print_frames(const arch::gobuf& context, int fd) noexcept;
/// Those of a thread that waits in a signal handler, whose third argument `context` is.
void print_interrupted_frames(const void* context, int fd) noexcept;
/// The caller's own.
void print_own_frames(int fd) noexcept;

/// The caller's own frames that lie in [lo, hi), as far as they are in a row: how many, at most
/// `most`; the innermost `room` pcs. On g0 called by __morestack: the goroutine's.
std::size_t frames_within(const void* lo, const void* hi, std::size_t most, std::uintptr_t* pcs,
                          std::size_t room) noexcept;
/// The name of the function at pc, as symbol tables have it. False: not known.
bool function_name(std::uintptr_t pc, char* text, std::size_t size) noexcept;

}  // namespace vole::detail
