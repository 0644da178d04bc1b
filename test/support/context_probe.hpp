// What tests may see of a context that others may not.
#pragma once

#include <vole/context.hpp>

#include "runtime/internal/entry.hpp"
#include "sync/internal/context_node.hpp"
#include "test/support/wait.hpp"

namespace vole::test {

/// How many are in the list of the nearest context that can be cancelled.
inline int children_of(const context& ctx) {
    detail::cancel_node* node = ctx.node()->canceler;
    const detail::runtime_pin pin;
    const detail::lock_guard held(node->mu);
    int n = 0;
    for (const auto* c = node->children; c != nullptr; c = c->next) ++n;
    return n;
}

/// For those that a deadline may have ended: it tells who waits for them first, and takes them out of their parent's
/// list afterwards.
inline void wait_until_childless(const context& ctx, place where = here()) {
    wait_until([&] { return children_of(ctx) == 0; }, "a context without children", where);
}

}  // namespace vole::test
