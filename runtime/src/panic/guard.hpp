// Calls that no exception passes unseen.
//
// A guard's personality routine is asked by the unwinder in its search phase, when no frame further in
// will catch the exception, with the throwing frames still there: `seen` runs on top of them. Then it stops
// the exception. A handler in C++ would only learn of it when the frames are gone.
//
// Stack: goroutine, or an ordinary thread's. Frames small enough for small stacks.
#pragma once

#include <unwind.h>

#include <vole/arch/port.hpp>
#include <vole/config.hpp>

namespace vole::inline v0::detail {

struct guard {
    /// The exception will be stopped here. May be null. Must not throw.
    void (*seen)(guard* self, _Unwind_Exception* e) = nullptr;
    bool stops_goexit = false;  // else its forced unwinding passes
};

/// Calls fn(arg). Null, or the exception that was stopped: __cxa_begin_catch takes it.
inline _Unwind_Exception* call_guarded(void (*fn)(void*), void* arg, guard* g) {
    return static_cast<_Unwind_Exception*>(arch::vole_call_guarded(fn, arg, g));
}

inline constexpr _Unwind_Exception_Class goexit_class = 0x564f4c4500455849;  // "VOLE\0EXI"

/// The thrown object, whose address tells one exception from another also when it is rethrown; null: not
/// of C++.
void* thrown_object(_Unwind_Exception* e) noexcept;

}  // namespace vole::detail
