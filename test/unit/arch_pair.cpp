// The conformance test of a port, continued: what arch/include/vole/arch/pair.hpp promises, in each way that this
// processor has.
#include <catch2/catch.hpp>

#include <vole/arch/pair.hpp>
#include <vole/arch/port.hpp>

#include "test/support/scale.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace arch = vole::arch;
using vole::test::scaled;

namespace {

struct alignas(16) words {
    std::uint64_t at[2];
};

/// Calls f in each way that the port can choose between.
template <class F>
void in_each_way(F f) {
#if defined(__aarch64__)
    vole_has_casp = 0;
    f();
#elif defined(__x86_64__)
    vole_loads_pairs = 0;
    f();
#endif
    arch::this_port::prepare();
    f();
}

}  // namespace

TEST_CASE("arch: a pair is exchanged if both halves are as expected", "[unit][arch]") {
    in_each_way([] {
        // Values that differ in one half, in one bit at either end.
        constexpr std::uint64_t top = std::uint64_t{1} << 63;
        const std::array<std::array<std::uint64_t, 2>, 6> others{
            {{1, 2}, {0, 2}, {1, 3}, {1 | top, 2}, {1, 2 | top}, {2, 1}}};
        for (const auto& other : others) {
            words w{{1, 2}};
            std::uint64_t expected[2] = {other[0], other[1]};
            const int done = vole_exchange_pair(w.at, expected, 70, 71 | top);
            const bool same = other == others[0];
            CHECK(done == (same ? 1 : 0));
            CHECK(w.at[0] == (same ? 70 : 1));
            CHECK(w.at[1] == (same ? 71 | top : 2));
            CHECK(expected[0] == 1);  // what was there, or what was expected: the same
            CHECK(expected[1] == 2);
        }
    });
}

TEST_CASE("arch: a pair is loaded as it is", "[unit][arch]") {
    in_each_way([] {
        for (const std::uint64_t first : {0u, 1u}) {
            for (const std::uint64_t second : {0u, 2u}) {
                words w{{first, second}};
                std::uint64_t seen[4] = {11, 12, 13, 14};
                vole_load_pair(w.at, seen + 1);
                CHECK((seen[1] == first && seen[2] == second));
                CHECK((seen[0] == 11 && seen[3] == 14));
                CHECK((w.at[0] == first && w.at[1] == second));
            }
        }
    });
}

TEST_CASE("arch: nothing but the pair is written", "[unit][arch]") {
    in_each_way([] {
        struct alignas(16) {
            std::uint64_t before[2] = {11, 12};
            words w{{1, 2}};
            std::uint64_t after[2] = {13, 14};
        } m;
        std::uint64_t expected[4] = {21, 1, 2, 22};
        CHECK(vole_exchange_pair(m.w.at, expected + 1, 3, 4) == 1);
        CHECK(vole_exchange_pair(m.w.at, expected + 1, 5, 6) == 0);
        CHECK((m.before[0] == 11 && m.before[1] == 12 && m.after[0] == 13 && m.after[1] == 14));
        CHECK((expected[0] == 21 && expected[1] == 3 && expected[2] == 4 && expected[3] == 22));
    });
}

TEST_CASE("arch: neither a load nor a failed exchange of pairs is torn", "[unit][arch]") {
    in_each_way([] {
        constexpr int threads = 3;
        const auto each = static_cast<std::uint64_t>(scaled(100'000));
        words w{{0, 0}};
        std::atomic<int> torn{0};
        std::vector<std::thread> all;
        for (int t = 0; t < threads; ++t) {
            all.emplace_back([&] {
                std::uint64_t seen[2] = {0, 0};
                for (std::uint64_t i = 0; i < each;) {
                    if (i % 4 == 0) {
                        vole_load_pair(w.at, seen);
                        if (seen[0] + seen[1] != 0) ++torn;
                    }
                    if (vole_exchange_pair(w.at, seen, seen[0] + 1, seen[1] - 1) != 0) {
                        ++i;
                    } else if (seen[0] + seen[1] != 0) {
                        ++torn;
                    }
                }
            });
        }
        for (auto& t : all) t.join();
        CHECK(torn == 0);
        CHECK(w.at[0] == threads * each);
        CHECK(w.at[0] + w.at[1] == 0);
    });
}
