// Contexts: how a tree of goroutines learns that it is to end, until when it has time, and what belongs to
// the request that it works on. Semantics follow Go's context package.
//
//     auto [ctx, cancel] = vole::with_timeout(parent, 5s);
//     vole::defer done{cancel};                      // what waits for ctx need not wait any longer
//     vole::select(vole::on_recv(replies, [&](auto reply) { ... }),
//                  vole::on_recv(ctx.done(), [&] { throw std::system_error(ctx.err()); }));
//
// A context is given to functions as their first argument, and not kept. Who derives one calls its cancel
// function when it is of no use any more. Forgotten, it costs less than in Go: a context that nobody refers to leaves
// its parent, and its timer is stopped. A child does not fail with its parent's memory: it holds the parent.
//
// There is no goroutine behind a context, and no thread; a deadline is one timer, stopped at once when the context
// is done by another way. Cancelling costs a step for each context below. All may be called from goroutines and
// from ordinary threads.
//
// A context made in a bubble (<vole/synctest.hpp>) follows the bubble's time, and done() is a channel of the
// bubble: waiting for it is durable. To cancel it from outside, or its parent there, is then a fatal
// error, as it is to close that channel, or to stop that timer. Its parent's done() is not the bubble's.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <system_error>
#include <utility>

#include <vole/detail/context_base.hpp>
#include <vole/time.hpp>

namespace vole::inline v0 {

namespace detail {
// Times and durations in nanoseconds.
context_node* make_deadline(const context& parent, std::int64_t when, std::exception_ptr cause);
context_node* make_timeout(const context& parent, std::int64_t d, std::exception_ptr cause);

/// The handles for a node with two references.
inline std::pair<context, cancel_func> with_cancel_func(context_node* n) noexcept {
    return {context(n), cancel_func(context(n))};
}
}  // namespace detail

// What is said of with_cancel holds for all of these. If the parent's deadline is earlier, they are with_cancel.

/// A context that is also done, with deadline_exceeded, when t comes. One whose deadline is over is done at once.
template <class D>
[[nodiscard]] std::pair<context, cancel_func>
with_deadline(const context& parent, const std::chrono::time_point<clock, D>& t) {
    return detail::with_cancel_func(
        detail::make_deadline(parent, detail::to_ns(t.time_since_epoch()), nullptr));
}

/// with_deadline(parent, clock::now() + d)
template <class R, class P>
[[nodiscard]] std::pair<context, cancel_func> with_timeout(const context& parent,
                                                           const std::chrono::duration<R, P>& d) {
    return detail::with_cancel_func(detail::make_timeout(parent, detail::to_ns(d), nullptr));
}

/// The same; the cause, if the deadline comes first. A call of the function gives none.
template <class D>
[[nodiscard]] std::pair<context, cancel_func>
with_deadline_cause(const context& parent, const std::chrono::time_point<clock, D>& t,
                    const std::exception_ptr& cause) {
    return detail::with_cancel_func(
        detail::make_deadline(parent, detail::to_ns(t.time_since_epoch()), cause));
}
template <class D>
[[nodiscard]] std::pair<context, cancel_func>
with_deadline_cause(const context& parent, const std::chrono::time_point<clock, D>& t,
                    std::error_code cause) {
    return with_deadline_cause(parent, t, detail::as_exception(cause));
}
template <class R, class P>
[[nodiscard]] std::pair<context, cancel_func>
with_timeout_cause(const context& parent, const std::chrono::duration<R, P>& d,
                   const std::exception_ptr& cause) {
    return detail::with_cancel_func(detail::make_timeout(parent, detail::to_ns(d), cause));
}
template <class R, class P>
[[nodiscard]] std::pair<context, cancel_func>
with_timeout_cause(const context& parent, const std::chrono::duration<R, P>& d,
                   std::error_code cause) {
    return with_timeout_cause(parent, d, detail::as_exception(cause));
}

}  // namespace vole
