// Walking stacks: of suspended contexts, of interrupted ones, and the caller's own.
//
// By libunwind where there is one: from the callee-saved registers that a suspended context consists of it
// walks on as if that context were running. Else by frame pointers, which the compilers keep on arm64 (on
// amd64 they do not: there only the first address can be told). The caller's own is walked by the
// compiler's unwinder then. Nothing allocates or takes a lock.
// Stack: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/arch/port.hpp>

#include "runtime/internal/g.hpp"
#include "runtime/src/trace/frames_text.hpp"

namespace vole::inline v0::detail {

/// Of a suspended context on the stack whose newest segment that is.
void walk_suspended(const arch::gobuf& context, const stack_segment* stack,
                    frame_list& frames) noexcept;
/// Of g, whose thread waits in a signal handler, whose third argument `context` is.
void walk_interrupted(const G* g, const void* context, frame_list& frames) noexcept;
/// The caller's own, without the `skip` innermost.
void walk_own(std::size_t skip, frame_list& frames) noexcept;
/// Whether a signal handler that runs on this stack, if any, has interrupted the program's own code: then
/// nobody below holds a lock of malloc.
bool may_allocate() noexcept;

/// The caller's own frames that lie in [lo, hi), as far as they are in a row: how many, at most
/// `most`; the innermost `room` pcs. On g0 called by __morestack: the goroutine's.
std::size_t frames_within(const void* lo, const void* hi, std::size_t most, std::uintptr_t* pcs,
                          std::size_t room) noexcept;

}  // namespace vole::detail
