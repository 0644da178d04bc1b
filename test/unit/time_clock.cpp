// The clock: steady, on every thread, and fine enough to tell two readings apart.
// Cites TIME-33 and TIME-34.
#include <catch2/catch.hpp>

#include <vole/time.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

TEST_CASE("TIME-33 clock is a steady std::chrono clock in nanoseconds", "[time]") {
    STATIC_REQUIRE(std::chrono::is_clock_v<vole::clock>);
    STATIC_REQUIRE(vole::clock::is_steady);
    STATIC_REQUIRE(std::is_same_v<vole::clock::duration, std::chrono::nanoseconds>);
    // It moves on, and not slower than the C++ library's own.
    const auto ours = vole::clock::now();
    const auto theirs = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - theirs < 2ms) {
    }
    CHECK(vole::clock::now() - ours >= 2ms);
}

TEST_CASE("TIME-34 clock does not run backwards across threads", "[time]") {
    std::atomic<vole::clock::rep> latest{0};
    std::atomic<int> backwards{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 20'000; ++i) {
                // What anybody has published was read before this reading began.
                const auto before = latest.load(std::memory_order_seq_cst);
                const auto now = vole::clock::now().time_since_epoch().count();
                if (now < before) backwards.fetch_add(1, std::memory_order_relaxed);
                auto seen = before;
                while (seen < now && !latest.compare_exchange_weak(seen, now)) {
                }
            }
        });
    }
    threads.clear();
    CHECK(backwards == 0);
}
