// The one function that changes a goroutine's status; the table of legal transitions is in
// runtime/internal/g_status.hpp.
//
// At each moment one party has the right to make the next change: the goroutine itself while it
// runs, whoever took it from its queue else. So a compare-and-swap cannot fail for a good reason,
// and costs 7 ns on the machine this was measured on, three times a channel hop, which is a third
// of it: a release build loads, compares and stores (a wrong transition is still caught, unless two
// happen in the same instant); a debug build (assertions on) compares and swaps.
#pragma once

#include "runtime/internal/g.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

[[noreturn]] void bad_transition(const G* g, g_status from, g_status to) noexcept;

/// Without a look at whether it is to be recorded: for switch.cpp, where the callers see to that.
inline void change_status(G* g, g_status from, g_status to) noexcept {
#ifndef NDEBUG
    g_status expected = from;
    // acq_rel: a reader of the status (traceback) sees what was written before the change.
    if (!legal(from, to) || !g->status.compare_exchange_strong(expected, to, memory_order_acq_rel,
                                                               memory_order_relaxed)) {
        bad_transition(g, from, to);
    }
#else
    if (g->status.load(memory_order_relaxed) != from) [[unlikely]]
        bad_transition(g, from, to);
    g->status.store(to, memory_order_release);
#endif
}

inline void set_status(G* g, g_status from, g_status to) noexcept {
    record_status(g, from, to);
    change_status(g, from, to);
}

}  // namespace vole::detail
