// In the place of runtime/include/vole/detail/atomic.hpp, for units that are compiled for the model of memory.
#pragma once

#include "test/explore/weak/memory.hpp"

namespace vole::inline v0::detail {

template <class T>
using atomic = weak_memory::atomic<T>;

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

}  // namespace vole::detail
