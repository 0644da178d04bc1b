// Time: the clock every deadline of Vole is measured on.
//
// Invariant: the clock never runs backwards, on any thread or after a goroutine moved to another.
// Its time points cannot be compared with those of another clock, and the type system says so:
// a deadline on the wall clock does not compile where one on this clock is wanted.
//
// Stack: now() runs on whichever stack it is called; it needs less than 200 bytes and no lock.
#pragma once

#include <chrono>

#include <vole/config.hpp>

namespace vole::inline v0 {

/// A steady std::chrono clock. It stands still while the machine is suspended, as Go's does.
class clock {
  public:
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<clock, duration>;

    static constexpr bool is_steady = true;

    [[nodiscard]] static time_point now() noexcept;
};

static_assert(std::chrono::is_clock_v<clock>);

}  // namespace vole
