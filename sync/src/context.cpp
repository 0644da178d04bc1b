// Contexts: cancellation, and the functions that wait for it. context_node.hpp has the state and its rules,
// context_text.cpp what is for people.
//
// A walk that cancels a tree takes children out of a node's list some at a time, so that the lock is held for
// moments, and keeps those that are to be cancelled in a list of its own: neither it nor the destruction of a long chain
// recurses (CTX-20).
//
// User code (destructors of values, causes, functions) runs with no lock held and outside the runtime, and never
// in a walk. Stack: goroutine, or an ordinary thread's. Nothing here parks.
#include <new>

#include <vole/detail/bubble_id.hpp>
#include <vole/detail/context_base.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/park.hpp"
#include "sync/internal/context_node.hpp"
#include "sync/src/channel.hpp"

namespace vole::inline v0 {

using namespace detail;

// ---- life -------------------------------------------------------------------------------------

cancel_node::cancel_node(const context_kind& of, context_node* above) noexcept
    : context_node{{}, &of, above, this, above->values, 2}, context_child(type::context),
      bubble(current_bubble_id()), deadline(context_deadline(above)) {
    retain_context(above);
}

void detail::throw_nil_context() { throw_runtime_error("use of nil context"); }
void detail::throw_nil_parent() { throw_runtime_error("cannot create context from nil parent"); }

// What is freed holds its parent: a loop, since the chain may be long.
void detail::release_context(context_node* n) noexcept {
    // acq_rel: whoever frees it sees what the others did.
    while (n->parent != nullptr && n->refs.fetch_sub(1, memory_order_acq_rel) == 1) {
        context_node* parent = n->parent;
        n->kind->destroy(n);
        n = parent;
    }
}

namespace {

void leave_list(cancel_node* n) noexcept {
    cancel_node* above = n->above();
    if (above == nullptr) return;
    const runtime_pin pin;
    const lock_guard held(above->mu);
    above->unlink(n);
}

// For what another thread is in the middle of, which may have been taken off its CPU, or a goroutine that waits for
// this one's P.
template <class Pred>
void wait_for_others(Pred pred) noexcept {
    for (int round = 0; !pred(); ++round) {
        if (may_park()) gosched();
        spin_or_yield(round);
    }
}

void release_channel(chan_core* c) noexcept {
    if (c->refs.fetch_sub(1, memory_order_acq_rel) == 1) chan_free(c);
}

}  // namespace

void detail::retire_context(cancel_node* n) noexcept {
    leave_list(n);
    // acquire: pairs with the release at the end of a walk.
    wait_for_others(
        [n] { return n->where.load(memory_order_acquire) != context_child::place::in_walk; });
    if (chan_core* c = n->done.load(memory_order_relaxed); c != nullptr) release_channel(c);
    n->cause = nullptr;
}

// ---- what is known of one ---------------------------------------------------------------------

namespace {

// For those that were cancelled before anybody asked. Of no bubble.
constinit channel closed_for_ever(true);

bool is_closed(const chan_core* c) noexcept {
    return as_channel(c)->closed.load(memory_order_acquire);
}

// 0: not done. See the rules in context_node.hpp.
std::uint8_t error_of(const cancel_node* n) noexcept {
    if (n == nullptr) return 0;
    // acquire: pairs with claim's release, by which cause and done have their last values.
    const std::uint8_t err = n->err.load(memory_order_acquire);
    if (err == 0) return 0;
    const chan_core* c = n->done.load(memory_order_relaxed);
    return c == nullptr || is_closed(c) ? err : std::uint8_t{0};
}

// Null: it has been cancelled.
chan_core* make_done(cancel_node* n) {
    channel* fresh = as_channel(chan_make(0, 1, 0));
    fresh->bubble = n->bubble;
    fresh->special = n->bubble != 0;
    chan_core* there = nullptr;
    bool over = false;
    {
        const runtime_pin pin;
        const lock_guard held(n->mu);
        there = n->done.load(memory_order_relaxed);
        over = n->err.load(memory_order_relaxed) != 0;
        // release: pairs with the acquire of whoever asks next.
        if (there == nullptr && !over) n->done.store(fresh, memory_order_release);
    }
    if (there == nullptr && !over) return fresh;
    chan_free(fresh);
    return there;
}

}  // namespace

chan_core* detail::context_done(context_node* node) {
    cancel_node* n = node->canceler;
    if (n == nullptr) return nullptr;
    chan_core* c = n->done.load(memory_order_acquire);
    // acquire: if it is over, `done` has its last value.
    if (c == nullptr && n->err.load(memory_order_acquire) == 0) c = make_done(n);
    if (c == nullptr) c = n->done.load(memory_order_relaxed);
    if (c == nullptr) c = &closed_for_ever;
    c->refs.fetch_add(1, memory_order_relaxed);
    return c;
}

std::error_code detail::context_err(const context_node* node) noexcept {
    explore_point("err", node->canceler, touch::reads);
    const std::uint8_t err = error_of(node->canceler);
    return err == 0 ? std::error_code() : make_error_code(static_cast<context_errc>(err));
}

std::exception_ptr detail::as_exception(std::error_code e) {
    return e ? std::make_exception_ptr(std::system_error(e)) : nullptr;
}

std::exception_ptr detail::context_cause(const context_node* node) {
    const std::uint8_t err = error_of(node->canceler);
    if (err == 0) return nullptr;
    if (node->canceler->cause != nullptr) return node->canceler->cause;
    return as_exception(make_error_code(static_cast<context_errc>(err)));
}

std::int64_t detail::context_deadline(const context_node* node) noexcept {
    return node->canceler != nullptr ? node->canceler->deadline : INT64_MAX;
}

// ---- cancelling -------------------------------------------------------------------------------

namespace {

void run_func(context_func* f) {
    struct at_end {
        context_func* f;
        ~at_end() {
            f->of.end(f);
            release_context_func(f);
        }
    } end{f};
    release_context(f->ctx);
    f->of.call(f);
}

// Owns the registration of one that is over.
void start_func(context_func* f) noexcept {
    try {
        go(run_func, f);
    } catch (const std::bad_alloc&) {
        // Nobody is there who could be told, and not to call it would break a promise.
        fatal("out of memory (function of a context that is done)");
    }
}

enum class claimed : std::uint8_t { by_others, alone, with_children };

// Decides that n is over, for one caller, who then tells those that look at it directly. Children come no more.
claimed claim(cancel_node* n, context_errc err, const std::exception_ptr& cause) noexcept {
    claimed how = claimed::alone;
    {
        const runtime_pin pin;
        const lock_guard held(n->mu);
        if (n->err.load(memory_order_relaxed) != 0) return claimed::by_others;
        if (n->children != nullptr) how = claimed::with_children;
        if (cause != nullptr) n->cause = cause;
        // release: pairs with the acquire in error_of.
        n->err.store(static_cast<std::uint8_t>(err), memory_order_release);
    }
    if (chan_core* c = n->done.load(memory_order_relaxed); c != nullptr) chan_close(c);
    if (n->kind->canceled != nullptr) n->kind->canceled(n);
    return how;
}

// What a walk has taken out and not seen to, linked by context_child::next.
class taken {
  public:
    bool empty() const noexcept { return first_ == nullptr; }
    void push(context_child* c) noexcept {
        c->next = first_;
        first_ = c;
    }
    context_child* pop() noexcept { return std::exchange(first_, first_->next); }

  private:
    context_child* first_ = nullptr;
};

constexpr unsigned batch = 32;

// Takes some children out. False: there are none left.
bool take_some(cancel_node* n, taken& contexts, taken& funcs) noexcept {
    G* awake[batch];
    unsigned woken = 0;
    bool more = false;
    const runtime_pin pin;
    {
        const lock_guard held(n->mu);
        for (unsigned i = 0; i < batch && n->children != nullptr; ++i) {
            context_child* c = n->children;
            n->unlink(c);
            if (c->what == context_child::type::context) {
                c->where.store(context_child::place::in_walk, memory_order_relaxed);
                contexts.push(c);
            } else if (c->what == context_child::type::func) {
                auto* f = static_cast<context_func*>(c);
                if (!f->over.exchange(true, memory_order_acq_rel)) funcs.push(f);
            } else {
                auto* w = static_cast<context_waiter*>(c);
                G* g = w->g;  // once claimed, it may be gone when the lock is free
                if (w->take(context_waiter::canceled)) awake[woken++] = g;
            }
        }
        more = n->children != nullptr;
    }
    for (unsigned i = 0; i < woken; ++i) ready(awake[i], false);
    return more;
}

void take_children(cancel_node* n, taken& contexts) noexcept {
    taken funcs;
    for (bool more = true; more;) {
        more = take_some(n, contexts, funcs);
        while (!funcs.empty()) start_func(static_cast<context_func*>(funcs.pop()));
    }
}

}  // namespace

void detail::cancel_below(cancel_node* first, context_errc err,
                          const std::exception_ptr& cause) noexcept {
    const claimed how = claim(first, err, cause);
    if (how == claimed::by_others) return;
    taken contexts;
    if (how == claimed::with_children) take_children(first, contexts);
    while (!contexts.empty()) {
        auto* n = static_cast<cancel_node*>(contexts.pop());
        switch (claim(n, err, cause)) {
            case claimed::alone: break;
            case claimed::with_children: take_children(n, contexts); break;
            case claimed::by_others:
                // acquire: pairs with the release below.
                wait_for_others([n] { return n->settled.load(memory_order_acquire); });
        }
        // release: pairs with the acquire in retire_context. It may be gone then.
        n->where.store(context_child::place::outside, memory_order_release);
    }
    leave_list(first);
    first->settled.store(true, memory_order_release);
}

void detail::cancel_context(context_node* n, const std::exception_ptr& cause) noexcept {
    if (explorations.load(memory_order_relaxed) != 0) [[unlikely]]
        explore_here(operation::on_everything("cancel"));
    cancel_below(static_cast<cancel_node*>(n), context_errc::canceled, cause);
}

// ---- making -----------------------------------------------------------------------------------

// One with a deadline may be over before it is in the list: then it stays out. Who cancels it sets err first and
// takes this lock afterwards, so one of the two sees the other.
void detail::attach_context(cancel_node* n) {
    cancel_node* above = n->above();
    if (above == nullptr) return;
    {
        const runtime_pin pin;
        const lock_guard held(above->mu);
        if (above->err.load(memory_order_relaxed) == 0) {
            if (n->err.load(memory_order_relaxed) == 0) above->link(n);
            return;
        }
    }
    cancel_below(n, static_cast<context_errc>(above->err.load(memory_order_relaxed)), above->cause);
}

namespace {

void free_cancel_node(context_node* node) noexcept {
    auto* n = static_cast<cancel_node*>(node);
    retire_context(n);
    delete n;
}

constinit const context_kind cancel_kind{
    free_cancel_node,
    [](const context_node*, std::string& to) { to += ".WithCancel"; },
    nullptr,
};

constinit const context_kind without_cancel_kind{
    [](context_node* n) noexcept { delete n; },
    [](const context_node*, std::string& to) { to += ".WithoutCancel"; },
    nullptr,
};

}  // namespace

cancel_node* detail::make_cancel_node(const context& parent) {
    context_node* above = parent_node(parent);
    explore_point("with_cancel", above->canceler, touch::reads);
    auto* n = new cancel_node(cancel_kind, above);
    attach_context(n);
    return n;
}

std::pair<context, cancel_func> with_cancel(const context& parent) {
    return handles_of<cancel_func>(make_cancel_node(parent));
}

std::pair<context, cancel_cause_func> with_cancel_cause(const context& parent) {
    return handles_of<cancel_cause_func>(make_cancel_node(parent));
}

context without_cancel(const context& parent) {
    context_node* above = parent_node(parent);
    auto* n = new context_node{{}, &without_cancel_kind, above, nullptr, above->values, 1};
    retain_context(above);
    return context(n);
}

// ---- after_func -------------------------------------------------------------------------------

void detail::release_context_func(context_func* f) noexcept {
    if (f->refs.fetch_sub(1, memory_order_acq_rel) == 1) f->of.destroy(f);
}

void detail::start_context_func(context_func* f, const context& ctx) {
    f->ctx = ctx.node();
    retain_context(f->ctx);
    f->refs.fetch_add(1, memory_order_relaxed);
    cancel_node* above = f->ctx->canceler;
    if (above == nullptr) return;
    {
        const runtime_pin pin;
        const lock_guard held(above->mu);
        if (above->err.load(memory_order_relaxed) == 0) {
            above->link(f);
            return;
        }
    }
    f->over.store(true, memory_order_relaxed);
    try {
        go(run_func, f);
    } catch (...) {
        release_context(f->ctx);
        release_context_func(f);
        throw;
    }
}

bool detail::stop_context_func(context_func* f) noexcept {
    // acq_rel: the winner sees the function complete.
    if (f->over.exchange(true, memory_order_acq_rel)) return false;
    if (cancel_node* above = f->ctx->canceler; above != nullptr) {
        const runtime_pin pin;
        const lock_guard held(above->mu);
        above->unlink(f);
    }
    f->of.end(f);
    release_context(f->ctx);
    release_context_func(f);
    return true;
}

}  // namespace vole
