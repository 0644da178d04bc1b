// VOLE_DEBUG=preempttrace=1 and preemptexplain=1: what is told, and that nothing is without them.
#include <catch2/catch.hpp>

#include "test/preempt/preempt_support.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace vole::test {

namespace {

std::atomic<bool> told_to_stop{false};

extern "C" [[gnu::noinline]] void narrated_loop() {
    while (!told_to_stop.load(std::memory_order_relaxed)) {
    }
    asm volatile("");
}

#if defined(VOLE_HAVE_LIBUNWIND)
constexpr const char* loop_name = "narrated_loop";
#else
constexpr const char* loop_name = "(0x";
#endif

subprocess_result run_with(const std::string& debug) {
    return run_case_in_subprocess("child: one of each", {.env = {"VOLE_DEBUG=" + debug}});
}

}  // namespace

// A loop that is frozen, a call that blocks, a loop in libc.
TEST_CASE("child: one of each", "[.child]") {
    choose_migration();
    run_on(1, [] {
        wait_group all;
        // Two, for long enough that one is stopped by a signal also on a busy machine.
        for (int i = 0; i < 2; ++i) all.go(narrated_loop);
        const auto stops = [] { return counts().freezes + counts().injections; };
        if (has_signals) wait_until([&] { return stops() >= 4; });
        told_to_stop = true;
        all.wait();

        int fds[2];
        REQUIRE(::pipe(fds) == 0);
        // On a busy machine one may lose its P before it comes to block.
        while (counts().detached_blocked == 0) {
            all.go([&] {
                char c = 0;
                if (::read(fds[0], &c, 1) != 1) std::abort();
            });
            const auto detached = [] {
                return counts().detached_blocked + counts().detached_running;
            };
            wait_until([&, before = detached()] { return detached() > before; });
            REQUIRE(::write(fds[1], "x", 1) == 1);
            all.wait();
        }

        std::atomic<bool> stop{false};
        all.go([&] {
            std::vector<char> block(std::size_t{64} << 20);
            while (!stop.load(std::memory_order_relaxed)) {
                std::fill(block.begin(), block.end(), 'x');
                asm volatile("" : : "r"(block.data()) : "memory");
            }
        });
        gosched();
        stop = true;
        all.wait();
    });
}

TEST_CASE("preempttrace=1 prints a line for each event") {
    const auto r = run_with("preempttrace=1");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK_THAT(r.err, Catch::Contains("is asked to give way, on thread "));
    CHECK_THAT(r.err, Catch::Contains(" is blocked: its P is taken, it goes on alone on thread "));
    CHECK_THAT(r.err, Catch::Contains(" wants a P again after "));
    if (has_signals) {
        CHECK_THAT(r.err, Catch::Contains(" frozen at 0x"));
        CHECK_THAT(r.err, Catch::Contains(loop_name));
        CHECK_THAT(r.err, Catch::Contains(" goes on after "));
    }
    // Lines are whole.
    for (std::size_t at = 0; at < r.err.size();) {
        const std::size_t end = r.err.find('\n', at);
        CHECK(r.err.compare(at, 15, "vole: preempt: ") == 0);
        if (end == std::string::npos) break;
        at = end + 1;
    }
}

TEST_CASE("preemptexplain=1 tells the rule, the bytes and the threads") {
    const auto r = run_with("preemptexplain=1");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK_THAT(r.err, Catch::Contains("has run for 10 ms: asked to give way"));
    CHECK_THAT(r.err, Catch::Contains("loses its P, and goes on without"));
    if (has_signals) {
        CHECK_THAT(r.err, Catch::Contains("is frozen: stopped by a signal where it is"));
        CHECK_THAT(r.err, Catch::Contains("  rule        allowed: "));
        CHECK_THAT(r.err, Catch::Contains(" bytes by the kernel, on the signal stack"));
        CHECK_THAT(r.err, Catch::Contains(" waits in the handler, with the goroutine tied to it"));
        CHECK_THAT(r.err, Catch::Contains("goes on at the instruction it was stopped at"));
    }
}

TEST_CASE("an injected call is told") {
    if (!has_free_migration) return;
    const auto r = run_case_in_subprocess(
        "child: one of each", {.env = {"VOLE_DEBUG=preemptexplain=1", "VOLE_TEST_FREE=1"}});
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK_THAT(r.err, Catch::Contains("is made to call vole_async_preempt where it is"));
    CHECK_THAT(r.err, Catch::Contains("on its own stack, by xsavec"));
}

TEST_CASE("nothing is told unless asked for") {
    const auto r = run_with("");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.err.empty());
}

}  // namespace vole::test
