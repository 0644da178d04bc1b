// The façade over atomics: every atomic of the runtime and of the libraries above it is declared
// through these names, so that a schedule explorer can take their place without touching the code.
// Each operation names its memory order where it is used; there is no default worth relying on.
#pragma once

#include <atomic>

namespace vole::inline v0::detail {

template <class T>
using atomic = std::atomic<T>;

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

}  // namespace vole::detail
