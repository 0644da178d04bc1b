// Contexts, semaphores and task groups under load. Cites CTX-4, CTX-5, CTX-9, CTX-23, CTX-28, SYNC-81, SYNC-85, SYNC-87.
#include <catch2/catch.hpp>

#include <vole/context.hpp>
#include <vole/semaphore.hpp>
#include <vole/sync.hpp>
#include <vole/task_group.hpp>

#include "test/support/context_probe.hpp"
#include "test/support/duel.hpp"
#include "test/support/findings.hpp"
#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace vole::test;
using namespace std::chrono_literals;

namespace {

/// Runs work(seed) on goroutines and on threads, all at once.
template <class F>
void crowd(int goroutines, int threads, F work) {
    vole::wait_group all;
    std::vector<std::thread> others;
    for (int i = 0; i < goroutines; ++i) all.go([&work, i] { work(i + 1); });
    for (int i = 0; i < threads; ++i) others.emplace_back([&work, i] { work(i + 100); });
    all.wait();
    vole::blocking([&] {
        for (auto& t : others) t.join();
    });
}

}  // namespace

TEST_CASE("stress CTX-5: a tree that grows, is cut and dropped everywhere at once",
          "[stress][context]") {
    struct number {
        using value_type = int;
    };
    for (const int procs : {1, 2, 4}) {
        findings ok;
        std::atomic<long> started{0};
        std::atomic<long> called{0};
        std::atomic<long> stopped{0};
        run_on(procs, [&] {
            auto [root, cancel_root] = vole::with_cancel(vole::context::background());
            crowd(6, 2, [&, root = root](int who) {
                dice roll(static_cast<std::uint64_t>(who));
                std::vector<std::pair<vole::context, vole::cancel_func>> mine{
                    vole::with_cancel(root)};
                std::vector<vole::stop_func> stops;
                for (int i = 0; i < scaled(3000); ++i) {
                    const vole::context& any = mine[roll(mine.size())].first;
                    switch (roll(8)) {
                        case 0:
                        case 1: mine.push_back(vole::with_cancel(any)); break;
                        case 2: mine.push_back(vole::with_timeout(any, roll(300) * 1us)); break;
                        case 3:
                            mine.push_back(vole::with_cancel(vole::with_value<number>(any, who)));
                            break;
                        case 4: {
                            const auto& [ctx, cancel] = mine[roll(mine.size())];
                            const auto done = ctx.done();
                            cancel();
                            done.recv();  // a deadline may have come first, and be about it
                            ok(static_cast<bool>(ctx.err()));
                            ok(done.try_recv().is_closed());
                            const vole::context child = vole::with_cancel(ctx).first;
                            ok(static_cast<bool>(child.err()));
                            break;
                        }
                        case 5:
                            ++started;
                            stops.push_back(
                                vole::after_func(any, [&called, who] { called += who != 0; }));
                            break;
                        case 6:
                            if (!stops.empty()) stopped += stops[roll(stops.size())]();
                            break;
                        default: {
                            if (any.err()) ok(any.done().try_recv().is_closed());
                            if (mine.size() > 20) mine.erase(mine.begin() + 1, mine.begin() + 10);
                        }
                    }
                }
                for (const auto& [ctx, cancel] : mine) cancel();
                for (const auto& [ctx, cancel] : mine) {
                    ctx.done().recv();
                    ok(static_cast<bool>(ctx.err()));
                }
            });
            cancel_root();
            wait_until([&] { return called + stopped == started; });
            ok.equal(children_of(root), 0);
        });
        CHECK(ok.text() == "");
        CHECK(called + stopped == started);
    }
}

TEST_CASE("stress CTX-9: handles are dropped while their parents are cancelled",
          "[stress][context]") {
    findings ok;
    const int rounds = scaled(20000);
    run_on(2, [&] {
        vole::context root;
        vole::cancel_func cancel;
        std::array<vole::context, 4> children;
        duel(
            rounds,
            [&] {
                std::tie(root, cancel) = vole::with_cancel(vole::context::background());
                for (auto& c : children) {
                    c = vole::with_cancel(root).first;
                    (void)c.done();
                }
            },
            [&] { cancel(); },
            [&] {
                for (auto& c : children) c = {};
            });
        ok.equal(children_of(root), 0);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("stress CTX-12: deadlines, cancels and drops meet", "[stress][context]") {
    findings ok;
    run_on(4, [&] {
        auto [root, cancel_root] = vole::with_cancel(vole::context::background());
        crowd(8, 2, [&, root = root](int who) {
            dice roll(static_cast<std::uint64_t>(who));
            for (int i = 0; i < scaled(1500); ++i) {
                auto [ctx, cancel] = vole::with_timeout(root, roll(100) * 1us);
                const vole::context child = vole::with_cancel(ctx).first;
                switch (roll(3)) {
                    case 0: cancel(); break;
                    case 1: break;
                    default: continue;  // dropped as it is
                }
                child.done().recv();  // also after cancel(): it may be the second (CTX-5)
                ok(static_cast<bool>(child.err()));
                ok(static_cast<bool>(ctx.err()));
            }
        });
        wait_until_childless(root);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("stress SYNC-85: a semaphore, with and without contexts", "[stress][semaphore]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        constexpr std::int64_t size = 10;
        run_on(procs, [&] {
            vole::weighted_semaphore s(size);
            std::atomic<std::int64_t> held{0};
            auto [root, cancel_root] = vole::with_cancel(vole::context::background());
            crowd(10, 3, [&, root = root](int who) {
                dice roll(static_cast<std::uint64_t>(who));
                for (int i = 0; i < scaled(1500); ++i) {
                    const auto n = static_cast<std::int64_t>(roll(size)) + 1;
                    bool got = true;
                    switch (roll(4)) {
                        case 0: s.acquire(n); break;
                        case 1: got = s.try_acquire(n); break;
                        case 2: s.acquire(root, n); break;
                        default: {
                            auto [ctx, cancel] = vole::with_timeout(root, roll(50) * 1us);
                            std::error_code e;
                            s.acquire(ctx, roll(10) == 0 ? size + 1 : n, e);
                            got = !e;
                        }
                    }
                    if (!got) continue;
                    ok((held += n) <= size);
                    if (roll(3) == 0) vole::gosched();
                    held -= n;
                    s.release(n);
                }
            });
            ok(s.try_acquire(size));
            wait_until_childless(root);
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("stress SYNC-81: groups in groups, some of which fail", "[stress][task_group]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        std::atomic<int> running{0};
        run_on(procs, [&] {
            crowd(4, 1, [&](int who) {
                dice roll(static_cast<std::uint64_t>(who));
                for (int i = 0; i < scaled(200); ++i) {
                    const bool fails = roll(2) == 0;
                    bool failed = false;
                    try {
                        vole::task_group outer;
                        outer.set_limit(3);
                        for (int k = 0; k < 6; ++k) {
                            outer.go([&, k](const vole::context& ctx) {
                                ++running;
                                vole::task_group inner(ctx);
                                inner.go([](const vole::context& c) {
                                    for (int n = 0; n < 5 && !c.err(); ++n) vole::gosched();
                                });
                                if (fails && k == 3) inner.go([] { throw 1; });
                                const vole::defer end{[&] { --running; }};
                                inner.wait();
                            });
                        }
                        outer.wait();
                    } catch (int) {
                        failed = true;
                    }
                    ok.equal(failed, fails);
                }
            });
        });
        CHECK(running == 0);
        CHECK(ok.text() == "");
    }
}
