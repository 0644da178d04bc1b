// The pool of TSan's fibers; empty in other builds. Lock: its own, a leaf. Stack: any.
#include "runtime/src/sched/sanitizer.hpp"

#if defined(VOLE_TSAN)

namespace vole::inline v0::detail {

namespace {
constexpr unsigned most_kept = 4096;  // TSan itself ends at about 8,000
constinit lock pool_lock{lock_rank::gslab};
void* pool[most_kept] VOLE_GUARDED_BY(pool_lock);
unsigned pooled VOLE_GUARDED_BY(pool_lock) = 0;
}  // namespace

void* take_fiber() noexcept {
    {
        lock_guard held(pool_lock);
        if (pooled != 0) return pool[--pooled];
    }
    return __tsan_create_fiber(0);
}

void give_fiber(void* fiber) noexcept {
    {
        lock_guard held(pool_lock);
        if (pooled != most_kept) {
            pool[pooled++] = fiber;
            return;
        }
    }
    __tsan_destroy_fiber(fiber);
}

}  // namespace vole::inline v0::detail

#endif
