// Locks and groups for goroutines and ordinary threads alike. A goroutine that waits parks; its P
// goes on. No allocation; waiters lie on the waiting stacks. All types can be namespace-scope
// constants of the program: constexpr construction, trivial destruction, usable before run().
// Neither copyable nor movable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/detail/atomic.hpp>
#include <vole/runtime.hpp>

namespace vole::inline v0 {

/// Go's sync.Mutex: not recursive, no owner (another goroutine or thread may unlock), two modes.
/// Normal: a woken waiter competes with newcomers. Starvation, once a waiter has waited 1 ms: the
/// lock goes from hand to hand in FIFO order. Meets Lockable.
/// May be destroyed as soon as it is unlocked for the last time, by whoever locked it last.
class mutex {
  public:
    constexpr mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    /// Waits until the lock is free. Happens-before: every earlier unlock() -> return.
    void lock() {
        std::uint32_t free = 0;
        // acquire: pairs with unlock's release.
        if (!state_.compare_exchange_strong(free, locked, detail::memory_order_acquire,
                                            detail::memory_order_relaxed)) [[unlikely]] {
            lock_slow();
        }
    }

    /// Never waits; false also in starvation mode. A failure orders nothing.
    bool try_lock() noexcept {
        std::uint32_t seen = state_.load(detail::memory_order_relaxed);
        return (seen & (locked | starving)) == 0 &&
               state_.compare_exchange_strong(seen, seen | locked, detail::memory_order_acquire,
                                              detail::memory_order_relaxed);
    }

    /// Fatal error "sync: unlock of unlocked mutex" if it is not locked.
    void unlock() {
        static_assert(sizeof(state_) == sizeof(unsigned));
        if (detail::release_mode.load(detail::memory_order_relaxed) ==
                detail::release_restartable &&
            vole_clear_if(reinterpret_cast<unsigned*>(&state_), locked) != 0) [[likely]] {
            return;
        }
        unlock_slow();
    }

  private:
    // Bits of state_; the meaning of the upper three is in sync/src/mutex.cpp.
    static constexpr std::uint32_t locked = 1;
    static constexpr std::uint32_t waiters = 2;
    static constexpr std::uint32_t woken = 4;
    static constexpr std::uint32_t starving = 8;

    void lock_slow();
    void unlock_slow();
    void release();

    detail::atomic<std::uint32_t> state_{0};
};

/// Go's sync.WaitGroup: waits for a number of things to be done.
/// May be destroyed as soon as wait() has returned.
class wait_group {
  public:
    constexpr wait_group() noexcept = default;
    wait_group(const wait_group&) = delete;
    wait_group& operator=(const wait_group&) = delete;

    /// Changes the counter; at zero all waiters are released. Throws runtime_error "sync: negative
    /// WaitGroup counter", "sync: WaitGroup counter overflow", and "sync: WaitGroup misuse: Add
    /// called concurrently with Wait" for a rise from zero while somebody waits; then the counter
    /// is unchanged. Happens-before: add -> the wait() it releases.
    void add(int delta);
    void done() { add(-1); }

    /// Waits until the counter is zero. Throws runtime_error "sync: WaitGroup is reused before
    /// previous Wait has returned" when that misuse is noticed.
    void wait();

    /// add(1), then a goroutine that calls f and then done(), also when f ends by goexit or by an
    /// exception (for which the panic handler is called first). Throws what go() throws; then the counter is unchanged.
    template <class F>
        requires(std::is_invocable_v<std::decay_t<F>>)
    [[gnu::always_inline]] void go(F&& f) {
        if (detail::is_nil_callable(f)) detail::throw_nil_func();
        struct task {
            wait_group* group;
            std::optional<std::decay_t<F>> f;
            void operator()() {
                struct at_end {
                    task* t;
                    ~at_end() {
                        t->f.reset();  // what f captured is gone before the waiter may go on
                        t->group->done();
                    }
                } end{this};
                std::move (*f)();
            }
        };
        add(1);
        try {
            vole::go(task{this, std::optional<std::decay_t<F>>(std::in_place, std::forward<F>(f))});
        } catch (...) {
            add(-1);
            throw;
        }
    }

  private:
    // Upper half: the counter, as int32. Lower half: how many wait.
    detail::atomic<std::uint64_t> state_{0};
};

}  // namespace vole
