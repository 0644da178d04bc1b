// Time: the clock every deadline of Vole is measured on, sleeping, timers and tickers. Semantics are those of
// Go's package time, from Go 1.23 on: after stop() or reset() nothing of the old setting can be received.
//
// Durations are nanoseconds in 64 bits. Any std::chrono duration may be given: it is rounded up to
// nanoseconds, and what does not fit becomes the longest or shortest duration there is. A deadline that far
// away never comes. Zero and negative durations are over already.
//
// Everything may be called from goroutines and from ordinary threads, and does not block but where it says so.
// Inside a bubble (<vole/synctest.hpp>) all of it follows the bubble's virtual time.
//
// How late: never early; on an idle machine by the wake-up of a thread and its timer slack (1 us for the
// runtime's threads). Deadlines are not coalesced: each is met on its own.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <ratio>
#include <type_traits>
#include <utility>

#include <vole/chan.hpp>
#include <vole/config.hpp>
#include <vole/detail/callable.hpp>
#include <vole/detail/spawn.hpp>
#include <vole/detail/timer_core.hpp>

namespace vole::inline v0 {

/// A steady std::chrono clock: it never runs backwards, on any thread or after a goroutine moved to another.
/// It stands still while the machine is suspended, as Go's does. Its time points cannot be compared with
/// those of another clock. In a bubble it is the bubble's; what it said outside has no meaning there.
class clock {
  public:
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<clock, duration>;

    static constexpr bool is_steady = true;

    [[nodiscard]] static time_point now() noexcept;
    /// The calendar's time, which somebody may set: for people, never for deadlines. In a bubble it begins at
    /// 2000-01-01 00:00 UTC, and cannot be set.
    [[nodiscard]] static std::chrono::sys_time<duration> wall() noexcept;
};

static_assert(std::chrono::is_clock_v<clock>);

namespace detail {

/// Rounded up, and kept within what 64 bits hold.
template <class R, class P>
constexpr std::int64_t to_ns(const std::chrono::duration<R, P>& d) noexcept {
    using in_ns = std::ratio_divide<P, std::nano>;
    constexpr std::int64_t longest = INT64_MAX;
    constexpr std::int64_t shortest = INT64_MIN;
    if constexpr (std::is_integral_v<R> && in_ns::den == 1) {
        const R count = d.count();
        if (std::cmp_greater(count, longest / in_ns::num)) return longest;
        if (std::cmp_less(count, shortest / in_ns::num)) return shortest;
        return static_cast<std::int64_t>(count) * in_ns::num;
    } else {
        const auto ns =
            std::chrono::duration_cast<std::chrono::duration<long double, std::nano>>(d).count();
        if (ns >= 0x1p63L) return longest;
        if (ns <= -0x1p63L) return shortest;
        if (!(ns > -0x1p63L)) return 0;  // not a number
        const auto whole = static_cast<std::int64_t>(ns);
        return static_cast<long double>(whole) < ns && whole != longest ? whole + 1 : whole;
    }
}
constexpr std::int64_t to_ns(const clock::duration& d) noexcept { return d.count(); }

}  // namespace detail

/// Blocks the goroutine (or the thread) for at least d. Returns at once if d is not positive.
template <class R, class P>
void sleep(const std::chrono::duration<R, P>& d) {
    detail::sleep_for(detail::to_ns(d));
}

/// Blocks until clock::now() >= t.
template <class D>
void sleep_until(const std::chrono::time_point<clock, D>& t) {
    detail::sleep_until(detail::to_ns(t.time_since_epoch()));
}

/// One value, or one call, at a time that may be changed. A cheap shared handle: copies are the same timer.
///
/// With a channel (timer(d), after(d)): at the time, one value can be received: the instant that the timer was
/// set to, however late it is received. len() and cap() of the channel are always 0. A timer whose channel
/// nobody waits on costs nothing but its memory. Dropping the last handle and the last copy of the channel
/// ends it.
///
/// With a function (after_func): at the time, a new goroutine calls it. Dropping the handle does not stop it.
class timer {
  public:
    /// Not set up: stop() and reset() throw runtime_error.
    timer() noexcept = default;
    template <class R, class P>
    explicit timer(const std::chrono::duration<R, P>& d)
        : timer(detail::make_chan_timer(detail::to_ns(d), 0)) {}

    /// Nil of one that calls a function, or is not set up.
    [[nodiscard]] recv_chan<clock::time_point> c() const noexcept { return c_; }

    /// True: this call has prevented the value from being received (one that lay there unread is dropped), or
    /// the function from being called. False: it was received, or called, or stopped before. Does not
    /// wait for the function to end. When it has returned, nothing of the old setting can be received.
    /// Throws runtime_error "time: Stop called on uninitialized Timer".
    bool stop() {
        if (!core_) detail::throw_uninitialized_timer("time: Stop called on uninitialized Timer");
        return detail::stop_timer(core_.get());
    }

    /// Sets it to d from now, whatever it was. Gives what stop() would have given. A function that is being
    /// called is called once more, perhaps at the same time.
    /// Throws runtime_error "time: Reset called on uninitialized Timer".
    template <class R, class P>
    bool reset(const std::chrono::duration<R, P>& d) {
        if (!core_) detail::throw_uninitialized_timer("time: Reset called on uninitialized Timer");
        return detail::reset_timer(core_.get(), detail::to_ns(d), 0);
    }

  private:
    template <class R, class P, class F>
        requires(std::is_invocable_v<std::decay_t<F>&>)
    friend timer after_func(const std::chrono::duration<R, P>& d, F&& f);

    explicit timer(detail::timer_and_chan t) noexcept
        : core_(t.core), c_(chan<clock::time_point>(t.c)) {}

    detail::timer_ref core_;
    recv_chan<clock::time_point> c_;
};

/// A channel on which one value can be received after d.
template <class R, class P>
[[nodiscard]] recv_chan<clock::time_point> after(const std::chrono::duration<R, P>& d) {
    return timer(d).c();
}

/// Calls f() in a goroutine of its own after d, and again after each reset(). An exception that leaves f is that
/// goroutine's uncaught panic. f is destroyed with the last handle, once it can no longer be called.
/// Throws runtime_error for a null f, and std::bad_alloc.
template <class R, class P, class F>
    requires(std::is_invocable_v<std::decay_t<F>&>)
timer after_func(const std::chrono::duration<R, P>& d, F&& f) {
    if (detail::is_nil_callable(f)) detail::throw_nil_func();
    auto* core = new detail::func_timer<std::decay_t<F>>(std::forward<F>(f));
    timer t(detail::timer_and_chan{core, nullptr});
    detail::start_func_timer(core, detail::to_ns(d));
    return t;
}

/// A value each d: at start + d, start + 2d, ... without drift. A reader that is late finds one value, the
/// first that it missed; the others are dropped. A cheap shared handle. Dropping the last handle and the last copy of the
/// channel ends it.
class ticker {
  public:
    /// Not set up: reset() throws.
    ticker() noexcept = default;
    /// Throws runtime_error "non-positive interval for NewTicker".
    template <class R, class P>
    explicit ticker(const std::chrono::duration<R, P>& d)
        : ticker(detail::make_ticker(detail::to_ns(d))) {}

    [[nodiscard]] recv_chan<clock::time_point> c() const noexcept { return c_; }

    /// No value can be received after it has returned. The channel stays open.
    void stop() {
        if (core_) detail::stop_timer(core_.get());
    }

    /// The next value at d from now, then each d; also after stop(). An unread value is dropped.
    /// Throws runtime_error "non-positive interval for Ticker.Reset", "time: Reset called on uninitialized
    /// Ticker".
    template <class R, class P>
    void reset(const std::chrono::duration<R, P>& d) {
        detail::reset_ticker(core_.get(), detail::to_ns(d));
    }

  private:
    explicit ticker(detail::timer_and_chan t) noexcept
        : core_(t.core), c_(chan<clock::time_point>(t.c)) {}

    detail::timer_ref core_;
    recv_chan<clock::time_point> c_;
};

/// The channel of a ticker that is never stopped; nil if d is not positive.
template <class R, class P>
[[nodiscard]] recv_chan<clock::time_point> tick(const std::chrono::duration<R, P>& d) {
    if (detail::to_ns(d) <= 0) return {};
    return ticker(d).c();
}

}  // namespace vole
