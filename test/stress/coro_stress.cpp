// Coroutines under load: made, left, ended by every means, passed from goroutine to goroutine, their bodies parking
// meanwhile. Cites CORO-3, CORO-5, CORO-8, CORO-10, CORO-18.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/iter.hpp>
#include <vole/runtime.hpp>
#include <vole/sync.hpp>

#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <memory>
#include <stdexcept>

using namespace vole::test;
namespace iter = vole::iter;

namespace {

std::atomic<long> alive{0};

struct counted {
    counted() { ++alive; }
    counted(const counted&) { ++alive; }
    ~counted() { --alive; }
};

// Ends after `values`: by itself, or by an exception.
auto sequence(const vole::chan<int>& c, int values, bool throws) {
    return [c, values, throws, mark = counted()](iter::yielder<int> yield) {
        const counted inside;
        for (int i = 0; i < values; ++i) {
            if (i % 5 == 3) (void)c.recv();
            if (i % 7 == 2) vole::gosched();
            if (!yield(i)) return;
        }
        if (throws) throw std::runtime_error("end");
    };
}

bool pull_through(iter::puller<int>& p, int values) {
    try {
        for (int i = 0; i < values; ++i) {
            if (p.next() != i) return false;
        }
        return !p.next();
    } catch (const std::runtime_error&) {
        return !p.next();
    }
}

}  // namespace

TEST_CASE("stress CORO-5: made, left and ended by every means", "[stress][coro]") {
    for (const int procs : {1, 2, 4}) {
        std::atomic<int> wrong{0};
        const auto before = vole::read_stats().coroutines;
        run_on(procs, [&] {
            auto c = vole::make_chan<int>(8);
            vole::wait_group feeder;
            feeder.go([&] {
                try {
                    for (;;) c.send(1);
                } catch (const std::exception&) {  // it has been closed
                }
            });
            vole::wait_group all;
            for (int g = 0; g < 8; ++g) {
                all.go([&, g] {
                    for (int k = 0; k < scaled(2000); ++k) {
                        const int values = (g + k) % 12;
                        auto p = iter::pull(sequence(c, values, k % 3 == 0));
                        switch (k % 4) {
                            case 0:
                            case 1:
                                if (!pull_through(p, values)) ++wrong;
                                break;
                            case 2:
                                if (values > 1 && p.next() != 0) ++wrong;
                                p.stop();
                                break;
                            default:  // left
                                if (values != 0 && p.next() != 0) ++wrong;
                        }
                    }
                });
            }
            all.wait();
            c.close();
            feeder.wait();
        });
        CHECK(wrong == 0);
        CHECK(alive == 0);
        CHECK(vole::read_stats().coroutines == before);
    }
}
