// Room for deep calls out of functions that may run on a stack of 2 KiB.
//
// A goroutine of policy dense calls the runtime with as little as small_red_zone_bytes left. What
// parks must make do with that: a file with the note below tells the linker that its functions need
// no borrowed segment (a goroutine that parks on one keeps it). In exchange, whatever such a file
// calls that is not ours, or is deep (malloc, a throw, the creation of a thread), goes through here.
// Files without the note are called on a borrowed segment, and need not care.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <vole/arch/split_note.hpp>
#include <vole/stack.hpp>

namespace vole::inline v0::detail {

/// Calls fn(arg) on g0 if the calling goroutine is on a small segment, else here. fn must not park,
/// throw or look at the running goroutine's stack.
void deep_call(void (*fn)(void*), void* arg) noexcept;

template <class F>
void deep(F&& f) noexcept {
    deep_call([](void* p) { (*static_cast<std::remove_reference_t<F>*>(p))(); }, &f);
}

/// What __cxa_throw may need: 5 KiB, resolving symbols for the first time included.
inline constexpr std::size_t throw_bytes = 12 * 1024;

/// Throws where there is room for the unwinder.
[[noreturn]] void throw_runtime_error(const char* what);
[[noreturn]] void throw_bad_alloc();

}  // namespace vole::detail
