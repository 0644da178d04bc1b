// In the place of runtime/include/vole/detail/atomic.hpp, for sync's sources over the model of memory.
#pragma once

#include "test/explore/weak/memory.hpp"

// The "compare, then store" that a fence of the setter's can stop (arch/rseq.hpp).
int modelled_clear_if(unsigned* word, unsigned expected) noexcept;
#define vole_clear_if modelled_clear_if

namespace vole::inline v0::detail {

template <class T>
using atomic = weak_memory::atomic<T>;

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

inline constexpr unsigned char release_restartable = 1;
inline constexpr unsigned char release_attention = 2;

/// Does not change while a schedule runs.
struct modelled_release_mode {
    unsigned char value = 0;
    unsigned char load(std::memory_order) const noexcept { return value; }
};
inline modelled_release_mode release_mode;

}  // namespace vole::detail
