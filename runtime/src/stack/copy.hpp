// The parts of a move that growing and shrinking share; copy.cpp tells what may move and what not.
#pragma once

#include "runtime/internal/park.hpp"
#include "runtime/src/stack/segment.hpp"

namespace vole::inline v0::detail {

/// Memory and header for a stack of policy copying. Null: no memory, or too little asked for.
stack_segment* new_copying_stack(P* p, std::size_t bytes) noexcept;
stack_move move_between(const stack_segment* old, const stack_segment* fresh) noexcept;
/// Copies the live words [from, mv.hi), those that point into the old stack adjusted; how many.
std::size_t copy_words(const stack_move& mv, const char* from) noexcept;
void move_dynamic(const stack_move& mv, stack_segment* from, stack_segment* to) noexcept;
/// Frees the old stack, or keeps it inaccessible (stackverify).
void leave_old_stack(P* p, G* g, stack_segment* old, stack_segment* fresh) noexcept;

}  // namespace vole::detail
