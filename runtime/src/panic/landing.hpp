// Whether an exception thrown at an instruction could leave its function, as the compilers' tables have it.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {

/// In a signal handler that has interrupted pc: whether an exception from there meets, up to the first frame
/// with a handler, only code whose tables expect one. Without -fnon-call-exceptions an instruction that is
/// no call is not in them, and a caller may take its callee for one that never throws: std::terminate.
/// Allocates nothing, takes no lock. Stack: any.
bool may_throw_at(std::uintptr_t pc) noexcept;

}  // namespace vole::detail
