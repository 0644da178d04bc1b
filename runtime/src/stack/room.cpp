// stack::ensure and what a goroutine may ask about its stack. Stack: goroutine, also a small one.
#include <stdexcept>

#include <vole/stack.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/dynamic.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

constexpr std::size_t most_room = stack_limit / 2;

[[gnu::noinline]] void refuse() {
    arch::vole_call_with_room(
        [](void*) {
            throw std::invalid_argument(
                "vole::stack::ensure: bytes is above 512 MiB, half of what a stack may grow to");
        },
        nullptr, throw_bytes);
}

}  // namespace

#if defined(VOLE_ASAN)
namespace {

struct told_call {
    foreign_call call;
    const stack_segment* from;
};

void call_and_tell(void* p) {
    const auto& [call, from] = *static_cast<const told_call*>(p);
    const G* g = current_g();
    if (g == nullptr || g->stack == from) {
        call.fn(call.arg);
    } else {
        call.make(g->stack->lo, g->stack->bytes);
    }
}

}  // namespace
#endif

void call_with_room(std::size_t bytes, void (*fn)(void*), void* arg) {
    if (bytes > most_room) [[unlikely]]
        refuse();
#if defined(VOLE_ASAN)
    const G* g = current_g();
    told_call call{{fn, arg}, g != nullptr ? g->stack : nullptr};
    fn = call_and_tell;
    arg = &call;
#endif
    arch::vole_call_with_room(fn, arg, bytes);
}

}  // namespace vole::detail

namespace vole::inline v0::stack {

std::size_t in_use() {
    const detail::G* g = detail::current_g();
    if (g == nullptr) return 0;
    const char* sp = static_cast<const char*>(__builtin_frame_address(0));
    std::size_t sum = 0;
    for (const detail::stack_segment* s = g->stack; s != nullptr; s = s->prev) {
        if (s->contains(sp)) sum += static_cast<std::size_t>(s->end() - sp);
        sum += detail::dynamic_bytes(s);
        sp = s->entry_sp;
    }
    return sum;
}

std::size_t size() {
    const detail::G* g = detail::current_g();
    return g != nullptr ? detail::stack_bytes(g) : 0;
}

}  // namespace vole::stack
