// A program whose calls fail: what its steps are made of. See README.md.
#pragma once

#include <exception>
#include <functional>
#include <mutex>

#include <vole/vole.hpp>

namespace vole::faults {

/// Does f. What it throws is printed, and f is done again: one failure may spoil one try, not more.
void step(const char* name, const std::function<void()>& f);

/// Throws std::logic_error: what is said here has nothing to do with a failed call.
void must(bool holds, const char* what);

/// Goroutines that a step starts. The first exception of theirs comes out of wait().
class team {
  public:
    template <class F>
    void go(F f) {
        all_.go([this, f = std::move(f)] {
            try {
                f();
            } catch (...) {
                const std::lock_guard held(mu_);
                if (first_ == nullptr) first_ = std::current_exception();
            }
        });
    }
    void wait() {
        all_.wait();
        if (first_ != nullptr) std::rethrow_exception(std::exchange(first_, nullptr));
    }
    team() = default;
    team(const team&) = delete;
    team& operator=(const team&) = delete;
    ~team() { all_.wait(); }

  private:
    wait_group all_;
    mutex mu_;
    std::exception_ptr first_;
};

// The programs, each a list of steps: a file each.
void runtime_steps();
void sync_steps();
void time_steps();
void net_steps();

}  // namespace vole::faults
