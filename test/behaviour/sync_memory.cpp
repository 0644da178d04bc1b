// What comes and goes leaves nothing behind in memory, of which nobody would hear otherwise. Cites CTX-9, CTX-12,
// CTX-22, CTX-23, SYNC-65, SYNC-71, SYNC-89, WEAK-7, CLN-4, CLN-5.
#include <catch2/catch.hpp>

#include <vole/context.hpp>
#include <vole/managed.hpp>
#include <vole/panic.hpp>
#include <vole/pool.hpp>
#include <vole/single_flight.hpp>
#include <vole/sync.hpp>
#include <vole/sync_map.hpp>
#include <vole/task_group.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"
#include "test/support/heap.hpp"

#include <array>
#include <memory>
#include <stdexcept>
#include <vector>

using namespace vole::test;
using namespace std::chrono_literals;
using vole::context;

namespace {

/// Leaves nothing, up to what an allocator may do now and then; the least that it gives out is 24 bytes.
template <class F>
void check(findings& ok, F f, place where = here()) {
    // What leaks does so each time; a table that happens to grow does not.
    std::int64_t left = bytes_left_by(f);
    for (int again = 0; again < 3 && left >= 12; ++again) left = bytes_left_by(f);
    ok(left < 12, std::to_string(left) + " bytes each time", where);
}

}  // namespace

TEST_CASE("CTX-9 CTX-12 contexts leave no memory behind, and none in their parent", "[context]") {
    findings ok;
    run_on(1, [&] {
        auto [root, cancel_root] = with_cancel(context::background());
        const context& parent = root;
        check(ok, [&] { (void)with_cancel(parent); });
        check(ok, [&] { with_cancel(parent).second(); });
        check(ok, [&] {
            auto [ctx, cancel] = with_cancel_cause(parent);
            (void)ctx.done();
            const context below = vole::with_value<int>(with_cancel(ctx).first, 1);
            (void)below.done();
            cancel(std::make_exception_ptr(std::runtime_error("why")));
            (void)ctx.done();
        });
        check(ok, [&] { (void)with_timeout(parent, 1h); });
        check(ok, [&] { with_timeout(parent, 1h).second(); });
        check(ok, [&] { (void)with_timeout(parent, -1h); });
        check(ok, [&] { (void)without_cancel(vole::with_value<int>(parent, 1)); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-22 CTX-23 functions of contexts leave no memory behind", "[context]") {
    findings ok;
    run_on(1, [&] {
        auto [root, cancel_root] = with_cancel(context::background());
        const context& parent = root;
        check(ok, [&] { after_func(parent, [] {})(); });
        check(ok, [&] { after_func(context::background(), [] {})(); });
        check(ok, [&] {
            auto [ctx, cancel] = with_cancel(parent);
            const auto called = vole::make_chan<void>();
            const vole::stop_func stop = after_func(ctx, [called] { called.close(); });
            cancel();
            called.recv();
            (void)stop();
            settle(2);
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("WEAK-7 weak handles leave no memory behind", "[managed]") {
    findings ok;
    run_on(1, [&] {
        check(ok, [] {
            auto p = vole::make_managed<int>(1);
            const auto first = vole::make_weak(p);
            const auto second = vole::make_weak(p);
            p.reset();
        });
        check(ok, [] {
            auto p = vole::make_managed<int>(1);
            { const auto first = vole::make_weak(p); }
            const auto second = vole::make_weak(p);
        });
        static int immortal;
        check(ok, [] {
            (void)vole::make_weak(std::shared_ptr<int>(std::shared_ptr<int>(), &immortal));
        });
        // With an object that stays.
        const auto lasting = vole::make_managed<int>(1);
        check(ok, [&] { (void)vole::make_weak(lasting); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CLN-4 CLN-5 cleanups leave no memory behind, nor with an object that stays",
          "[managed]") {
    findings ok;
    run_on(1, [&] {
        check(ok, [] {
            auto p = vole::make_managed<int>(1);
            const auto h = vole::add_cleanup(
                p, [](int) {}, 1);
            vole::add_cleanup(
                p, [](int) {}, 2);
            p.reset();
            vole::drain_cleanups();
        });
        check(ok, [] {
            auto p = vole::make_managed<int>(1);
            auto h = vole::add_cleanup(
                p, [](int) {}, 1);
            h.stop();
            p.reset();
            vole::drain_cleanups();
        });
        auto lasting = vole::make_managed<int>(1);
        check(ok, [&] {
            vole::add_cleanup(
                lasting, [](int) {}, 1)
                .stop();
        });
        lasting.reset();
        vole::drain_cleanups();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("WEAK-7 each handle counts: what the object refers to is not given back before it dies",
          "[managed]") {
    auto p = vole::make_managed<int>(1);
    for (int i = 0; i < 2; ++i) {
        const auto first = vole::make_weak(p);
        const auto second = vole::make_weak(p);
        const auto third = vole::make_weak(p);
    }
    // Among these would be the memory of what is given back too early.
    using bytes = std::array<char, sizeof(vole::detail::weak_target)>;
    std::vector<std::unique_ptr<bytes>> others;
    for (int i = 0; i < 20; ++i) others.push_back(std::make_unique<bytes>());
    const auto mine = vole::make_weak(p);
    CHECK(mine.value() == p);
    p.reset();
    CHECK(mine.value() == nullptr);
    for (const auto& other : others) CHECK(*other == bytes());
}

TEST_CASE("SYNC-65 SYNC-71 pools and maps leave no memory behind", "[sync][pool][sync_map]") {
    findings ok;
    run_on(1, [&] {
        check(ok, [] {
            vole::pool<int> p;
            for (int i = 0; i < 50; ++i) p.put(std::make_unique<int>(i));
            p.shrink();
            for (int i = 0; i < 5; ++i) p.put(std::make_unique<int>(i));
        });
        check(ok, [] {
            vole::sync_map<int, std::shared_ptr<int>> m;
            for (int i = 0; i < 50; ++i) m.store(i, std::make_shared<int>(i));
            for (int i = 0; i < 25; ++i) m.erase(i);
            for (int i = 20; i < 30; ++i) m.store(i, std::make_shared<int>(i));
        });
        check(ok, [] {  // nothing to destroy but the entries: those are kept for a while
            vole::sync_map<int, int> m;
            for (int i = 0; i < 50; ++i) m.store(i, i);
            m.range([&](int k, int) { m.store(k, k + 1); });
            m.clear();
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-78 SYNC-89 task groups and single flights leave no memory behind",
          "[sync][task_group][single_flight]") {
    findings ok;
    run_on(1, [&] {
        auto [root, cancel_root] = with_cancel(context::background());
        const context& parent = root;
        check(ok, [&] {
            vole::task_group g(parent);
            g.set_limit(2);
            for (int i = 0; i < 3; ++i) g.go([] {});
            g.wait();
        });
        check(ok, [&] {
            vole::task_group g(parent, vole::task_group::collect_all);
            g.go([] { throw std::runtime_error("no"); });
        });
        vole::single_flight<int, int> flights;
        check(ok, [&] { (void)flights.call(1, [] { return 1; }); });
        check(ok, [&] { (void)flights.call_chan(1, [] { return 1; }).recv(); });
    });
    CHECK(ok.text() == "");
}
