// A back end of the poller that does as a test tells it: which calls fail, and which events come when.
//
// A process has one, set before anything can have been opened: `use_fake` in a program of its own.
//
// Locks: `mu`, held by functions that are inside the runtime, so that no signal stops them; nothing is called under it.
// Stack: as back_end.hpp says.
#pragma once

#include "net/src/back_end.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/futex.hpp"
#include "test/net/poll_support.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

namespace vole::test {

class fake_back_end {
  public:
    // ---- for tests ------------------------------------------------------------------------------

    /// The next calls fail like that; 0: they do not.
    std::atomic<int> open_error{0};
    std::atomic<int> add_error{0};

    std::atomic<int> opens{0}, adds{0}, removes{0}, wakes{0}, looks{0}, waits{0};
    std::atomic<int> waiting{0}, looking{0};  // threads inside, now
    std::atomic<int> most_waiting{0}, most_looking{0};
    std::atomic<std::int64_t> last_limit{0};  // of who waits, or waited last

    /// The token that fd was registered with; 0: it is not.
    std::uint64_t token(int fd) {
        const inner::runtime_pin pin;
        const std::lock_guard held(mu_);
        const auto at = tokens_.find(fd);
        return at != tokens_.end() ? at->second : 0;
    }
    std::uint64_t last_added() {
        const inner::runtime_pin pin;
        const std::lock_guard held(mu_);
        return last_added_;
    }
    std::size_t registered() {
        const inner::runtime_pin pin;
        const std::lock_guard held(mu_);
        return tokens_.size();
    }

    /// Whoever polls next gets them, in this order.
    void post(const std::vector<inner::io_event>& events) {
        {
            const inner::runtime_pin pin;
            const std::lock_guard held(mu_);
            events_.insert(events_.end(), events.begin(), events.end());
        }
        changed_.wake();
    }
    /// Who waits returns without an event.
    void return_early() {
        early_ = true;
        changed_.wake();
    }
    bool all_taken() {
        const inner::runtime_pin pin;
        const std::lock_guard held(mu_);
        return events_.empty();
    }

    // ---- what the poller calls ------------------------------------------------------------------

    int open() noexcept {
        ++opens;
        return open_error;
    }
    int add(int fd, std::uint64_t token) noexcept {
        ++adds;
        const inner::runtime_pin pin;
        const std::lock_guard held(mu_);
        last_added_ = token;
        if (add_error != 0) return add_error;
        tokens_[fd] = token;
        return 0;
    }
    void remove(int fd) noexcept {
        ++removes;
        const inner::runtime_pin pin;
        const std::lock_guard held(mu_);
        tokens_.erase(fd);
    }
    void wake() noexcept {
        ++wakes;
        woken_ = true;
        changed_.wake();
    }
    int wait(std::int64_t ns, inner::io_event* out, int most) noexcept {
        if (ns == 0) {
            const inside in(looking, most_looking);
            ++looks;
            return take(out, most);
        }
        last_limit = ns;
        const inside in(waiting, most_waiting);
        ++waits;
        const std::int64_t until = ns < 0 ? INT64_MAX : inner::nanotime() + ns;
        for (;;) {
            changed_.clear();
            if (const int n = take(out, most); n != 0) return n;
            if (woken_.exchange(false) || early_.exchange(false)) return 0;
            const std::int64_t now = inner::nanotime();
            if (now >= until) return 0;
            if (until == INT64_MAX) {
                changed_.sleep();
            } else {
                changed_.sleep_for(until - now);
            }
        }
    }

  private:
    struct inside {
        inside(std::atomic<int>& n, std::atomic<int>& most) : n_(n) {
            const int now = ++n_;
            int seen = most;
            while (seen < now && !most.compare_exchange_weak(seen, now)) {
            }
        }
        ~inside() { --n_; }
        std::atomic<int>& n_;
    };

    int take(inner::io_event* out, int most) noexcept {
        const std::lock_guard held(mu_);
        const auto n = std::min(static_cast<std::size_t>(most), events_.size());
        std::copy_n(events_.begin(), n, out);
        events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(n));
        return static_cast<int>(n);
    }

    std::mutex mu_;
    std::deque<inner::io_event> events_;
    std::map<int, std::uint64_t> tokens_;
    std::uint64_t last_added_ = 0;
    std::atomic<bool> woken_{false};
    std::atomic<bool> early_{false};
    inner::note changed_;  // of the one who waits
};

// Never destroyed: when main returns, threads of the runtime may still be inside.
inline fake_back_end& fake = *new fake_back_end;

inline constexpr inner::poll_back_end the_fake{
    []() noexcept { return fake.open(); },
    [](int fd, std::uint64_t token) noexcept { return fake.add(fd, token); },
    [](int fd) noexcept { fake.remove(fd); },
    [](std::int64_t ns, inner::io_event* out, int most) noexcept {
        return fake.wait(ns, out, most);
    },
    []() noexcept { fake.wake(); }};

}  // namespace vole::test
