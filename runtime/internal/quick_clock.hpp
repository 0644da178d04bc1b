// The time at half the price, for deadlines: an estimate from the processor's counter of ticks.
//
// Each M reads the system's clock every 20 us, if it needs it as often, and counts ticks in between. The estimate
// is some 10 ns off at most, less than a call of either clock takes: so what was computed from it lies between
// what clock::now() says before and after. What it says is due is asked of nanotime().
//
// Only where the kernel itself keeps the time by that counter, so that it is the same on all CPUs, and once
// sysmon has found out how fast it ticks; else every call is nanotime().
//
// Stack: any, on the M's own thread; sysmon for calibrate().
#pragma once

#include <cstdint>

#include <vole/arch/port.hpp>
#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

class quick_clock {
  public:
    std::int64_t now() noexcept {
        const std::uint64_t elapsed = arch::this_port::ticks() - ticks_;
        if (elapsed >= good_for_) [[unlikely]]
            return read();
        return ns_ + static_cast<std::int64_t>(elapsed * rate_ >> 32);
    }

    /// sysmon: compares the two clocks, now and then.
    static void calibrate() noexcept;

  private:
    std::int64_t read() noexcept;

    std::uint64_t ticks_ = 0;
    std::uint64_t good_for_ = 0;
    std::uint64_t rate_ = 0;  // nanoseconds a tick, with 32 binary places
    std::int64_t ns_ = 0;
};

}  // namespace vole::detail
