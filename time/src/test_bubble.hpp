// One bubble from its first goroutine to its last (synctest.cpp), for test() and explore().
//
// Locks: mu, of `waiter` and `cleanups`, alone. Stack: goroutine.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include <vole/time.hpp>

#include "runtime/internal/lock.hpp"
#include "time/src/heaps.hpp"

namespace vole::inline v0::detail {

struct test_bubble : timed_bubble {
    struct cleanup {
        void (*call)(void*);
        void* arg;
    };

    test_bubble(std::uint64_t seed, void (*fn)(void*), void* arg) noexcept;

    std::uint64_t seed;
    void (*fn)(void*);
    void* arg;
    std::exception_ptr error;  // what left the main goroutine first
    atomic<bool> main_gone{false};

    lock mu{lock_rank::chan};
    G* waiter VOLE_GUARDED_BY(mu) = nullptr;
    std::vector<cleanup> cleanups VOLE_GUARDED_BY(mu);
};

enum class bubble_outcome : std::uint8_t { ended, deadlock, left_over };

/// Runs b->fn in b; the caller is the driver. Unless it `ended`, goroutines are parked on b for ever. Throws
/// std::bad_alloc when it could not begin; what leaves fn is in b->error.
/// Goroutine, in no bubble.
bubble_outcome run_test_bubble(test_bubble* b);
const char* to_text(bubble_outcome o) noexcept;

/// `asked`, or what the environment says, or one by chance. Never 0.
std::uint64_t choose_seed(std::uint64_t asked);

/// Calls f() on a goroutine that is in no bubble: the caller, or for a thread one of its own. Gives what it throws.
void call_outside_of_bubbles(void (*f)(void*), void* arg);

/// The process ends with a fatal error if this lives for longer, in real time. Not positive: for ever.
class watchdog {
  public:
    explicit watchdog(clock::duration patience);
    ~watchdog() {
        if (timer_) timer_->stop();
    }
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;

  private:
    std::optional<timer> timer_;
};

}  // namespace vole::detail
