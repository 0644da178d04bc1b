// Something that is to happen once, whoever asks first. What all headers of <vole/sync.hpp> have in common is said there.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/detail/atomic.hpp>
#include <vole/detail/explore_point.hpp>
#include <vole/panic.hpp>

namespace vole::inline v0 {

/// Go's sync.Once: of all calls, the first calls its function; the others wait until that is over. One that ends by an
/// exception or by goexit() has been called, too (std::call_once would try the next).
/// May be destroyed as soon as a call() has returned that no other is still in.
class once {
  public:
    constexpr once() noexcept = default;
    once(const once&) = delete;
    once& operator=(const once&) = delete;

    /// The first call: f(), and what it throws. Throws runtime_error for a null f, which counts as called.
    /// The others: nothing, when f has ended; if that is still to come, they wait. So one inside f waits for ever.
    /// Happens-before: the end of f -> return.
    template <class F>
    void call(F&& f) {
        detail::explore_point("once", this);
        // acquire: pairs with end()'s release.
        if (state_.load(detail::memory_order_acquire) == done) [[likely]]
            return;
        if (!begin()) return;
        struct at_end {
            once* self;
            ~at_end() { self->end(); }
        } const ends{this};
        if (detail::is_nil_callable(f)) detail::throw_nil_deferred();
        std::invoke(std::forward<F>(f));
    }

  private:
    // The two lower bits of state_; the upper ones are said in sync/src/once.cpp.
    static constexpr std::uint32_t running = 1;
    static constexpr std::uint32_t waiters = 2;
    static constexpr std::uint32_t done = waiters;  // for nobody

    bool begin();
    void end() noexcept;

    detail::atomic<std::uint32_t> state_{0};
};

namespace detail {

/// What once_func and once_value have in common: a function, called once, and how it ended.
template <class F>
class once_callable {
  public:
    explicit once_callable(F f) : f_(std::in_place, std::move(f)) {}
    once_callable(const once_callable&) = delete;
    once_callable& operator=(const once_callable&) = delete;

  protected:
    /// The first time, use(f). Then, and each time: throws what it threw.
    template <class Use>
    void run(Use use) {
        once_.call([&] { run_first(use); });
        if (!returned_) [[unlikely]]
            throw_again();
    }

  private:
    template <class Use>
    void run_first(Use& use) {
        struct at_end {
            std::optional<F>& f;
            ~at_end() { f.reset(); }  // what it captured is gone before others go on
        } const ends{f_};
        // Not a catch block: what nobody catches is to be reported with the stack it was thrown on.
        recovering([&] {
            const defer keep{[&] { error_ = detail::passing_exception(); }};
            if (is_nil_callable(*f_)) throw_nil_deferred();
            use(std::move(*f_));
            returned_ = true;
        });
    }

    // After goexit() there is none: that is a panic of its own.
    [[noreturn]] void throw_again() const { panic(error_); }

    once once_;
    bool returned_ = false;
    std::optional<F> f_;
    std::exception_ptr error_;
};

}  // namespace detail

/// What once_func() gives. Neither copyable nor movable: others refer to it.
template <class F>
class once_function : detail::once_callable<F> {
  public:
    using detail::once_callable<F>::once_callable;

    void operator()() {
        this->run([](F&& f) { std::invoke(std::move(f)); });
    }
};

/// What once_value() gives. Neither copyable nor movable: others refer to it.
template <class F>
class once_value_function : detail::once_callable<F> {
  public:
    using result_type = std::remove_cvref_t<std::invoke_result_t<F>>;

    explicit once_value_function(F f) : detail::once_callable<F>(std::move(f)) {}
    ~once_value_function() {
        if (has_value_) std::destroy_at(&value_);
    }

    /// Valid as long as this object.
    const result_type& operator()() {
        this->run([this](F&& f) {
            // Made in its place: it need be neither copyable nor movable.
            ::new (static_cast<void*>(&value_)) result_type(std::invoke(std::move(f)));
            has_value_ = true;
        });
        return value_;
    }

  private:
    union {
        result_type value_;
    };
    bool has_value_ = false;
};

/// Go's sync.OnceFunc: an object to be called from anywhere, any number of times; the first time calls f, others that
/// come meanwhile wait for it. What f throws, each call throws: the same exception object. If it ended by
/// goexit(), later calls throw panic_nil_error. f and what it captured are destroyed as soon as it has been called.
/// A null f: each call throws runtime_error.
template <class F>
once_function<std::decay_t<F>> once_func(F&& f) {
    return once_function<std::decay_t<F>>(std::forward<F>(f));
}

/// Go's sync.OnceValue, likewise: each call gives a reference to what f returned the first time, which lives as
/// long as the object. For Go's OnceValues return a pair or a struct.
template <class F>
once_value_function<std::decay_t<F>> once_value(F&& f) {
    return once_value_function<std::decay_t<F>>(std::forward<F>(f));
}

}  // namespace vole
