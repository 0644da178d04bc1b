// The first segment of the next goroutine is learned from those that were started at the same place.
// Cites STK-7.
#include <catch2/catch.hpp>

#include "test/growth/growth_support.hpp"

#include <algorithm>

using namespace vole::test;

namespace {

KEEP_CALL long recurse(long n) {
    long words[6] = {n, n, n, n, n, n};
    use(words);
    if (n == 0) return 0;
    return recurse(n - 1) + words[2] - n + 1;
}

// One place of `go` for all rounds: the stacks that `count` goroutines, one after the other, begin with.
std::vector<std::size_t> started_with(vole::stack_policy policy, long levels, int count) {
    std::vector<std::size_t> sizes;
    for (int i = 0; i < count; ++i) {
        auto done = vole::make_chan<std::size_t>();
        vole::go({.stack = policy}, [&, levels] {
            const std::size_t size = vole::stack::size();
            recurse(levels);
            done.send(size);
        });
        sizes.push_back(done.recv().value_or(0));
    }
    return sizes;
}

std::size_t usual(std::vector<std::size_t> sizes) {
    std::sort(sizes.begin(), sizes.end());
    return sizes[sizes.size() / 2];
}

}  // namespace

TEST_CASE("STK-7 a place whose goroutines go deep starts the next ones with more", "[growth]") {
    for (const auto policy : {vole::stack_policy::dense(), vole::stack_policy::copying()}) {
        vole::run([policy] {
            CHECK(usual(started_with(policy, 1, 100)) == 2048);
            // 6 KiB or so.
            started_with(policy, 60, 400);
            const std::size_t learned = usual(started_with(policy, 60, 100));
            CHECK(learned >= 8192);
            CHECK(learned <= 16384);
            // When they no longer need it, the place comes down again.
            started_with(policy, 1, 2000);
            CHECK(usual(started_with(policy, 1, 100)) == 2048);
        });
    }
}

TEST_CASE("STK-7 what was asked for is the least", "[growth]") {
    vole::run([] {
        const auto sizes = started_with(vole::stack_policy::dense(8192), 1, 200);
        CHECK(*std::min_element(sizes.begin(), sizes.end()) == 8192);
    });
}
