// Blocks that stand in for variable-length arrays and alloca.
//
// Instrumented code that wants n bytes of dynamic stack, and sees that they do not fit above the
// guard, calls __morestack_allocate_stack_space(n) for them. A block lives as long as the frame that
// asked; nothing tells us when that ends, so blocks are freed when a frame further out asks again,
// when their segment is left, and at the goroutine's end.
//
// Limit: a frame that is entered again and again at the same depth, and does not fit, keeps its
// blocks until its caller's frame or the segment ends; they count towards stack_limit.
//
// Lock: none. Stack: goroutine for the entry, g0 for the work (a small segment has no room).
#pragma once

#include <cstddef>

#include "runtime/src/stack/segment.hpp"

namespace vole::inline v0::detail {

struct dynamic_block {
    dynamic_block* next;
    const char* owner;  // the frame that asked
    std::size_t bytes;
};

void free_dynamic(stack_segment* s) noexcept;
/// Bytes in blocks of this segment.
std::size_t dynamic_bytes(const stack_segment* s) noexcept;

}  // namespace vole::detail
