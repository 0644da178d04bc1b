// How much of a small segment's red zone an operation leaves: every byte below the guard is watched, down to where the
// neighbour's slab begins, and the operation is called at every depth.
#pragma once

#include <vole/chan.hpp>
#include <vole/runtime.hpp>
#include <vole/stack.hpp>

#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/grow.hpp"
#include "test/growth/growth_support.hpp"

#include <algorithm>
#include <cstddef>

namespace vole::test {

inline constexpr char paint = 0x5a;
inline constexpr std::size_t least_left = 64;  // of a red zone, for what no test meets

// Not instrumented by itself: paints below its own frame. Of each file its own: what is inline may not be noinline.
static char* paint_red_zone() __attribute__((no_split_stack, noinline));
static char* paint_red_zone() {
    vole::detail::stack_segment* s = vole::detail::first_segment(vole::detail::current_g());
    auto* end = s->guard;
    for (volatile char* p = s->lo; p < end - 16; ++p) *p = paint;
    return s->lo;
}

inline std::size_t untouched(const char* lo) {
    std::size_t n = 0;
    while (n < 2048 && lo[n] == paint) ++n;
    return n;
}

// The least that any depth leaves of the red zone, which is watched from the goroutine's start to its end.
template <class Op>
std::size_t least_untouched(Op op) {
    const auto policy = vole::stack_policy::dense();
    std::size_t least = 4096;
    for (std::size_t bytes = 0; bytes < 2000; bytes += 16) {
        for (int calm = calm_before(policy); calm >= 0; --calm) {
            auto done = vole::make_chan<std::size_t>(1);
            vole::go({.stack = policy}, [&, bytes] {
                // Not a small one any more: the sweep would never come near its guard.
                if (vole::stack::size() != policy.size()) return done.send(0);
                const char* lo = paint_red_zone();
                if (calm == 0) dig(bytes, op);
                done.send(untouched(lo));
            });
            least = std::min(least, done.recv().value_or(0));
        }
    }
    return least;
}

}  // namespace vole::test
