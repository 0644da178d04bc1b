// Contexts that can be cancelled, from inside: for those with deadlines (the time library), and for
// operations that wait until a context is done.
//
// Rules:
//  - `err` is written once, under mu, after `cause`, and neither changes afterwards: who has seen err may read
//    cause and done without the lock;
//  - a channel that err found in `done` is closed after err is set. So that nobody sees an error while done() is
//    still open (CTX-4), what counts is both: err is set, and there is no channel, or it is closed. No lock is held
//    while the channel is closed, and nobody waits for whoever is in between;
//  - `children` grows only while err is 0. Who takes a child out, under mu, owns its registration;
//  - a context that a walk has taken out is not freed before the walk has done with it, even if nobody refers to
//    it: who is about to free it waits for that. Cheaper than a reference for each.
//
// Who cancels a node directly takes it out of its parent's list last. A walk from above that finds a child cancelled
// already but still in the list knows that somebody is on the way down there, and waits for `settled` (CTX-5,
// CTX-7). Such waits go down the tree only, so there is no circle of them.
//
// Lock: mu, rank chan; never two of them, and nothing is taken under it. Stack: any, inside the runtime.
#pragma once

#include <cstdint>
#include <exception>

#include <vole/detail/context_base.hpp>

#include "runtime/internal/g.hpp"
#include "runtime/internal/lock.hpp"

namespace vole::inline v0::detail {

struct cancel_node : context_node, context_child {
    /// Has two references: the context's, and the cancel function's.
    cancel_node(const context_kind& kind, context_node* parent) noexcept;

    lock mu{lock_rank::chan};
    atomic<std::uint8_t> err{0};       // context_errc, or 0
    atomic<bool> settled{false};       // who cancelled it directly is done with all below
    std::uint32_t bubble;              // where it was made
    atomic<chan_core*> done{nullptr};  // made when it is asked for; held
    context_child* children VOLE_GUARDED_BY(mu) = nullptr;
    std::int64_t deadline;     // its own or the parent's; INT64_MAX: none
    std::exception_ptr cause;  // null: what err says

    /// Whose list it is in.
    cancel_node* above() const noexcept { return parent->canceler; }

    void link(context_child* c) noexcept VOLE_REQUIRES(mu) {
        c->where.store(context_child::place::in_list, memory_order_relaxed);
        c->prev = nullptr;
        c->next = children;
        if (children != nullptr) children->prev = c;
        children = c;
    }
    void unlink(context_child* c) noexcept VOLE_REQUIRES(mu) {
        if (c->where.load(memory_order_relaxed) != context_child::place::in_list) return;
        c->where.store(context_child::place::outside, memory_order_relaxed);
        (c->prev != nullptr ? c->prev->next : children) = c->next;
        if (c->next != nullptr) c->next->prev = c->prev;
    }
};

/// One that waits for the context among other things. It lies on the waiting stack, and is linked and unlinked by
/// its goroutine: both under the node's lock, which it holds until it is completely parked. Who moves `claim` from
/// `waiting` readies it.
struct context_waiter : context_child {
    enum : std::uint32_t { waiting, served, canceled };

    explicit context_waiter(G* self) noexcept : context_child(type::waiter), g(self) {}
    G* g;
    atomic<std::uint32_t> claim{waiting};

    bool take(std::uint32_t outcome) noexcept {
        std::uint32_t free = waiting;
        // acq_rel: the winner sees the waiter complete, the waiter what the winner did before.
        return claim.compare_exchange_strong(free, outcome, memory_order_acq_rel,
                                             memory_order_relaxed);
    }
};

/// False: somebody is about to free it, or has.
inline bool try_retain_context(context_node* n) noexcept {
    std::uint32_t refs = n->refs.load(memory_order_relaxed);
    do {
        if (refs == 0) return false;
    } while (
        !n->refs.compare_exchange_weak(refs, refs + 1, memory_order_relaxed, memory_order_relaxed));
    return true;
}

/// What with_cancel makes, with two references.
cancel_node* make_cancel_node(const context& parent);
/// A new node goes into its parent's list, or is cancelled as the parent is.
void attach_context(cancel_node* n);
/// Cancels n, which the caller keeps alive, and all below. Null: the cause is err.
void cancel_below(cancel_node* n, context_errc err, const std::exception_ptr& cause) noexcept;
/// n is about to be freed: takes it out of its parent's list, and drops what it holds. May run user code:
/// destructors of exceptions.
void retire_context(cancel_node* n) noexcept;

/// The handles for a node with two references.
template <class Cancel>
std::pair<context, Cancel> handles_of(cancel_node* n) noexcept {
    return {context(n), Cancel(context(n))};
}

}  // namespace vole::detail
