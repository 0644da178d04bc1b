// The seam between the templates of <vole/time.hpp> and the library: timers without types.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>
#include <vole/detail/object_cache.hpp>

namespace vole::inline v0::detail {

struct G;
struct chan_core;
class timer_heap;

/// What all timers have in common; the rules are in time/src/timer.cpp.
///
/// Two counts, because an entry in a heap is not taken out when its timer is stopped, but must not keep alive
/// what the function has captured: `users` are handles, being set, and calls under way; without them the
/// function is destroyed. `refs` are entries, and 1 for all users; without them the memory is freed.
/// Where nothing need be destroyed, there are only refs: handles, the channel, entries and calls.
struct timer_core : cached_object {
    struct functions {
        void (*call)(timer_core*);              // in a goroutine of its own; null: it has a channel
        void (*end)(timer_core*) noexcept;      // destroys the function; null: nothing to do
        void (*destroy)(timer_core*) noexcept;  // frees the memory
        G* (*expire)(timer_core*) noexcept = nullptr;  // of an alarm, in place of call
    };

    explicit timer_core(const functions& of) noexcept;
    timer_core(const timer_core&) = delete;
    timer_core& operator=(const timer_core&) = delete;

    const functions& of;
    atomic<std::uint32_t> users{1};
    atomic<std::uint32_t> refs{1};
    alignas(2) unsigned char mu[2];  // a lock; guards what follows
    bool pending = false;            // set, and not yet over
    std::uint32_t bubble_id = 0;     // where it was made; it is used there only
    std::int64_t when = 0;
    atomic<std::int64_t> armed{0};  // when its current entry is due; 0: it has none
    timer_heap* heap = nullptr;     // the one with its current entry
};

inline void retain_timer(timer_core* t) noexcept {
    (t->of.end != nullptr ? t->users : t->refs).fetch_add(1, memory_order_relaxed);
}
void release_timer(timer_core* t) noexcept;

/// One user.
class timer_ref {
  public:
    constexpr timer_ref() noexcept = default;
    explicit timer_ref(timer_core* t) noexcept : t_(t) {}
    timer_ref(const timer_ref& other) noexcept : t_(other.t_) {
        if (t_ != nullptr) retain_timer(t_);
    }
    timer_ref(timer_ref&& other) noexcept : t_(std::exchange(other.t_, nullptr)) {}
    timer_ref& operator=(timer_ref other) noexcept {
        std::swap(t_, other.t_);
        return *this;
    }
    ~timer_ref() {
        if (t_ != nullptr) release_timer(t_);
    }
    timer_core* get() const noexcept { return t_; }
    explicit operator bool() const noexcept { return t_ != nullptr; }

  private:
    timer_core* t_ = nullptr;
};

template <class F>
struct func_timer final : timer_core {
    template <class G>
    explicit func_timer(G&& g) : timer_core(functions_of), f(std::in_place, std::forward<G>(g)) {}

    static constexpr functions functions_of{
        [](timer_core* t) { std::invoke(*static_cast<func_timer*>(t)->f); },
        std::is_trivially_destructible_v<F>
            ? nullptr
            : +[](timer_core* t) noexcept { static_cast<func_timer*>(t)->f.reset(); },
        [](timer_core* t) noexcept { delete static_cast<func_timer*>(t); }};
    std::optional<F> f;
};

struct timer_and_chan {
    timer_core* core;  // with one user
    chan_core* c;      // with one reference
};

// Durations and times in nanoseconds.
void sleep_for(std::int64_t d);
void sleep_until(std::int64_t t);
timer_and_chan make_chan_timer(std::int64_t d, std::int64_t period);
timer_and_chan make_ticker(std::int64_t d);
void start_func_timer(timer_core* t, std::int64_t d);
/// At a time that is ahead. Throws std::bad_alloc; then nothing has happened.
void start_func_timer_at(timer_core* t, std::int64_t when);
bool stop_timer(timer_core* t);
/// The same without a look at whose bubble this is: for a timer that goes with its owner.
bool stop_timer_anywhere(timer_core* t);
bool reset_timer(timer_core* t, std::int64_t d, std::int64_t period);
/// Null: not set up.
void reset_ticker(timer_core* t, std::int64_t d);
[[noreturn]] void throw_uninitialized_timer(const char* text);

}  // namespace vole::detail
