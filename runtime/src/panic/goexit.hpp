// goexit as forced unwinding.
//
// goexit() unwinds the goroutine's stack with _Unwind_ForcedUnwind: destructors and deferred calls run,
// `catch (...)` is entered like a cleanup and must rethrow, catch (std::exception&) does not see it. When
// the stack is used up, the goroutine ends. A handler that swallows it is found out when the exception
// object is destroyed.
// The unwinder's object lives in goexit_bytes at the top of the first segment, above all frames.
#pragma once

#include "runtime/internal/g.hpp"
#include "runtime/src/panic/guard.hpp"

namespace vole::inline v0::detail {

struct panic_record;

/// goexit(), taking along a panic (one reference) that nobody has recovered yet; null: none.
[[noreturn]] void goexit_with(panic_record* pending);
/// A deferred call has called goexit and its guard stopped it. `uncaught`: exceptions before the call.
void stopped_goexit(_Unwind_Exception* e, int uncaught, bool another_goes_on) noexcept;

/// In std::terminate: clang's noexcept functions have caught it by then, and what libstdc++ would print of it as
/// of an exception of its own is not there.
void forget_caught_goexit() noexcept;

/// goroutine: the last thing it does.
[[noreturn]] void end_goroutine(G* g) noexcept;

}  // namespace vole::detail
