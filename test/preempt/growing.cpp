// Goroutines of all stack policies, stopped while their stacks grow and shrink. Built as programs with growing
// stacks are.
#include <catch2/catch.hpp>

#include "test/preempt/preempt_support.hpp"

namespace vole::test {

namespace {

// A frame with words of its own; what comes back depends on all of them.
[[gnu::noinline]] long descend(long n, long salt) {
    volatile long words[8];
    for (long i = 0; i < 8; ++i) words[i] = n * salt + i;
    if (n == 0) return salt;
    const long below = descend(n - 1, salt);
    long sum = below;
    for (long i = 0; i < 8; ++i) sum += words[i] - n * salt - i;
    return sum;
}

void grow_under_storm(storm::kind kind) {
    std::atomic<long> wrong{0};
    const auto before = counts();
    run_on(2, [&] {
        const storm around(kind);
        wait_group all;
        const stack_policy policies[] = {stack_policy::reserved(), stack_policy::dense(),
                                         stack_policy::copying()};
        for (const stack_policy policy : policies) {
            for (long id = 1; id <= 2; ++id) {
                all.add(1);
                go({.stack = policy}, [&, id] {
                    // No operation in between: those would take the requests.
                    for (int i = 0; i < scaled(20'000); ++i) {
                        if (descend(50 + i % 2000, id) != id) ++wrong;
                    }
                    all.done();
                });
            }
        }
        all.wait();
    });
    CHECK(wrong == 0);
    const auto after = counts();
    INFO(after.refused_code - before.refused_code
         << " refused for the code, " << after.refused_stack - before.refused_stack
         << " for the stack, " << after.refused_runtime - before.refused_runtime
         << " inside the runtime, " << after.yields - before.yields << " yields");
    CHECK(after.freezes + after.injections > before.freezes + before.injections);
}

}  // namespace

TEST_CASE("stacks grow and move under preemption") { grow_under_storm(storm::kind::dense); }

TEST_CASE("child: growing under free migration", "[.child]") {
    choose_migration();
    grow_under_storm(storm::kind::dense);
    CHECK(counts().injections > 0);
}
TEST_CASE("stacks grow and move under free migration; without room goroutines are frozen") {
    const auto r = run_case_in_subprocess("child: growing under free migration",
                                          {.env = with_free_migration()});
    INFO(r.text());
    CHECK(r.succeeded());
}

}  // namespace vole::test
