// A group of things to be done, and who waits for them. What all headers of <vole/sync.hpp> have in common is said there.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/detail/atomic.hpp>
#include <vole/runtime.hpp>

namespace vole::inline v0 {

namespace detail {
struct addr_waiter;
}

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
    /// is unchanged. While the counter is not zero, the group belongs to the bubble it was raised in, or to
    /// the outside; from elsewhere, a fatal error. Happens-before: add -> the wait() it releases.
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
    void wait_direct(std::uint64_t seen);
    bool wait_queued();
    detail::G* take_direct() noexcept;
    detail::addr_waiter* take_queued() noexcept;
    void release_all(std::uint32_t waiters) noexcept;

    detail::atomic<std::uint64_t> state_{0};  // the counter, and who waits: wait_group.cpp
    detail::atomic<detail::G*> direct_{nullptr};
};

}  // namespace vole
