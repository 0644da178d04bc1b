// See deep.hpp.
#include "runtime/internal/deep.hpp"

#include <new>

#include <vole/panic.hpp>

#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

void deep_call(void (*fn)(void*), void* arg) noexcept {
    const G* g = current_g();
    if (g != nullptr && is_small(g->stack->kind)) {
        on_g0(fn, arg);
    } else {
        fn(arg);
    }
}

void throw_runtime_error(const char* what) {
    call_with_room(
        throw_bytes, [](void* text) { throw runtime_error(static_cast<const char*>(text)); },
        const_cast<char*>(what));
    __builtin_unreachable();
}

void throw_bad_alloc() {
    call_with_room(
        throw_bytes, [](void*) { throw std::bad_alloc(); }, nullptr);
    __builtin_unreachable();
}

}  // namespace vole::detail
