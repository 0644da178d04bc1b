// The table of a goroutine's legal changes of state, written a second time from the specification.
// Cites SCHED-74; that an illegal change ends the process is in test/death.
#include <catch2/catch.hpp>

#include "runtime/src/sched/status.hpp"

#include <set>
#include <utility>

using namespace vole::detail;

TEST_CASE("SCHED-74 legal transitions", "[unit][status]") {
    using enum g_status;
    const std::set<std::pair<g_status, g_status>> allowed = {
        {idle, runnable},    {runnable, running}, {running, runnable}, {running, waiting},
        {waiting, runnable}, {running, syscall},  {syscall, running},  {syscall, runnable},
        {running, dead},     {dead, idle},
    };
    constexpr g_status every[] = {idle, runnable, running, syscall, waiting, dead};
    for (const g_status from : every) {
        for (const g_status to : every) {
            INFO("from " << static_cast<int>(from) << " to " << static_cast<int>(to));
            CHECK(legal(from, to) == allowed.contains({from, to}));
        }
    }
}

TEST_CASE("SCHED-74 a life", "[unit][status]") {
    using enum g_status;
    G g;
    g_status now = idle;
    for (const g_status next : {runnable, running, waiting, runnable, running, syscall, running,
                                runnable, running, dead, idle}) {
        set_status(&g, now, next);
        now = next;
        REQUIRE(g.status.load() == now);
    }
}
