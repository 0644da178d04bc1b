// goexit as forced unwinding, and what happens to exceptions nobody caught.
//
// goexit() unwinds the goroutine's stack with _Unwind_ForcedUnwind: destructors run, `catch (...)`
// is entered like a cleanup and must rethrow, catch (std::exception&) does not see it. When the
// stack is used up, the goroutine ends. A handler that swallows it is found out when the exception
// object is destroyed.
// The unwinder's object lives in goexit_bytes at the top of the first segment, above all frames.
#pragma once

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

bool is_goexit_in_flight(const G* g) noexcept;

/// Inside the handler of an exception that is leaving g's function: tells stderr about it.
void report_uncaught(const G* g) noexcept;

/// goroutine: the last thing it does.
[[noreturn]] void end_goroutine(G* g) noexcept;

}  // namespace vole::detail
