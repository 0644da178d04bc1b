// Contexts and semaphores over the model of memory: units.hpp.
#include <vole/detail/context_base.hpp>
#include <vole/semaphore.hpp>

#include "sync/internal/sema.hpp"
#include "test/explore/weak/blocking.hpp"
#include "test/explore/weak/units.hpp"

#include <vector>

namespace vole::inline v0 {

void gosched() { weak_memory::yield(); }
const std::error_category& context_category() noexcept { return std::generic_category(); }

namespace detail {

constinit context_node background_context{{}, nullptr, nullptr, nullptr, nullptr};
void throw_nil_func() { throw std::invalid_argument("nil"); }

}  // namespace detail

}  // namespace vole

namespace weak_memory {

namespace {

class context_of final : public context_unit {
  public:
    context_of(std::pair<vole::context, vole::cancel_func> made)
        : context(std::move(made.first)), cancel_(std::move(made.second)) {}
    std::unique_ptr<context_unit> child() override {
        return std::make_unique<context_of>(vole::with_cancel(context));
    }
    void cancel() override { cancel_(); }
    bool over() override { return static_cast<bool>(context.err()); }
    void wait() override { context.done().recv(); }
    bool closed() override { return context.done().try_recv().is_closed(); }
    void after(const std::function<void()>& f) override { stop_ = vole::after_func(context, f); }
    bool stop() override { return stop_(); }

    vole::context context;

  private:
    vole::cancel_func cancel_;
    vole::stop_func stop_;
};

class semaphore_of final : public semaphore_unit {
  public:
    explicit semaphore_of(int size) : s_(size) {}
    void acquire(int n) override { s_.acquire(n); }
    bool acquire(context_unit& until, int n) override {
        std::error_code error;
        s_.acquire(static_cast<context_of&>(until).context, n, error);
        return !error;
    }
    bool try_acquire(int n) override { return s_.try_acquire(n); }
    void release(int n) override { s_.release(n); }

  private:
    vole::weighted_semaphore s_;
};

class sema_of final : public lock_unit {
  public:
    void lock() override {
        vole::detail::sema_acquire(&free_, vole::detail::wait_reason::semaphore);
    }
    bool try_lock() override { fail("there is no such thing"); }
    void unlock() override { vole::detail::sema_release(&free_); }

  private:
    std::uint32_t free_ = 1;
};

}  // namespace

std::unique_ptr<context_unit> make_context() {
    return std::make_unique<context_of>(vole::with_cancel(vole::context::background()));
}
std::unique_ptr<semaphore_unit> make_semaphore(int size) {
    return std::make_unique<semaphore_of>(size);
}
std::unique_ptr<lock_unit> make_sema() { return std::make_unique<sema_of>(); }

}  // namespace weak_memory
