// The leak check (<vole/testing.hpp>) where stacks are small, linked, moved, and halved while they wait.
#include <catch2/catch.hpp>

#include <vole/testing.hpp>

#include "runtime/src/stack/reclaim.hpp"
#include "test/growth/copying/copying_support.hpp"
#include "test/support/scale.hpp"
#include "test/support/subprocess.hpp"
#include "test/support/wait.hpp"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

using namespace vole::test;
using vole::testing::goroutine_leaks;
using vole::testing::leaked_goroutine;

namespace {

extern "C" {
PLAIN_CODE bool leaks_park_here(const vole::chan<int>* c) {
    const bool more = c->recv().has_value();
    asm volatile("");
    return more;
}
}

std::vector<vole::stack_policy> policies() {
    return {vole::stack_policy::dense(), vole::stack_policy::copying(),
            vole::stack_policy::reserved()};
}

bool is_parked_there(const leaked_goroutine& g) {
#if defined(VOLE_HAVE_LIBUNWIND) && defined(VOLE_HAVE_BACKTRACE)
    if (g.frames().find("leaks_park_here\n") == std::string::npos) return false;
#endif
    return g.state() == "chan receive";
}

}  // namespace

TEST_CASE("leaks: goroutines of every policy, as one of each policy sees them", "[copying]") {
    std::vector<std::string> seen;
    std::vector<std::size_t> parked;
    run_on(1, [&] {
        goroutine_leaks leaks;
        leaks.patience(std::chrono::seconds(0));
        auto c = vole::make_chan<int>();
        for (const auto policy : policies()) {
            vole::go({.stack = policy}, [&c] { leaks_park_here(&c); });
        }
        settle();
        for (const auto policy : policies()) {
            auto done = vole::make_chan<int>();
            vole::go({.stack = policy}, [&] {
                const auto left = leaks.find();
                seen.push_back(to_text(left));
                parked.push_back(static_cast<std::size_t>(
                    std::count_if(left.begin(), left.end(), is_parked_there)));
                done.close();
            });
            done.recv();
        }
        c.close();
        leaks.patience(patience()).find();
    });
    REQUIRE(seen.size() == 3);
    for (std::size_t i = 0; i < seen.size(); ++i) {
        INFO(seen[i]);
        CHECK(parked[i] == 3);
    }
}

// sysmon's work is done by a thread that never rests; old stacks are kept inaccessible.
TEST_CASE("child: leaks while stacks are halved", "[.child]") {
    constexpr int goroutines = 20;
    const std::uint64_t before = vole::read_stats().stack_shrinks;
    const int rounds = scaled(300, 20);
    int wrong = 0;
    run_on(2, [&] {
        goroutine_leaks leaks;
        leaks.patience(std::chrono::seconds(0));
        std::vector<vole::chan<int>> chans;
        for (int i = 0; i < goroutines; ++i) chans.push_back(vole::make_chan<int>());
        std::atomic<int> ready{0};
        for (const vole::chan<int>& c : chans) {
            vole::go({.stack = vole::stack_policy::copying()}, [&ready, c] {
                do {
                    dig(200);
                    ready.fetch_add(1);
                } while (leaks_park_here(&c));
            });
        }
        std::atomic<bool> over{false};
        std::thread halves([&] {
            while (!over.load()) vole::detail::reclaim_parked(true);
        });
        for (int r = 1; r <= rounds; ++r) {
            wait_until([&] { return ready.load() == r * goroutines; });
            for (int look = 0; look < 5; ++look) {
                for (const leaked_goroutine& g : leaks.find()) {
                    // Others are on their way.
                    if (g.state() == "chan receive" && !is_parked_there(g)) ++wrong;
                }
            }
            if (r < rounds) {
                for (const vole::chan<int>& c : chans) c.send(r);
            }
        }
        over.store(true);
        halves.join();
        for (const vole::chan<int>& c : chans) c.close();
        leaks.patience(patience()).find();
    });
    CHECK(wrong == 0);
    CHECK(vole::read_stats().stack_shrinks > before);
}

TEST_CASE("leaks: looks while stacks are halved", "[copying]") {
    const auto r = run_case_in_subprocess("child: leaks while stacks are halved",
                                          {.env = {"VOLE_DEBUG=stackverify=1"}});
    INFO(r.text());
    CHECK(r.succeeded());
}
