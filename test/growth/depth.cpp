// Deep recursion, alone, on threads that change, a thousand at once; and what it costs in memory. Cites
// STK-60, STK-70, STK-74, STK-75.
#include <catch2/catch.hpp>

#include "test/growth/growth_support.hpp"
#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <string>
#include <vector>

using namespace vole::test;

namespace {

KEEP_CALL long with_locals(long n) {
    std::string text = "abc";
    std::vector<long> numbers{n, 1};
    text += static_cast<char>('0' + n % 8);
    if (n == 0) return 0;
    const long below_us = with_locals(n - 1);
    return below_us + static_cast<long>(text.size()) + numbers[1] - (numbers[0] - n);
}

KEEP_CALL long with_yields(long n, vole::chan<long>& c) {
    char pad[64];
    use(pad);
    if (n % 64 == 0) vole::gosched();
    if (n % 256 == 0) c.send(n);
    if (n == 0) return 0;
    const long r = with_yields(n - 1, c) + 1;
    use(pad);
    return r;
}

KEEP_CALL long plain(long n) {
    long words[6] = {n, n, n, n, n, n};
    use(words);
    if (n == 0) return 0;
    return plain(n - 1) + words[2] - n + 1;
}

KEEP_CALL long edge(long x) {
    char block[200];
    use(block);
    return x + 1;
}

KEEP_CALL long over_the_edge(long n) {
    char block[96];
    use(block);
    long sum = 0;
    for (long i = 0; i < n; ++i) sum = edge(sum);
    use(block);
    return sum;
}

}  // namespace

#if defined(VOLE_TSAN)
constexpr long many = 20'000;  // TSan itself keeps 65,536 frames and no more
#else
constexpr long many = 100'000;
#endif

TEST_CASE("STK-74 100,000 levels with strings and vectors, three policies", "[growth]") {
    for (const auto policy : policies(256 * 1024)) {
        long first = 0;
        long second = 0;
        on_stack(policy, [&] {
            first = with_locals(many);
            second = with_locals(many);
        });
        CHECK(first == 5 * many);
        CHECK(second == 5 * many);
    }
}

#if !defined(VOLE_SANITIZED)
TEST_CASE("STK-74 1,000,000 levels with strings and vectors", "[growth]") {
    for (const auto policy : {smallest(), vole::stack_policy::reserved()}) {
        long sum = 0;
        on_stack(policy, [&] { sum = with_locals(1'000'000); });
        CHECK(sum == 5'000'000);
    }
}
#endif

TEST_CASE("STK-70 recursion on threads that change underneath", "[growth]") {
    const long levels = scaled(4096L) / 256 * 256;
    long sum = 0;
    vole::run([&] {
        const int before = vole::gomaxprocs(4);
        vole::wait_group all;
        std::atomic<long> total{0};
        for (int i = 0; i < 16; ++i) {
            auto c = vole::make_chan<long>();
            all.add(2);
            const auto some = policies(36 * 1024);
            const auto policy = some[static_cast<std::size_t>(i) % some.size()];
            vole::go({.stack = policy}, [&, c, levels]() mutable {
                total += with_yields(levels, c);
                c.close();
                all.done();
            });
            vole::go([&, c]() mutable {
                for (const long v : c) total += v - v;
                all.done();
            });
        }
        all.wait();
        sum = total;
        vole::gomaxprocs(before);
    });
    CHECK(sum == 16 * levels);
}

TEST_CASE("STK-70 a thousand goroutines grow at once; nothing is left in the end", "[growth]") {
    std::atomic<long> sum{0};
    std::uint64_t before = 0;
    std::uint64_t after = 0;
    vole::run([&] {
        const auto round = [&] {
            vole::wait_group all;
            for (int i = 0; i < 1000; ++i) {
                all.go([&] {
                    vole::wait_group one;
                    one.add(1);
                    vole::go({.stack = smallest()}, [&] {
                        sum += plain(2'000);
                        one.done();
                    });
                    one.wait();
                });
            }
            all.wait();
        };
        round();
        before = vole::read_stats().stack_bytes_reserved;
        for (int i = 0; i < 4; ++i) round();
        after = vole::read_stats().stack_bytes_reserved;
    });
    CHECK(sum == 5L * 1000 * 2'000);
    // Memory of the first round serves the others; a batch here or there depends on who ran where.
    CHECK(after <= before + (64U << 20));
}

TEST_CASE("STK-60 a call over the end of a segment, a million times, allocates nothing",
          "[growth]") {
    for (const auto policy : {smallest(), vole::stack_policy::reserved(36 * 1024)}) {
        std::uint64_t growths = 0;
        std::uint64_t bytes = 0;
        vole::run([&] {
            for (std::size_t depth = 0; depth < 4400; depth += 48) {
                auto done = vole::make_chan<int>();
                vole::go({.stack = policy}, [&] {
                    auto op = [&] {
                        over_the_edge(2);
                        const auto start = vole::read_stats();
                        over_the_edge(20'000);
                        const auto end = vole::read_stats();
                        growths += end.stack_growths - start.stack_growths;
                        // Less, when sysmon has meanwhile given something back.
                        if (end.stack_bytes_reserved > start.stack_bytes_reserved) {
                            bytes += end.stack_bytes_reserved - start.stack_bytes_reserved;
                        }
                    };
                    dig(depth, op);
                    done.close();
                });
                done.recv();
            }
        });
        // A thread may have to fetch its first segments to lend.
        CHECK(growths <= 40);
        CHECK(bytes <= 16U << 20);
    }
}

TEST_CASE("STK-75 in_use and size follow growth, and come back", "[growth]") {
    for (const auto policy : {smallest(), vole::stack_policy::reserved()}) {
        std::size_t at_start = 0;
        std::size_t size_at_start = 0;
        std::size_t deepest = 0;
        std::size_t deepest_size = 0;
        std::size_t at_end = 0;
        on_stack(policy, [&] {
            at_start = vole::stack::in_use();
            size_at_start = vole::stack::size();
            auto look = [&] {
                deepest = vole::stack::in_use();
                deepest_size = vole::stack::size();
            };
            dig(512 * 1024, look);
            at_end = vole::stack::in_use();
        });
        CHECK(at_start < 2048);
        CHECK(deepest > 512 * 1024 * 3 / 4);
        CHECK(deepest_size >= deepest);
        CHECK(size_at_start < deepest_size);
        CHECK(at_end == at_start);
    }
    CHECK(vole::stack::in_use() == 0);
    CHECK(vole::stack::size() == 0);
    CHECK(vole::read_stats().stack_largest >= 512 * 1024);
}
