// Task groups: errors, and who hears of them. All waiting is in the header, on the caller's own stack.
//
// Stack: goroutine, or an ordinary thread's.
#include <vole/task_group.hpp>

#include <mutex>
#include <tuple>

#include <vole/panic.hpp>

namespace vole::inline v0 {

namespace {

std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

}  // namespace

// NOLINTNEXTLINE(bugprone-throw-keyword-missing): what is made here are members.
task_errors::task_errors(std::vector<std::exception_ptr> all) : all_(std::move(all)) {
    text_ = std::to_string(all_.size()) + (all_.size() == 1 ? " task failed" : " tasks failed");
    const char* before = ": ";
    for (const std::exception_ptr& error : all_) {
        text_ += before + text_of(error);
        before = "; ";
    }
}

task_group::task_group(const vole::context& parent, policy p) : policy_(p) {
    errors_.reserve(1);  // the first error is never lost
    std::tie(ctx_, cancel_) = with_cancel_cause(parent);
}

void task_group::run(void (*fn)(void*), void* arg) {
    try {
        fn(arg);
    } catch (...) {
        std::exception_ptr error = std::current_exception();
        if (error == nullptr) throw;  // goexit: no exception of C++
        failed(error);
    }
}

// Kept first and told second: a task that fails because the context ended may not be taken for the first,
// and the cause of the context is the error that wait() throws. Without memory for one more error, the
// earlier ones must do.
void task_group::failed(const std::exception_ptr& error) noexcept {
    {
        const std::lock_guard held(mu_);
        if (policy_ == first_error && !errors_.empty()) return;
        try {
            errors_.push_back(error);
        } catch (const std::bad_alloc&) {
        }
    }
    if (policy_ == first_error) cancel_(error);
}

void task_group::throw_errors() {
    std::vector<std::exception_ptr> errors;
    {
        const std::lock_guard held(mu_);
        errors = errors_;
    }
    if (errors.empty()) return;
    if (policy_ == first_error) std::rethrow_exception(errors.front());
    throw task_errors(std::move(errors));
}

void task_group::set_limit(std::ptrdiff_t n) {
    if (const auto active = active_.load(detail::memory_order_acquire); active != 0) {
        throw runtime_error("errgroup: modify limit while " + std::to_string(active) +
                            " goroutines in the group are still active");
    }
    if (n < 0) {
        slots_.reset();
    } else {
        slots_ = make_chan<void>(static_cast<std::size_t>(n));
    }
}

}  // namespace vole
