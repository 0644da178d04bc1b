// The queue of cleanups: see cleanup.cpp.
#pragma once

#include <vole/detail/managed_core.hpp>

namespace vole::inline v0::detail {

/// Their object is dead. Takes over the list's references. Any thread, any stack; does not wait, and runs no
/// user code.
void queue_cleanups(cleanup* first) noexcept;

}  // namespace vole::detail
