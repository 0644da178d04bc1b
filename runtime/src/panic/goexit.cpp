// See goexit.hpp. Stack: goroutine.
#include "runtime/src/panic/goexit.hpp"

#include <cxxabi.h>
#include <unwind.h>

#include <exception>
#include <new>

#include <vole/panic.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

namespace {

static_assert(sizeof(_Unwind_Exception) + alignof(_Unwind_Exception) <= goexit_bytes);

_Unwind_Exception* exception_of(const G* g) noexcept {
    const auto top =
        reinterpret_cast<std::uintptr_t>(first_segment(g)->hi()) - sizeof(_Unwind_Exception);
    return reinterpret_cast<_Unwind_Exception*>(top & ~(alignof(_Unwind_Exception) - 1));
}

// libstdc++ keeps the number that std::uncaught_exceptions() gives. noinline: of this thread, now.
[[gnu::noinline]] void set_uncaught_exceptions(int n) noexcept {
    reinterpret_cast<eh_state*>(abi::__cxa_get_globals())->uncaught = static_cast<unsigned>(n);
}

VOLE_NO_TSAN _Unwind_Reason_Code at_frame(int, _Unwind_Action actions, _Unwind_Exception_Class,
                                          _Unwind_Exception*, _Unwind_Context*, void* g) {
    if ((actions & _UA_END_OF_STACK) != 0) {
        exception_of(static_cast<G*>(g))->exception_class = 0;
        end_goroutine(static_cast<G*>(g));
    }
    // catch (...) { throw; } counts it once more, being made for exceptions that were counted out before.
    const recover_frame* f = innermost_frame();
    if (f != nullptr && f->claimed == claim::goexit) {
        set_uncaught_exceptions(f->uncaught);
    }
    return _URC_NO_REASON;
}

void swallowed(_Unwind_Reason_Code, _Unwind_Exception*) {
    fatal("goexit swallowed",
          "vole: a catch (...) block caught vole::goexit() and did not rethrow it");
}

}  // namespace

void stopped_goexit(_Unwind_Exception* e, int uncaught, bool another_goes_on) noexcept {
    set_uncaught_exceptions(uncaught);
    if (!another_goes_on) e->exception_class = 0;
}

void forget_caught_goexit() noexcept {
    auto* state = reinterpret_cast<eh_state*>(abi::__cxa_get_globals());
    const auto* header =
        reinterpret_cast<const char*>(exception_of(current_g())) - exception_header_bytes;
    if (state->caught == header) state->caught = nullptr;
}

void goexit_with(panic_record* pending) {
    G* g = current_g();
    auto* e = ::new (static_cast<void*>(exception_of(g))) _Unwind_Exception{};
    e->exception_class = goexit_class;
    e->exception_cleanup = swallowed;
    // For deferred calls and the like it is unwinding as any other.
    set_uncaught_exceptions(std::uncaught_exceptions() + 1);
    claim_for_goexit(pending);
    tell_unwinding();
    _Unwind_ForcedUnwind(e, at_frame, g);
    fatal("goexit: the stack cannot be unwound", "vole: some frame has no unwind information");
}

}  // namespace vole::detail

namespace vole::inline v0 {

void goexit() {
    if (detail::current_g() == nullptr) {
        throw runtime_error("vole::goexit called in a thread that is not a goroutine");
    }
    detail::goexit_with(nullptr);
}

}  // namespace vole
