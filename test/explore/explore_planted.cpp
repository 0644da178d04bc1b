// Every planted bug is found, by each strategy. `--long`: with how many schedules, beside a loop that only runs the program again and
// again on all Ps, as a stress test does.
#include <catch2/catch.hpp>

#include <vole/explore.hpp>

#include "test/explore/planted.hpp"
#include "test/support/scale.hpp"
#include "test/support/stderr_capture.hpp"

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

using namespace vole::test;
namespace synctest = vole::synctest;

namespace {

constexpr std::uint64_t most = 200'000;

synctest::explore_options by(synctest::strategy how, std::uint64_t seed) {
    synctest::explore_options o;
    o.how = how;
    o.schedules = most;
    o.seed = seed;
    o.shorten = false;
    return o;
}

// How many schedules it took; 0: it was not found.
std::uint64_t found_after(const planted_bug& bug, const synctest::explore_options& o) {
    std::uint64_t runs = 0;
    const stderr_capture quiet;
    try {
        synctest::explore(o, [&] {
            ++runs;
            bug.run();
        });
    } catch (const std::exception&) {
        return runs;
    }
    return 0;
}

std::uint64_t found_by_stress(const planted_bug& bug) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    const stderr_capture quiet;
    for (std::uint64_t runs = 1; std::chrono::steady_clock::now() < end; ++runs) {
        try {
            synctest::test(bug.run);
        } catch (const std::exception&) {
            return runs;
        }
    }
    return 0;
}

std::string count_text(std::uint64_t n) { return n == 0 ? "not found" : std::to_string(n); }
std::string stress_text(const planted_bug& bug) {
    return bug.hangs ? "hangs" : count_text(found_by_stress(bug));
}

void find_all(std::span<const planted_bug> bugs) {
    for (const planted_bug& bug : bugs) {
        INFO(bug.name);
        const std::uint64_t walk = found_after(bug, by(synctest::strategy::random_walk, 1));
        const std::uint64_t pct = found_after(bug, by(synctest::strategy::pct, 1));
        const std::uint64_t all = found_after(bug, by(synctest::strategy::exhaustive, 0));
        CHECK(walk != 0);
        CHECK(pct != 0);
        CHECK(all != 0);
        if (!long_run()) continue;
        std::printf("%-40s walk %6s  pct %6s  exhaustive %6s  stress %s\n", bug.name,
                    count_text(walk).c_str(), count_text(pct).c_str(), count_text(all).c_str(),
                    stress_text(bug).c_str());
        std::fflush(stdout);
    }
}

}  // namespace

TEST_CASE("planted bugs with locks are found", "[explore][planted]") {
    find_all(bugs_with_locks());
}
TEST_CASE("planted bugs with channels are found", "[explore][planted]") {
    find_all(bugs_with_channels());
}
TEST_CASE("planted bugs with atomics are found", "[explore][planted]") {
    find_all(bugs_with_atomics());
}
