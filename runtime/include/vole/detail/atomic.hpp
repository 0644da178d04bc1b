// The façade over atomics: every atomic of the runtime and of the libraries above it is declared
// through these names, so that a schedule explorer can take their place without touching the code.
// Each operation names its memory order where it is used; there is no default worth relying on.
#pragma once

#include <atomic>

extern "C" {
int vole_clear_if(unsigned* word, unsigned expected) noexcept;
}

namespace vole::inline v0::detail {

template <class T>
using atomic = std::atomic<T>;

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

/// What a lock's fast release needs to know, in one byte. Both ways of releasing are right at any
/// time, so a stale value only costs time.
inline constexpr unsigned char release_restartable = 1;  // by vole_clear_if (arch/rseq.hpp)
inline constexpr unsigned char release_attention = 2;    // somebody is asked to yield: look closer
extern atomic<unsigned char> release_mode;

}  // namespace vole::detail
