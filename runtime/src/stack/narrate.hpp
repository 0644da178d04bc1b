// Telling about growth: VOLE_DEBUG=stacktrace=1 prints a line for each, stackexplain=1 a readable account.
// Nothing but a load and a branch otherwise. Stack: g0.
#pragma once

#include "runtime/src/os/settings.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

void tell_link(const G* g, const growth* at) noexcept;
void tell_borrow(const G* g, const growth* at) noexcept;
void tell_copy(const G* g, const growth* at, const stack_segment* old, const stack_segment* fresh,
               std::size_t changed) noexcept;

inline bool narrating() noexcept {
    const settings& s = debug_settings();
    return s.stacktrace || s.stackexplain;
}
/// A mapped segment has been linked behind g->stack.
inline void narrate_link(const G* g, const growth* at) noexcept {
    if (narrating()) tell_link(g, at);
}
/// The frame is going to run on a spare segment. Told when the list is refilled, not at each loan:
/// those pass through assembly only.
inline void narrate_borrow(const G* g, const growth* at) noexcept {
    if (narrating()) tell_borrow(g, at);
}
/// The stack has moved; `at` is still the old copy.
inline void narrate_copy(const G* g, const growth* at, const stack_segment* old,
                         const stack_segment* fresh, std::size_t changed) noexcept {
    if (narrating()) tell_copy(g, at, old, fresh, changed);
}

}  // namespace vole::detail
