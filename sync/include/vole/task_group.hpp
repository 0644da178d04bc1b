// Task groups: goroutines that belong together, and end before the scope does that started them. Go's errgroup
// and a nursery in one.
//
//     vole::task_group group(ctx);
//     for (const auto& url : urls) group.go([&](const vole::context& c) { fetch(c, url); });
//     group.wait();  // throws what the first of them threw; the others were told to end
//
// Also race(). What needs time is in <vole/task.hpp>.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <vole/chan.hpp>
#include <vole/detail/callable.hpp>
#include <vole/detail/context_base.hpp>
#include <vole/mutex.hpp>
#include <vole/wait_group.hpp>

namespace vole::inline v0 {

/// What several tasks threw, in the order in which they did.
class task_errors : public std::exception {
  public:
    explicit task_errors(std::vector<std::exception_ptr> all);
    const std::vector<std::exception_ptr>& all() const noexcept { return all_; }
    /// The number of them, and the text of each.
    const char* what() const noexcept override { return text_.c_str(); }

  private:
    std::vector<std::exception_ptr> all_;
    std::string text_;
};

namespace detail {

/// Tasks may take the group's context, or nothing.
template <class F>
concept task_function = std::is_invocable_v < std::decay_t<F>
&, const context& > || std::is_invocable_v<std::decay_t<F>&>;

template <class F>
decltype(auto) call_task(F& f, const context& ctx) {
    if constexpr (std::is_invocable_v<F&, const context&>) {
        return std::invoke(f, ctx);
    } else {
        return std::invoke(f);
    }
}

}  // namespace detail

/// Starts tasks and waits for them. An exception that leaves a task is kept for wait(); no panic handler is
/// called. goexit() in a task ends it without an error. Tasks may start others in the same group.
///
/// Any number of goroutines and threads may use a group at once, but who destroys it must be the last: the
/// destructor waits for the tasks. If it is left by an exception, it cancels them first. An error that no
/// wait() has thrown is lost with the group.
class task_group {
  public:
    enum class policy : unsigned char {
        first_error,  ///< it cancels the context, and is what wait() throws; later ones are dropped
        collect_all,  ///< every task goes on to its end; wait() throws task_errors with all errors
    };
    // Not `using enum`: GCC 12 does not get over it in templates.
    static constexpr policy first_error = policy::first_error;
    static constexpr policy collect_all = policy::collect_all;

    /// Throws std::bad_alloc, and what with_cancel() throws.
    task_group() : task_group(vole::context::background()) {}
    explicit task_group(policy p) : task_group(vole::context::background(), p) {}
    explicit task_group(const vole::context& parent, policy p = first_error);
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;
    ~task_group() {
        if (std::uncaught_exceptions() > exceptions_) cancel();
        tasks_.wait();
        cancel();
    }

    /// Done at the first error (not with collect_all), when wait() or the destructor has waited, by cancel(), and when
    /// the parent is. The cause is that first error.
    const vole::context& context() const noexcept { return ctx_; }

    /// Starts f(context()) or f() in a goroutine; waits until fewer tasks run than the limit, whether the
    /// context is done or not. What f has captured is gone before wait() returns.
    /// Throws what vole::go() throws; then nothing was started. Happens-before: f's end -> return of wait().
    template <detail::task_function F>
    [[gnu::always_inline]] void go(F&& f) {
        if (detail::is_nil_callable(f)) detail::throw_nil_func();
        if (slots_) slots_->send();
        start(std::forward<F>(f));
    }

    /// The same if that needs no waiting; false: as many run as may.
    template <detail::task_function F>
    [[gnu::always_inline]] bool try_go(F&& f) {
        if (detail::is_nil_callable(f)) detail::throw_nil_func();
        if (slots_ && !slots_->try_send()) return false;
        start(std::forward<F>(f));
        return true;
    }

    /// How many may run at once; 0: none; negative: any number. Throws runtime_error "errgroup: modify limit
    /// while N goroutines in the group are still active".
    void set_limit(std::ptrdiff_t n);

    /// Tells all tasks to end.
    void cancel() const noexcept { cancel_(); }

    /// Waits until no task runs, and cancels the context. Then throws the first error, or, with collect_all, all
    /// of them; again at each further call.
    void wait() {
        tasks_.wait();
        cancel();
        throw_errors();
    }

  private:
    template <class F>
    [[gnu::always_inline]] void start(F&& f) {
        struct task {
            task_group* group;
            std::decay_t<F> f;
            void operator()() {
                struct at_end {
                    task_group* group;
                    ~at_end() { group->ended(); }
                } end{group};
                group->run(
                    [](void* p) {
                        auto* t = static_cast<task*>(p);
                        (void)detail::call_task(t->f, t->group->ctx_);
                    },
                    this);
            }
        };
        active_.fetch_add(1, detail::memory_order_relaxed);
        try {
            tasks_.go(task{this, std::forward<F>(f)});
        } catch (...) {
            ended();
            throw;
        }
    }

    /// Calls fn(arg), and keeps what it throws.
    void run(void (*fn)(void*), void* arg);
    void failed(const std::exception_ptr& error) noexcept;
    void ended() noexcept {
        if (slots_) slots_->recv();
        // release: pairs with set_limit's acquire, so that it does not take the channel away before.
        active_.fetch_sub(1, detail::memory_order_release);
    }
    void throw_errors();

    wait_group tasks_;
    vole::context ctx_;
    cancel_cause_func cancel_;
    std::optional<chan<void>> slots_;  // its buffer has room for those that may run
    detail::atomic<std::ptrdiff_t> active_{0};
    mutex mu_;
    std::vector<std::exception_ptr> errors_;  // under mu_
    int exceptions_ = std::uncaught_exceptions();
    policy policy_;
};

namespace detail {

template <class R>
using kept = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

/// The first result of several tasks that do the same.
template <class R>
class first_result {
  public:
    /// Calls f; if it is the first that succeeds, its result is kept and the others are told to end.
    template <class F>
    void run(F& f, const task_group& group) {
        if constexpr (std::is_void_v<R>) {
            call_task(f, group.context());
            keep(group, std::monostate());
        } else {
            keep(group, call_task(f, group.context()));
        }
    }

    /// All have ended. Throws what they threw if none has succeeded.
    R take(task_group& group) {
        try {
            group.wait();
        } catch (const task_errors&) {
            if (!result_) throw;
        }
        if (!result_) throw task_errors({});
        if constexpr (!std::is_void_v<R>) return std::move(*result_);
    }

  private:
    template <class V>
    void keep(const task_group& group, V&& v) {
        if (taken_.exchange(true, memory_order_relaxed)) return;
        result_.emplace(std::forward<V>(v));
        group.cancel();
    }

    atomic<bool> taken_{false};
    std::optional<kept<R>> result_;  // its writer's; ordered by the group's wait
};

template <class F>
using task_result = decltype(call_task(std::declval<std::decay_t<F>&>(), context::background()));

}  // namespace detail

/// Calls all of them at once, each in a goroutine, with a context, or nothing. The first that returns wins: its
/// result is race's, the context is cancelled, and the others have ended when race() returns; what they return or
/// throw then is dropped. If none returns, throws task_errors with what they threw.
/// A task that ends by goexit() does not win; if that is all that happens, throws task_errors without any.
template <detail::task_function... F>
    requires(sizeof...(F) > 0)
auto race(const context& parent, F&&... f) -> std::common_type_t<detail::task_result<F>...> {
    using R = std::common_type_t<detail::task_result<F>...>;
    detail::first_result<R> first;
    task_group group(parent, task_group::collect_all);
    (group.go([&first, &group, f = std::decay_t<F>(std::forward<F>(f))]() mutable {
        first.run(f, group);
    }),
     ...);
    return first.take(group);
}

}  // namespace vole
