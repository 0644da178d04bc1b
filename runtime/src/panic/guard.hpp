// Calls that no exception passes unseen.
//
// A guard's personality routine is asked by the unwinder in its search phase, when no frame further in
// will catch the exception, with the throwing frames still there: `seen` runs on top of them. Then it stops
// the exception. A handler in C++ would only learn of it when the frames are gone.
//
// Stack: goroutine, or an ordinary thread's. Frames small enough for small stacks.
#pragma once

#include <unwind.h>

#include <cstddef>

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

// "VOLEGEX\0". Even: libstdc++ takes an odd one for an exception_ptr that is rethrown before it looks further.
inline constexpr _Unwind_Exception_Class goexit_class = 0x564f4c4547455800;

/// What the C++ ABI puts before the unwinder's header: its first word is the type, or, of an exception_ptr that
/// is rethrown, the object.
inline constexpr std::size_t exception_header_bytes = 80;

/// The thrown object, whose address tells one exception from another also when it is rethrown; null: not
/// of C++.
void* thrown_object(_Unwind_Exception* e) noexcept;

}  // namespace vole::detail
