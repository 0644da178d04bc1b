// Helpers over task groups that need time: a time-out, and hedged requests. race() is in <vole/task_group.hpp>.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <vole/context.hpp>
#include <vole/panic.hpp>
#include <vole/select.hpp>
#include <vole/task_group.hpp>
#include <vole/time.hpp>

namespace vole::inline v0 {

/// Calls f(context) or f(), here, with a context that is done after d; gives or throws what f does. f is not
/// interrupted: one that does not look at the context takes as long as it takes.
template <class R, class P, detail::task_function F>
auto run_with_timeout(const context& parent, const std::chrono::duration<R, P>& d, F&& f)
    -> detail::task_result<F> {
    auto [ctx, cancel] = with_timeout(parent, d);
    const defer done{cancel};
    return detail::call_task(f, ctx);
}
template <class R, class P, detail::task_function F>
auto run_with_timeout(const std::chrono::duration<R, P>& d, F&& f) -> detail::task_result<F> {
    return run_with_timeout(context::background(), d, std::forward<F>(f));
}

/// Calls f(context) or f() in a goroutine, and once more, up to `most` times in all, whenever `delay` has passed,
/// or all calls so far have failed, without a result. The first result wins, as in race(): the context is
/// cancelled, and the other calls have ended when hedge() returns. If all fail, throws task_errors.
/// f must be copyable: each call has its own. At least one call is made.
template <class R, class P, detail::task_function F>
auto hedge(const context& parent, const std::chrono::duration<R, P>& delay, F f,
           std::size_t most = 2) -> std::decay_t<detail::task_result<F>> {
    detail::first_result<std::decay_t<detail::task_result<F>>> first;
    const auto failed = make_chan<void>(std::max<std::size_t>(most, 1));
    task_group group(parent, task_group::collect_all);
    for (std::size_t begun = 1, running = 1;; ++begun, ++running) {
        group.go([&first, &group, failed, f]() mutable {
            struct at_end {
                const chan<void>& c;
                ~at_end() { c.send(); }  // there is room
            } end{failed};
            first.run(f, group);
        });
        if (begun >= most) break;
        const recv_chan<clock::time_point> late = after(delay);
        bool next = false;
        bool over = false;
        while (!next && !over) {
            select(on_recv(group.context().done(), [&] { over = true; }),
                   on_recv(late, [&] { next = true; }),
                   on_recv(failed, [&] { next = --running == 0; }));
        }
        if (group.context().err()) break;  // won, or the parent is done
    }
    return first.take(group);
}

}  // namespace vole
