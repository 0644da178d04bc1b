// Contexts and bubbles. Cites CTX-14, CTX-22, CTX-24, CTX-31.
#include <vole/context.hpp>

#include "test/synctest/synctest_support.hpp"

namespace vole::test {

namespace {
constexpr auto canceled = context_errc::canceled;
}

TEST_CASE("CTX-24 after cancel, wait() finds the function done", "[synctest][context]") {
    findings ok;
    bubble([&] {
        auto [ctx, cancel] = with_cancel(context::background());
        bool called = false;
        after_func(ctx, [&] {
            ok(synctest::in_bubble());
            called = true;
        });
        synctest::wait();
        ok(!called);
        cancel();
        synctest::wait();
        ok(called);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-22 a function at the deadline", "[synctest][context]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto [ctx, cancel] = with_timeout(context::background(), 3s);
        std::int64_t called = 0;
        after_func(ctx, [&] { called = t.ns(); });
        const stop_func stop = after_func(ctx, [&] { ok(false); });
        sleep(1s);
        ok(stop());
        sleep(10s);
        ok.equal(called, ns(3s));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-31 waiting for done of a context of the bubble is durable", "[synctest][context]") {
    findings ok;
    bubble([&] {
        auto [ctx, cancel] = with_cancel(context::background());
        std::uint64_t id = 0;
        go([&, ctx = ctx] {
            id = goroutine_id();
            ctx.done().recv();
        });
        synctest::wait();
        ok.equal(state_of(id), std::string("chan receive (durable)"));
        const stopwatch t;
        sleep(1h);
        cancel();
        synctest::wait();
        ok.equal(t.ns(), ns(1h));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-31 a child of a context of outside belongs to the bubble, its parent does not",
          "[synctest][context]") {
    findings ok;
    auto [outer, cancel_outer] = with_cancel(context::background());
    bubble([&, outer = outer] {
        // Asked for in the bubble, and yet not the bubble's.
        ok(outer.done().try_recv().is_empty());
        auto [inner, cancel] = with_timeout(outer, 1h);
        std::uint64_t id = 0;
        go([&, inner = inner] {
            id = goroutine_id();
            inner.done().recv();
        });
        synctest::wait();
        ok.equal(state_of(id), std::string("chan receive (durable)"));
        cancel();
        synctest::wait();
        ok(inner.err() == canceled);
    });
    cancel_outer();
    CHECK_FALSE(outer.done().recv());
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-31 an outer context may end the wait of a bubble's goroutine",
          "[synctest][context]") {
    findings ok;
    auto [outer, cancel_outer] = with_cancel(context::background());
    std::atomic<std::uint64_t> waiter{0};
    std::thread outside([&, cancel = cancel_outer] {
        wait_until([&] { return waiter != 0; });
        parked_as(waiter, "chan receive");
        cancel();
    });
    bubble([&, outer = outer] {
        const stopwatch t;
        go([] { sleep(1s); });
        waiter = goroutine_id();
        outer.done().recv();
        ok.equal(t.ns(), 0);
        sleep(2s);
    });
    outside.join();
    CHECK(ok.text() == "");
}

TEST_CASE("child: an outer parent is cancelled from outside", "[.child]") {
    auto [outer, cancel_outer] = with_cancel(context::background());
    doomed([&, outer = outer, cancel = cancel_outer] {
        synctest::test([&] {
            auto [inner, cancel_inner] = with_cancel(outer);
            (void)inner.done();
            on_thread([&] { cancel(); });
        });
    });
}
TEST_CASE("child: an outer parent of a deadline is cancelled from outside", "[.child]") {
    auto [outer, cancel_outer] = with_cancel(context::background());
    doomed([&, outer = outer, cancel = cancel_outer] {
        synctest::test([&] {
            auto [inner, cancel_inner] = with_timeout(outer, 1h);
            on_thread([&] { cancel(); });
        });
    });
}
TEST_CASE("CTX-31 what belongs to a bubble is not ended from outside", "[synctest][context]") {
    check_fatal("child: an outer parent is cancelled from outside",
                "close of synctest channel from outside bubble");
    check_fatal("child: an outer parent of a deadline is cancelled from outside",
                "stop of synctest timer from outside bubble");
}

TEST_CASE("CTX-31 a context may outlive its bubble", "[synctest][context]") {
    context left;
    context timed;
    cancel_func cancel_left;
    bubble([&] {
        std::tie(left, cancel_left) = with_cancel(context::background());
        timed = with_timeout(left, 1h).first;
    });
    CHECK_FALSE(timed.err());
    CHECK_FALSE(timed.to_string().empty());
    timed = {};
    cancel_left();
    CHECK(left.err() == canceled);
}

TEST_CASE("CTX-14 outside of bubbles deadlines follow the steady clock", "[synctest][context]") {
    findings ok;
    run([&] {
        const clock::time_point before = clock::now();
        auto [ctx, cancel] = with_timeout(context::background(), 2ms);
        ok(ctx.deadline() >= before + 2ms);
        ctx.done().recv();
        ok(clock::now() >= *ctx.deadline());
        ok(ctx.err() == context_errc::deadline_exceeded);
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
