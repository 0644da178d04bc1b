// A goroutine's first stack: promised when it is made, attached at its first run, taken away when
// it has ended.
#pragma once

#include <vole/stack.hpp>

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

struct P;

/// Prepares g for a stack of that policy. False: no memory, and nothing is kept. p may be null.
bool promise_stack(P* p, G* g, stack_policy policy) noexcept;
/// Takes the promise back.
void drop_promise(P* p, G* g) noexcept;
/// The owner of p: gives g its stack and its first context.
void attach_stack(P* p, G* g) noexcept;
/// The owner of p, on another stack: g has ended.
void detach_stack(P* p, G* g) noexcept;

}  // namespace vole::detail
