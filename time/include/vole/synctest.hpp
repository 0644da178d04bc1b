// Tests of code that waits, in virtual time: bubbles. Semantics follow Go 1.25's testing/synctest.
//
// synctest::test(f) runs f in a new goroutine, in a bubble of its own. Goroutines that are started in a bubble
// belong to it; so do channels, timers, tickers and mutexes that are made in it, and wait groups that are
// first added to in it. The bubble's clock stands still while any goroutine of it can go on. When all are
// durably blocked, that is, when nothing but the bubble itself can wake them, the goroutine in wait() goes on;
// if there is none, time jumps to where the next timer is due; if there is none, the bubble is deadlocked.
//
// Durable: send, receive and select on channels of the bubble only; sleep; wait_group::wait of a group of the bubble;
// lock() of a mutex of the bubble; nil channels and selects without cases. Not durable, so that time
// stands still meanwhile: anything of outside, blocking(f), system calls, real input and output.
//
// What belongs to a bubble must not be used from outside: a fatal error, but for len() and cap().
//
// Works inside a test case of any framework. With Catch2, see <vole/catch2.hpp>.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <vole/time.hpp>

namespace vole::inline v0::synctest {

struct options {
    /// For what the bubble leaves to chance: the order of timers that are due at once, the choice of select,
    /// random(). 0: VOLE_SYNCTEST_SEED of the environment, else another one each time. It is printed when
    /// test() throws.
    std::uint64_t seed = 0;
    /// Real time after which the test is given up: every goroutine is written to stderr, and the process ends
    /// with a fatal error. Not positive: never.
    clock::duration real_timeout = std::chrono::minutes(10);
};

namespace detail {
void run_bubble(const options& opts, void (*fn)(void*), void* arg);
void add_cleanup(void (*call)(void*), void* arg);
}  // namespace detail

/// Runs f() in a bubble and waits until every goroutine of it has ended. Gives what leaves f; of the other
/// goroutines, that is a panic as anywhere, and the bubble goes on.
/// From goroutines and ordinary threads, several at once. Throws runtime_error "synctest.Run called from within a
/// synctest bubble"; "deadlock: all goroutines in bubble are blocked", and "deadlock: main bubble goroutine has exited but
/// blocked goroutines remain", after having written them to stderr; they stay parked for ever.
template <class F>
    requires(std::is_invocable_v<F&>)
void test(const options& opts, F&& f) {
    struct callee {
        F& f;
    } c{f};
    detail::run_bubble(
        opts, [](void* p) { static_cast<callee*>(p)->f(); }, &c);
}
template <class F>
    requires(std::is_invocable_v<F&>)
void test(F&& f) { test(options{}, std::forward<F>(f)); }

/// Waits until every other goroutine of the bubble is durably blocked or has ended, and timers that are due have
/// been seen to. Happens-before: what they did -> return.
/// Throws runtime_error "goroutine is not in a bubble", "wait already in progress".
void wait();

/// Whether the caller belongs to a bubble.
[[nodiscard]] bool in_bubble() noexcept;

/// Calls f() in the bubble when its main goroutine has returned, before the others are waited for; the one that was added last is called
/// first. Throws runtime_error "goroutine is not in a bubble".
template <class F>
    requires(std::is_invocable_v<std::decay_t<F>&>)
void on_cleanup(F&& f) {
    using held = std::decay_t<F>;
    auto owned = std::make_unique<held>(std::forward<F>(f));
    detail::add_cleanup(
        [](void* p) {
            const std::unique_ptr<held> mine(static_cast<held*>(p));
            (*mine)();
        },
        owned.get());
    owned.release();
}

/// Of the bubble's random source; the same numbers in the same order for the same seed.
/// Throws runtime_error "goroutine is not in a bubble".
std::uint64_t random();
/// The seed of the caller's bubble. Throws as random().
std::uint64_t seed();

/// While one exists, its bubble counts as active: for work that was handed to the outside and will come back.
/// Made in the bubble (else runtime_error "goroutine is not in a bubble"); may be destroyed anywhere.
class hold {
  public:
    hold();
    ~hold();
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;

  private:
    void* bubble_;
};

}  // namespace vole::synctest
