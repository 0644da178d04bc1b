// Takes the place of the system's resolver: counts what is asked, holds it up until it is let go, and answers as told.
// One at a time. All of it from any goroutine or thread.
//
// It runs inside blocking(), on the thread's own stack, so it waits by means of the standard library.
#pragma once

#include <vole/net/resolve.hpp>

#include "net/src/resolve.hpp"
#include "test/support/findings.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace vole::test {

inline net::endpoint v4(std::uint8_t last, std::uint16_t port = 0) {
    return net::endpoint::ipv4({192, 0, 2, last}, port);
}
inline net::endpoint v6(std::uint8_t last, std::uint16_t port = 0) {
    return net::endpoint::ipv6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}, port);
}

/// For people.
inline std::string text_of(const std::vector<net::endpoint>& all) {
    std::string text;
    for (const auto& one : all) text += (text.empty() ? "" : " ") + one.to_string();
    return text;
}

class fake_resolver {
  public:
    using answer = vole::detail::host_answer;
    using answerer = std::function<answer(const std::string& host, int family)>;

    explicit fake_resolver(answerer says =
                               [](const std::string&, int) {
                                   return answer{{v4(1)}, {}};
                               })
        : says_(std::move(says)) {
        current = this;
        // release: what looks up sees this object complete.
        before_ = vole::detail::host_lookup.exchange(ask, std::memory_order_acq_rel);
    }
    /// Waits until nothing is looked up any more.
    ~fake_resolver() {
        let_go();
        wait_until([] { return vole::detail::lookups_alive() == 0; }, "look-ups to end");
        vole::detail::host_lookup.store(before_, std::memory_order_release);
        current = nullptr;
    }
    fake_resolver(const fake_resolver&) = delete;
    fake_resolver& operator=(const fake_resolver&) = delete;

    /// From now on it holds up what is asked.
    void hold() {
        const std::lock_guard lock(mu_);
        held_ = true;
    }
    void let_go() {
        const std::lock_guard lock(mu_);
        held_ = false;
        changed_.notify_all();
    }

    int calls() const { return calls_; }
    /// That are held up now, and the most there ever were.
    int inside() const { return inside_; }
    int most_inside() const { return most_; }

  private:
    static answer ask(const char* host, int family) { return current->look_up(host, family); }

    answer look_up(const std::string& host, int family) {
        ++calls_;
        {
            std::unique_lock lock(mu_);
            most_ = std::max(most_.load(), ++inside_);
            changed_.wait(lock, [&] { return !held_; });
            --inside_;
        }
        return says_(host, family);
    }

    static inline fake_resolver* current = nullptr;

    answerer says_;
    answer (*before_)(const char*, int) = nullptr;
    std::mutex mu_;
    std::condition_variable changed_;
    bool held_ = false;
    std::atomic<int> calls_{0};
    std::atomic<int> inside_{0};
    std::atomic<int> most_{0};
};

/// Waits until so many callers wait for a name.
inline bool await_callers(std::size_t n, std::string_view host, int family = AF_UNSPEC) {
    return wait_until([&] { return vole::detail::lookup_callers(host, family) == n; },
                      "callers to wait for a look-up");
}

}  // namespace vole::test
