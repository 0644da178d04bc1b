// What can be called, and what only looks as if.
#pragma once

#include <concepts>
#include <type_traits>

#include <vole/config.hpp>

namespace vole::inline v0::detail {

/// A null function pointer, empty std::function and the like.
template <class F>
bool is_nil_callable(const F& f) noexcept {
    if constexpr (std::is_function_v<F>) {
        return false;
    } else if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F>) {
        return f == nullptr;
    } else if constexpr (requires {
                             { f == nullptr } -> std::convertible_to<bool>;
                         }) {
        return f == nullptr;
    } else {
        return false;
    }
}

}  // namespace vole::detail
