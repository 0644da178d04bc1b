// Semaphores, task groups and their helpers in virtual time. Cites SYNC-84, SYNC-87, SYN-2, SYN-13.
#include <vole/semaphore.hpp>
#include <vole/task.hpp>

#include "test/synctest/synctest_support.hpp"

namespace vole::test {

namespace {
constexpr auto canceled = context_errc::canceled;
constexpr auto too_late = context_errc::deadline_exceeded;

void until_done(const context& ctx) { ctx.done().recv(); }

struct failure : std::runtime_error {
    failure() : std::runtime_error("no") {}
};
}  // namespace

TEST_CASE("SYNC-87 a semaphore with a deadline", "[synctest][semaphore]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        weighted_semaphore s(2);
        s.acquire(2);
        auto [ctx, cancel] = with_timeout(context::background(), 3s);
        std::error_code e;
        s.acquire(ctx, 1, e);
        ok(e == too_late);
        ok.equal(t.ns(), ns(3s));
        go([&] {
            sleep(1s);
            s.release(2);
        });
        s.acquire(2);
        ok.equal(t.ns(), ns(4s));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-13 beyond Go: a semaphore of the bubble is waited for durably",
          "[synctest][semaphore]") {
    findings ok;
    bubble([&] {
        weighted_semaphore s(1);
        s.acquire();
        auto [ctx, cancel] = with_cancel(context::background());
        std::array<std::uint64_t, 2> ids{};
        go([&] {
            ids[0] = goroutine_id();
            s.acquire();
            s.release();
        });
        go([&, ctx = ctx] {
            ids[1] = goroutine_id();
            std::error_code e;
            s.acquire(ctx, 1, e);
            ok(e == canceled);
        });
        synctest::wait();
        for (const auto id : ids) ok.equal(state_of(id), std::string("semacquire (durable)"));
        cancel();
        synctest::wait();
        s.release();
        synctest::wait();  // the first one uses s still
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-13 beyond Go: not durably, if the semaphore or the context is of outside",
          "[synctest][semaphore]") {
    findings ok;
    const auto waits = [&](auto wait, auto end) {
        std::atomic<std::uint64_t> waiter{0};
        std::thread outside([&] {
            wait_until([&] { return waiter != 0; });
            parked_as(waiter, "semacquire");
            end();
        });
        bubble([&] {
            const stopwatch t;
            go([] { sleep(1s); });
            waiter = goroutine_id();
            wait();
            ok.equal(t.ns(), 0);
            sleep(2s);
        });
        outside.join();
    };
    weighted_semaphore outer(1);
    outer.acquire();
    waits([&] { outer.acquire(); }, [&] { outer.release(); });
    context ctx;
    cancel_func cancel;
    std::tie(ctx, cancel) = with_cancel(context::background());
    waits(
        [&] {
            weighted_semaphore inner(1);
            inner.acquire();
            std::error_code e;
            inner.acquire(ctx, 1, e);
            ok(e == canceled);
        },
        [&] { cancel(); });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-2 tasks of a group in a bubble belong to it", "[synctest][task_group]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto [ctx, cancel] = with_timeout(context::background(), 10s);
        task_group g(ctx);
        g.set_limit(2);
        for (int i = 0; i < 4; ++i) g.go([] { sleep(1s); });
        g.go([&](const context& c) {
            until_done(c);
            ok(c.err() == too_late);
        });
        g.wait();
        ok.equal(t.ns(), ns(10s));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("run_with_timeout gives f a context that ends", "[synctest][task_group]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        ok.equal(run_with_timeout(1s, [] { return 7; }), 7);
        ok.equal(t.ns(), 0);
        run_with_timeout(2s, until_done);
        ok.equal(t.ns(), ns(2s));
        auto [outer, cancel] = with_timeout(context::background(), 1s);
        run_with_timeout(outer, 1h, until_done);
        ok.equal(t.ns(), ns(3s));
        context left;
        ok.throws<failure>("no", [&] {
            run_with_timeout(1h, [&](const context& ctx) {
                left = ctx;
                throw failure();
            });
        });
        ok(left.err() == canceled);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("hedge asks again when the first is late", "[synctest][task_group]") {
    findings ok;
    bubble([&] {
        stopwatch t;
        std::atomic<int> calls{0};
        // The first takes an hour, the second a second.
        const auto request = [&](const context& ctx) {
            const int mine = ++calls;
            if (mine == 1) {
                const auto taken = select(on_recv(ctx.done()), on_recv(after(1h)));
                ok.equal(taken, std::size_t{0});
                throw failure();
            }
            sleep(1s);
            return mine;
        };
        ok.equal(hedge(context::background(), 100ms, request), 2);
        ok.equal(t.ns(), ns(1100ms));

        // Fast enough: nobody else is asked.
        t = {};
        calls = 5;
        ok.equal(hedge(context::background(), 2s, request, 3), 6);
        ok.equal(calls.load(), 6);
        ok.equal(t.ns(), ns(1s));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("hedge waits its time while one that it asked is still at it", "[synctest][task_group]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        std::atomic<int> calls{0};
        // The first takes for ever, the second fails at once.
        const auto request = [&](const context& ctx) {
            const int mine = ++calls;
            if (mine == 1) until_done(ctx);
            if (mine < 3) throw failure();
            return mine;
        };
        ok.equal(hedge(context::background(), 1s, request, 3), 3);
        ok.equal(t.ns(), ns(2s));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("hedge asks again at once when all so far have failed", "[synctest][task_group]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        std::atomic<int> calls{0};
        const auto third = [&] {
            if (++calls < 3) throw failure();
            return 3;
        };
        ok.equal(hedge(context::background(), 1h, third, 3), 3);
        ok.equal(t.ns(), 0);
        std::size_t failures = 0;
        try {
            hedge(
                context::background(), 1h, [] { throw failure(); }, 4);
        } catch (const task_errors& e) {
            failures = e.all().size();
        }
        ok.equal(failures, std::size_t{4});
        auto [ctx, cancel] = with_timeout(context::background(), 1s);
        try {
            hedge(ctx, 1h, [](const context& c) {
                until_done(c);
                throw failure();
            });
        } catch (const task_errors& e) {
            failures = e.all().size();
        }
        ok.equal(failures, std::size_t{1});
        ok.equal(t.ns(), ns(1s));
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
