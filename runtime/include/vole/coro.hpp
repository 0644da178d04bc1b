// Coroutines: functions that stop in the middle, give a value, and go on when they are asked for the next.
//
// A coroutine is a second stack of the goroutine that resumes it. A switch takes a few nanoseconds, allocates
// nothing, and the scheduler has no part in it: the body runs on the same thread, in the same time slice, as the
// same goroutine (goroutine_id() is the consumer's), and when it blocks in a channel the consumer is blocked.
// Exceptions that leave the body leave resume(), and goexit() in the body ends the goroutine that resumed it.
//
// Any goroutine may resume it, one at a time; a change of goroutines costs microseconds. On an ordinary thread
// each resume() is done by a goroutine of its own, and the thread waits for it.
//
// Stacks of coroutines have the default policy's 256 KiB, of which pages count that were used.
//
// See <vole/iter.hpp> for functions that push values to be pulled.
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>
#include <vole/detail/callable.hpp>
#include <vole/detail/coroutine.hpp>

namespace vole::inline v0 {

/// What yield throws in a body that is being stopped, to unwind it. Not a std::exception. A body that catches it
/// must not yield again: that throws it again.
struct coro_stopped {};

/// What a coroutine's body calls to give a value and wait for the next resume().
template <class Yield, class Resume>
class coro_yielder {
  public:
    static_assert(!std::is_reference_v<Yield> && !std::is_reference_v<Resume>,
                  "a coroutine passes values: use a pointer or std::reference_wrapper");

    /// Gives v to the consumer. Returns what it resumes with.
    /// Throws coro_stopped; what throw_into() was given; runtime_error when it is not the body that calls, on its own stack.
    template <class V = Yield>
        requires(!std::is_void_v<Yield> && std::convertible_to<V, Yield>)
    Resume operator()(V&& v) {
        std::conditional_t<std::is_void_v<Yield>, char, Yield> value(std::forward<V>(v));
        return give(std::addressof(value));
    }
    Resume operator()() requires(std::is_void_v<Yield>) { return give(nullptr); }

    explicit coro_yielder(detail::coroutine* self) noexcept : self_(self) {}

  private:
    Resume give(void* value) {
        if (!detail::coroutine_yield(self_, value)) throw coro_stopped{};
        if (std::exchange(self_->thrown, false)) {
            std::rethrow_exception(std::move(*static_cast<std::exception_ptr*>(self_->value)));
        }
        if constexpr (!std::is_void_v<Resume>) {
            return Resume(std::move(*static_cast<Resume*>(self_->value)));
        }
    }
    detail::coroutine* self_;
};

/// A function that gives values of type Yield and is given ones of type Resume; either may be void.
/// Move-only. Its destructor stops it: see stop(); what leaves the body then is reported as an uncaught panic is.
template <class Yield = void, class Resume = void>
class coro {
  public:
    using yielder = coro_yielder<Yield, Resume>;
    /// Of resume(): nothing, or false, when the body has ended.
    using result = std::conditional_t<std::is_void_v<Yield>, bool, std::optional<Yield>>;

    /// f(yield), or f(yield, first) if Resume is not void: `first` is what the first resume() gives. Nothing of it runs before
    /// that. f is moved to the coroutine's stack. Does not block. Throws std::bad_alloc, or what moving f throws.
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, coro>)
    explicit coro(F&& f)
        : owner_(detail::coroutine_owner::make<body<std::decay_t<F>>>(detail::coroutine_kind::coro,
                                                                      std::forward<F>(f))) {}

    /// Runs the body until its next yield or its end. Happens-before: as within one function.
    /// Throws what leaves the body, which has ended then; runtime_error when it has ended before ("coroswitch on exited
    /// coro"), runs already, is resumed by two goroutines at once, on the system stack, or with another number of
    /// lock_os_thread() calls pending than when it was made.
    result resume() requires(std::is_void_v<Resume>) { return go_on(nullptr); }
    template <class R = Resume>
        requires(!std::is_void_v<Resume> && std::convertible_to<R, Resume>)
    result resume(R&& r) {
        std::conditional_t<std::is_void_v<Resume>, char, Resume> value(std::forward<R>(r));
        return go_on(std::addressof(value));
    }

    /// The same, but its yield throws e. If it has not begun, it never will, and e is thrown here.
    result throw_into(std::exception_ptr e) {
        if (owner_.done()) detail::throw_exited_coroutine();
        if (!owner_.get()->started) {
            stop();
            std::rethrow_exception(std::move(e));
        }
        detail::coroutine_throw_into(owner_.get(), &e);
        return taken(!done() || detail::coroutine_finish(owner_.get()));
    }

    /// Unwinds the body: its yield throws coro_stopped. A body that has not begun never will. At the second time, and after
    /// its end: no effect. Throws what else leaves the body, and as resume() does.
    void stop() {
        if (!owner_.done()) detail::coroutine_stop(owner_.get());
    }

    /// Whether the body has ended. A moved-from coroutine: true.
    bool done() const noexcept { return owner_.done(); }

    coro(coro&&) noexcept = default;
    coro& operator=(coro&&) noexcept = default;
    ~coro() = default;

  private:
    template <class F>
    struct body {
        F f;
        void operator()(detail::coroutine* self) {
            yielder yield(self);
            try {
                if constexpr (std::is_void_v<Resume>) {
                    f(yield);
                } else {
                    f(yield, Resume(std::move(*static_cast<Resume*>(self->value))));
                }
            } catch (const coro_stopped&) {
                if (!self->stopping) throw;
            }
        }
    };

    result go_on(void* value) {
        if (owner_.done()) detail::throw_exited_coroutine();
        return taken(detail::coroutine_resume(owner_.get(), value));
    }
    result taken(bool yielded) {
        if constexpr (std::is_void_v<Yield>) {
            if (yielded) detail::end_turn(owner_.get());
            return yielded;
        } else {
            if (!yielded) return std::nullopt;
            return detail::take_yielded<Yield>(owner_.get());
        }
    }
    detail::coroutine_owner owner_;
};

}  // namespace vole
