// Telling about growth: VOLE_DEBUG=stacktrace=1 prints a line for each, stackexplain=1 a readable account
// for people who want to see how it works (tools/vole run --explain-stack).
//
// Otherwise a load and a branch. An account is built whole and written at once, so that those of several
// threads do not mix. Lock: none. Stack: g0.
#pragma once

#include "runtime/src/os/settings.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

/// A move that is done: the old stack is as it was.
struct told_copy {
    const growth* at;  // on the old stack
    const stack_segment* old;
    const stack_segment* fresh;
    std::size_t changed;  // words
    std::int64_t start;   // nanotime()
};

void tell_link(const G* g, const growth* at) noexcept;
void tell_borrow(const G* g, const growth* at) noexcept;
void tell_copy(const G* g, const told_copy& c) noexcept;

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
inline void narrate_copy(const G* g, const told_copy& c) noexcept {
    if (narrating()) tell_copy(g, c);
}

}  // namespace vole::detail
