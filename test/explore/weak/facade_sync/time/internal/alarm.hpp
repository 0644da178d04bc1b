// In the place of time's own: an alarm goes off when the test says so, if it is set.
#pragma once

#include <cstdint>

#include "runtime/internal/park.hpp"

namespace vole::inline v0::detail {

struct timer_core {
    struct functions {
        void (*call)(timer_core*);
        void (*end)(timer_core*);
        void (*destroy)(timer_core*) noexcept;
        G* (*on_time)(timer_core*) noexcept;
    };
    const functions& of;
    bool set = false;
};
struct alarm : timer_core {
    explicit alarm(const functions& f) noexcept : timer_core{f} {}
};
void set_alarm(alarm* t, std::int64_t when);
void stop_alarm(alarm* t) noexcept;
inline void release_timer(timer_core* t) noexcept { t->of.destroy(t); }

}  // namespace vole::detail
