// Sleeping, timers, tickers, deadlines of contexts, bubbles.
#include "test/faults/program.hpp"

#include <vole/context.hpp>
#include <vole/synctest.hpp>
#include <vole/time.hpp>

#include <atomic>
#include <vector>

namespace vole::faults {
namespace {

using namespace std::chrono_literals;

void sleeps() {
    team all;
    for (int i = 0; i < 20; ++i) all.go([i] { sleep(i * 100us); });
    all.wait();
}

// As many as make the heap grow several times.
void timers() {
    std::vector<timer> many;
    for (int i = 0; i < 3000; ++i) many.push_back(after_func(1h, [] {}));
    int stopped = 0;
    for (timer& t : many) stopped += t.stop() ? 1 : 0;
    must(stopped == 3000, "what is pending can be stopped");
}

void functions() {
    auto called = make_chan<void>(1);
    const timer t = after_func(1ms, [called] { called.send(); });
    called.recv();
    timer again(1h);
    must(again.reset(1ms), "it was pending");
    again.c().recv();
}

void tickers() {
    ticker t(500us);
    for (int i = 0; i < 3; ++i) t.c().recv();
    t.stop();
}

void deadlines() {
    auto [ctx, cancel] = with_timeout(context::background(), 2ms);
    ctx.done().recv();
    must(ctx.err() != std::error_code(), "a deadline ends a context");
}

void bubbles() {
    synctest::test([] {
        const auto began = clock::now();
        sleep(24h);
        must(clock::now() - began == 24h, "time in a bubble is virtual");
    });
}

}  // namespace

void time_steps() {
    step("sleeps", sleeps);
    step("timers", timers);
    step("functions", functions);
    step("tickers", tickers);
    step("deadlines", deadlines);
    step("bubbles", bubbles);
}

}  // namespace vole::faults
