// The world is stopped and started again while goroutines loop, talk, begin and end.
#include <catch2/catch.hpp>

#include "test/preempt/preempt_support.hpp"

namespace vole::test {

TEST_CASE("PRE-40 the number of Ps changes while goroutines loop") {
    run_on(2, [] {
        std::atomic<bool> stop{false};
        wait_group all;
        for (int i = 0; i < 3; ++i) {
            all.go([&] {
                while (!stop.load(std::memory_order_relaxed)) {
                }
            });
        }
        auto c = make_chan<int>();
        all.go([&] {
            for (int i = 0; !stop; ++i) c.send(i);
            c.close();
        });
        all.go([&] {
            int expected = 0;
            for (const int x : c) {
                if (x != expected++) std::abort();
            }
        });
        all.go([&] {
            while (!stop) {
                wait_group few;
                for (int i = 0; i < 10; ++i) few.go([] {});
                few.wait();
            }
        });
        for (int i = 0; i < scaled(60); ++i) gomaxprocs(1 + i % 4);
        CHECK(gomaxprocs() >= 1);
        stop = true;
        all.wait();
    });
}

TEST_CASE("PRE-54 stops of the world under a storm") {
    run_on(2, [] {
        const storm around(storm::kind::dense);
        std::atomic<bool> stop{false};
        wait_group all;
        for (int i = 0; i < 4; ++i) {
            all.go([&] {
                while (!stop.load(std::memory_order_relaxed)) {
                }
            });
        }
        for (int i = 0; i < scaled(60); ++i) gomaxprocs(1 + i % 3);
        stop = true;
        all.wait();
    });
}

}  // namespace vole::test
