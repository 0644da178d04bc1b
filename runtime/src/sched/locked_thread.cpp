// lock_os_thread: a goroutine and its thread for each other only (SCHED-52..55).
//
// M::locked_g and G::locked_m are set together, by the goroutine itself while it runs. The scheduler
// looks at them in pick_direct, schedule() and when a goroutine ends.
// Stack: goroutine.
#include <vole/panic.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0 {

VOLE_FITS_SMALL_STACK;

void lock_os_thread() {
    const detail::runtime_entry entry;
    detail::M* m = detail::current_m();
    if (m == nullptr || m->curg == nullptr) return;
    detail::G* g = m->curg;
    if (g->lock_count == std::uint16_t{0xffff}) {
        detail::throw_runtime_error("LockOSThread nesting overflow");
    }
    ++g->lock_count;
    g->locked_m = m;
    m->locked_g = g;
}

void unlock_os_thread() {
    const detail::runtime_entry entry;
    detail::M* m = detail::current_m();
    if (m == nullptr || m->curg == nullptr) return;
    detail::G* g = m->curg;
    if (g->lock_count == 0 || --g->lock_count != 0) return;
    g->locked_m = nullptr;
    m->locked_g = nullptr;
}

}  // namespace vole
