// recovering() frames: who may end a panic, and what is pending in each.
//
// Each goroutine, and each ordinary thread that uses them, has a list of frames, innermost first, which lie
// on its stack. The outermost of a goroutine is the runtime's own and recovers nothing.
//
// A panic is an exception that unwinds the stack; deferred calls are destructors that run while it does. An
// exception that leaves a deferred call cannot leave the destructor: C++ would end the process. It is
// stopped there, and becomes the panic that is pending in the frame, while the first one goes on unwinding in
// its place as far as the frame. There the one that is pending then is thrown on, unless it was recovered.
// The same holds for a goexit() in a deferred call.
//
// `claimed` says that what unwinds now will arrive at this frame: its guard has been asked. Unwinding that
// user code will catch before is never claimed, and exceptions of its deferred calls are fatal.
#pragma once

#include <vole/runtime.hpp>

#include "runtime/internal/g.hpp"
#include "runtime/src/panic/guard.hpp"
#include "runtime/src/panic/record.hpp"

namespace vole::inline v0::detail {

enum class claim : unsigned char { none, exception, goexit };

struct recover_frame : guard {
    recover_frame* outer = nullptr;
    panic_record* panic = nullptr;    // pending here; null: none (any more)
    panic_record* carried = nullptr;  // has left an inner frame: its guard's answer is known
    int uncaught = 0;                 // std::uncaught_exceptions() while what is claimed unwinds
    claim claimed = claim::none;
    bool in_deferred = false;      // the innermost deferred call that runs was run by `panic`
    bool ending = false;           // a deferred call has called goexit(): goes on from here
    bool outermost = false;        // of a goroutine
    bool keeps_exception = false;  // outermost, of a main goroutine: run() throws it on
};

/// Of the running goroutine or the thread; null: none.
recover_frame* innermost_frame() noexcept;

/// Runs fn(arg) as the whole of the running goroutine. An exception that leaves it is reported, or given if it is to be
/// kept (null: there was none).
std::exception_ptr run_outermost(void (*fn)(void*), void* arg, bool keep_exception);

/// How something ended that nothing leaves: what is to go on elsewhere. Neither: as usual.
struct outcome {
    panic_record* panic = nullptr;  // one reference
    bool goexit = false;
};
/// Runs fn(arg) as the whole of a coroutine's stack.
outcome run_contained(void (*fn)(void*), void* arg) noexcept;
/// Goes on with it in the caller: throws, calls goexit, or returns. Needs throw_bytes of stack.
void continue_with(const outcome& o);
/// As of a panic that nobody catches. What is left of a goexit is forgotten.
void report_outcome(const outcome& o) noexcept;

/// goexit() begins: claims the innermost frame. `pending`: a panic that deferred calls of the last goexit
/// have begun.
void claim_for_goexit(panic_record* pending) noexcept;

void drop_carried(recover_frame* f) noexcept;

/// What reporting may need of the stack.
inline constexpr std::size_t report_bytes =
    128 * 1024;  // demangling a long name takes a third of it

// ---- report.cpp -------------------------------------------------------------------------------
/// Tells the handler. Stack: any with room for user code.
void report_panic(panic_record* r) noexcept;
/// options::uncaught.
void set_uncaught_policy(uncaught_policy policy) noexcept;
bool aborts_on_panic() noexcept;
/// The thrown object is about to leave a deferred call while the other unwinds; `older` may be null.
[[noreturn]] void fatal_while_unwinding(const panic_record* older, void* object) noexcept;
/// Once: std::terminate on a goroutine tells where, then calls the handler of before.
void install_terminate_handler() noexcept;
/// Waits until nothing is being reported by other threads.
void wait_for_reports() noexcept;

}  // namespace vole::detail
