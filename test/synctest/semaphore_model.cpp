// weighted_semaphore against a model of it that needs no goroutines: whatever happens one after the other, the same
// ones have got their tokens. Cites SYNC-84 to SYNC-88. Needs rapidcheck, which makes failures small.
//
// In a bubble, wait() is the moment when everything has happened that can.
#include <rapidcheck.h>

#include <vole/semaphore.hpp>

#include "test/synctest/synctest_support.hpp"

#include <deque>
#include <tuple>

namespace vole::test {

namespace {

constexpr std::int64_t size = 6;

enum class outcome : std::uint8_t { waits, got, refused };

/// kind, weight, which of those so far
using command = std::tuple<unsigned, unsigned, unsigned>;

class model {
  public:
    std::vector<outcome> all;
    std::int64_t held = 0;

    void acquire(std::int64_t n) {
        all.push_back(outcome::waits);
        if (n > size) return;  // until it is cancelled
        queue_.push_back({all.size() - 1, n});
        serve();
    }
    bool try_acquire(std::int64_t n) {
        if (!queue_.empty() || held + n > size) return false;
        held += n;
        return true;
    }
    void cancel(std::size_t who) {
        if (all[who] != outcome::waits) return;
        all[who] = outcome::refused;
        std::erase_if(queue_, [who](const auto& w) { return w.first == who; });
        serve();
    }
    bool release(std::int64_t n) {
        if (n > held) return false;
        held -= n;
        serve();
        return true;
    }

  private:
    void serve() {
        while (!queue_.empty() && held + queue_.front().second <= size) {
            held += queue_.front().second;
            all[queue_.front().first] = outcome::got;
            queue_.pop_front();
        }
    }

    std::deque<std::pair<std::size_t, std::int64_t>> queue_;
};

/// Runs the commands on both; the first that makes a difference, or -1.
int first_difference(const std::vector<command>& commands) {
    int difference = -1;
    bubble(1, [&] {
        weighted_semaphore real(size);
        model wanted;
        std::deque<outcome> got;
        std::vector<cancel_func> cancels;
        for (std::size_t i = 0; i < commands.size() && difference < 0; ++i) {
            const auto [kind, weight, which] = commands[i];
            const auto n = static_cast<std::int64_t>(weight);
            bool same = true;
            switch (kind) {
                case 0: {
                    auto [ctx, cancel] = with_cancel(context::background());
                    cancels.push_back(cancel);
                    got.push_back(outcome::waits);
                    go([&real, n, ctx = ctx, &mine = got.back()] {
                        std::error_code e;
                        real.acquire(ctx, n, e);
                        mine = e ? outcome::refused : outcome::got;
                    });
                    wanted.acquire(n);
                    break;
                }
                case 1: same = real.try_acquire(n) == wanted.try_acquire(n); break;
                case 2:
                    if (cancels.empty()) break;
                    cancels[which % cancels.size()]();
                    wanted.cancel(which % cancels.size());
                    break;
                default: {
                    const bool legal = error_of([&] { real.release(n); }) == "no error";
                    same = legal == wanted.release(n);
                }
            }
            synctest::wait();
            same = same && std::equal(got.begin(), got.end(), wanted.all.begin(), wanted.all.end());
            if (!same) difference = static_cast<int>(i);
        }
        for (const cancel_func& cancel : cancels) cancel();
        synctest::wait();
    });
    return difference;
}

}  // namespace

TEST_CASE("SYNC-85 a semaphore does what its model does", "[synctest][semaphore]") {
    const bool same = rc::check("semaphore and model", [] {
        const auto commands = *rc::gen::container<std::vector<command>>(rc::gen::tuple(
            rc::gen::inRange(0U, 4U), rc::gen::inRange(0U, 8U), rc::gen::inRange(0U, 16U)));
        RC_ASSERT(first_difference(commands) == -1);
    });
    CHECK(same);
}

}  // namespace vole::test
