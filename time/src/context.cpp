// Contexts with deadlines: a node that is a timer as well. sync/internal/context_node.hpp has the rules of nodes,
// timer_core.hpp those of timers.
//
// Two counts for one piece of memory. The node's: without references it is retired, its timer stopped; that is one
// reference to the timer. The timer's: without references the memory is freed. So an entry that is left in a
// heap, or a call that is about to begin, finds a node that is dead, but there.
//
// The timer is set before the node is in its parent's list: from then on anybody may cancel it, and stops the
// timer. It may go off before; see attach_context.
//
// Stack: goroutine, or an ordinary thread's.
#include <vole/context.hpp>

#include <cstdio>

#include "sync/internal/context_node.hpp"
#include "time/src/heaps.hpp"

namespace vole::inline v0::detail {

namespace {

struct deadline_node final : cancel_node, timer_core {
    deadline_node(context_node* above_it, std::int64_t t, std::exception_ptr why) noexcept
        : cancel_node(deadline_kind, above_it), timer_core(functions_of), late(std::move(why)) {
        cancel_node::deadline = t;
    }

    using context_node::operator new;  // both bases have the same
    using context_node::operator delete;

    static const context_kind deadline_kind;
    static const functions functions_of;

    std::exception_ptr late;  // the cause, if the deadline comes first
};

deadline_node* node_of(context_node* n) noexcept { return static_cast<deadline_node*>(n); }

// The deadline has come. The goroutine that the timer has started has a reference to the timer only.
void deadline_over(timer_core* t) {
    auto* n = static_cast<deadline_node*>(t);
    if (!try_retain_context(n)) return;
    const context held{n};
    cancel_below(n, context_errc::deadline_exceeded, n->late);
}

void free_deadline_node(context_node* node) noexcept {
    deadline_node* n = node_of(node);
    retire_context(n);
    stop_timer_anywhere(n);
    n->late = nullptr;  // may be user code: not where the timer frees the memory
    release_timer(n);
}

void describe(const context_node* node, std::string& to) {
    const auto* n = static_cast<const deadline_node*>(node);
    const std::int64_t when = n->cancel_node::deadline;
    const auto seconds = [](std::int64_t ns) { return static_cast<double>(ns) / 1e9; };
    char text[80];
    std::snprintf(text, sizeof text, ".WithDeadline(%.9fs [%.9gs])", seconds(when),
                  seconds(when - now_in(current_bubble())));
    to += text;
}

constinit const timer_core::functions deadline_node::functions_of{
    deadline_over, nullptr, [](timer_core* t) noexcept { delete static_cast<deadline_node*>(t); }};

constinit const context_kind deadline_node::deadline_kind{
    free_deadline_node, describe, [](cancel_node* n) { stop_timer(node_of(n)); }};

context_node* make(const context& parent, std::int64_t when, bool over, std::exception_ptr cause) {
    auto* n = new deadline_node(parent.node(), when, std::move(cause));
    if (over) {
        attach_context(n);
        cancel_below(n, context_errc::deadline_exceeded, n->late);
        return n;
    }
    try {
        start_func_timer_at(n, when);
    } catch (...) {
        release_context(n);
        release_context(n);
        throw;
    }
    attach_context(n);
    return n;
}

// Then it is the parent's that counts (CTX-10).
bool parent_is_earlier(const context& parent, std::int64_t when) {
    return context_deadline(parent_node(parent)) < when;
}

}  // namespace

context_node* make_deadline(const context& parent, std::int64_t when, std::exception_ptr cause) {
    if (parent_is_earlier(parent, when)) return make_cancel_node(parent);
    return make(parent, when, when <= now_in(current_bubble()), std::move(cause));
}

context_node* make_timeout(const context& parent, std::int64_t d, std::exception_ptr cause) {
    const std::int64_t when = deadline_after(now_in(current_bubble()), d);
    if (parent_is_earlier(parent, when)) return make_cancel_node(parent);
    return make(parent, when, d <= 0, std::move(cause));
}

}  // namespace vole::detail
