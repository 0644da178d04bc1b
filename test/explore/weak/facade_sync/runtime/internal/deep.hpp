// In the place of the runtime's own: there is room.
#pragma once

#include <cstddef>

#define VOLE_FITS_SMALL_STACK static_assert(true)

namespace vole::inline v0 {

namespace stack {
template <class F>
void ensure(std::size_t, F&& f) {
    f();
}
}  // namespace stack

namespace detail {

inline constexpr std::size_t throw_bytes = 0;
template <class F>
void deep(F&& f) noexcept {
    f();
}
[[noreturn]] void throw_runtime_error(const char* what);
[[noreturn]] void throw_bad_alloc();

}  // namespace detail

}  // namespace vole
