// The stack of goroutines that are started without a policy; stack.hpp has default_stack(), and tells
// who sets it. Stack: any.
#pragma once

#include <vole/stack.hpp>

namespace vole::inline v0::detail {

// Of run()'s main goroutine: never one that moves.
stack_policy default_main_stack() noexcept;

}  // namespace vole
