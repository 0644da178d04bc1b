// Alarms: timers for libraries above this floor, which do not start a goroutine when they go off.
//
// `expire` runs where the time is looked after: on g0, with no lock held. It must not park, throw, allocate or run user
// code. It gives the goroutine that is to be readied, or null. Alarms go by real time, also in bubbles.
//
// Two alarms may be set at the same time by different threads; which of the two settings holds is then open.
#pragma once

#include <vole/detail/timer_core.hpp>

namespace vole::inline v0::detail {

struct alarm : timer_core {
    /// With one reference, dropped by release_timer().
    explicit alarm(const functions& f) noexcept;
};

/// At `when`, by timer_now(); whatever it was set to before. Inside the runtime. Throws std::bad_alloc: then it is not
/// set.
void set_alarm(alarm* t, std::int64_t when);
/// Inside the runtime. It may be going off at this moment.
void stop_alarm(alarm* t) noexcept;

}  // namespace vole::detail
