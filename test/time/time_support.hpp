// What the tests of time share.
//
// What may be asserted of real time: that nothing happens early, and that it happens at all. A value of a timer
// is more exact than that: it is the instant that the timer was set to, however late it is received; and that is
// known from two readings of the clock around the call that set it.
#pragma once

#include <catch2/catch.hpp>

#include <vole/vole.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

namespace vole::test {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using time_point = clock::time_point;

/// A deadline may be counted from an estimate of the time that is this far ahead, never behind. What is over at
/// once (d <= 0) is not counted from one: it is there at once.
inline constexpr nanoseconds estimate = 1us;

/// The moment at which a timer is set: after the constructor, before end().
class setting {
  public:
    void end() { after_ = clock::now(); }
    time_point before() const { return before_; }
    time_point after() const { return after_; }
    /// Whether t is d after it.
    bool due(const std::optional<time_point>& t, nanoseconds d) const {
        return t && *t >= before_ + d && *t <= after_ + d + (d > 0ns ? estimate : 0ns);
    }

  private:
    time_point before_ = clock::now();
    time_point after_ = before_;
};

/// What can be received now, if anything.
inline std::optional<time_point> taken(const recv_chan<time_point>& c) {
    auto r = c.try_recv();
    return r ? std::optional(*r) : std::nullopt;
}

/// Goes on when d has passed, on a goroutine or a thread, and does not trust sleep() for it.
inline void pass(nanoseconds d) {
    const time_point end = clock::now() + d;
    wait_until([&] { return clock::now() >= end; }, "time to pass");
}

/// A goroutine that receives one value, and is known to wait for it. Only for what is not due for long.
class reader {
  public:
    explicit reader(recv_chan<time_point> c) {
        done_.go([this, c] {
            id_ = goroutine_id();
            value_ = c.recv();
            ended_ = true;
        });
        wait_until([&] { return id_ != 0; }, "a reader to begin");
        wait_until([&] { return state_of(id_) == "chan receive"; }, "a reader to wait");
    }
    ~reader() { done_.wait(); }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;

    bool waits() const {
        return stays([&] { return !ended_; }, 100);
    }
    bool ended() const { return ended_; }
    std::optional<time_point> value() {
        done_.wait();
        return value_;
    }

  private:
    wait_group done_;
    std::atomic<std::uint64_t> id_{0};
    std::atomic<bool> ended_{false};
    std::optional<time_point> value_;
};

/// Whether pred() comes to hold: for what must happen some time, but does not hold up a test for ever.
template <class Pred>
bool eventually(Pred pred) {
    const auto end = std::chrono::steady_clock::now() + patience() / 4;
    while (!pred()) {
        if (std::chrono::steady_clock::now() > end) return false;
        gosched();
        std::this_thread::yield();
    }
    return true;
}

}  // namespace vole::test
