// Vole's side of the rest of sync, contexts and task groups, beside go/sync.go, and beside boost_sync_bench.cpp and
// std_bench.cpp where these have the like. sync_loops.hpp has the loops; those of contexts, which only Go has too, are
// here.
#include <vole/context.hpp>
#include <vole/task_group.hpp>
#include <vole/vole.hpp>

#include <utility>
#include <vector>

#include "test/bench/sync_loops.hpp"

namespace {

using namespace vole_bench;

struct side {
    using crew = vole::wait_group;
    using group = vole::task_group;
    using mutex = vole::mutex;
    using cond = vole::cond;
    using rw_mutex = vole::rw_mutex;
    using once = vole::once;
    using pool = vole::pool<block>;
    using map = vole::sync_map<count, count>;
    using semaphore = vole::weighted_semaphore;

    /// As the main goroutine.
    template <class F>
    static double run(F f) {
        return vole::run(f);
    }
    static void yield() { vole::gosched(); }
};

// ---- contexts

void context_cancel(benchmark::State& state) {
    timed<side>(state, [](count n) {
        const auto [root, stop] = vole::with_cancel(vole::context::background());
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            const auto [ctx, cancel] = vole::with_cancel(root);
            cancel();
            if (!ctx.err()) wrong("context_cancel");
        }
        const double seconds = since(start);
        stop();
        return seconds;
    });
}

// One op: a context with 1000 children is made and cancelled.
void context_children(benchmark::State& state) {
    timed<side>(state, [](count n) {
        const auto start = bench_clock::now();
        for (count i = 0; i < n; ++i) {
            const auto [ctx, cancel] = vole::with_cancel(vole::context::background());
            std::vector<std::pair<vole::context, vole::cancel_func>> children;
            children.reserve(1000);
            for (int k = 0; k < 1000; ++k) children.push_back(vole::with_cancel(ctx));
            cancel();
            if (!children.back().first.err()) wrong("context_children");
        }
        return since(start);
    });
}

BENCHMARK(rw_read<side>)->Name("rw_read")->UseManualTime();
BENCHMARK(rw_read_shared<side>)->Name("rw_read_shared")->UseManualTime();
BENCHMARK(rw_mixed<side>)->Name("rw_mixed")->UseManualTime();
BENCHMARK(cond_pingpong<side>)->Name("cond_pingpong")->UseManualTime();
BENCHMARK(once<side>)->Name("once")->UseManualTime();
BENCHMARK(pool<side>)->Name("pool")->UseManualTime();
BENCHMARK(map<side, 16>)->Name("map_read_mostly")->UseManualTime();
BENCHMARK(map<side, 2>)->Name("map_write_heavy")->UseManualTime();
BENCHMARK(semaphore<side>)->Name("semaphore")->UseManualTime();
BENCHMARK(semaphore_contended<side>)->Name("semaphore_contended")->UseManualTime();
BENCHMARK(context_cancel)->UseManualTime();
BENCHMARK(context_children)->UseManualTime();
BENCHMARK(group_1000<side>)->Name("group_1000")->UseManualTime();

}  // namespace
