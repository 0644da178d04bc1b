// vole::weighted_semaphore. Cites SYNC-84 to SYNC-88, SYNC-95 to SYNC-97.
#include <vole/semaphore.hpp>

#include "test/behaviour/context_support.hpp"

#include <memory>

#include "sync/src/wait_table.hpp"
#include "test/support/duel.hpp"

namespace vole::test {

static_assert(!std::is_copy_constructible_v<weighted_semaphore>);
static_assert(!std::is_move_constructible_v<weighted_semaphore>);

namespace {

constinit weighted_semaphore global(2);  // SYNC-95

std::error_code try_with(weighted_semaphore& s, const context& ctx, std::int64_t n) {
    std::error_code e;
    s.acquire(ctx, n, e);
    return e;
}

/// A goroutine that acquires, and is known to wait.
template <class F>
void waits_for(wait_group& group, F f) {
    std::atomic<std::uint64_t> id{0};
    group.go([&id, f]() mutable {
        id = goroutine_id();
        f();
    });
    wait_until([&] { return id != 0; });
    parked_as(id, "semacquire");
}

}  // namespace

TEST_CASE("SYNC-84 free tokens are taken at once, by goroutines and threads", "[sync][semaphore]") {
    const std::string wrong = everywhere([](findings& ok) {
        weighted_semaphore s(3);
        s.acquire(2);
        ok(s.try_acquire());
        ok(!s.try_acquire());
        s.release(3);
        s.acquire(context::background(), 3);
        s.release(3);
        ok(global.try_acquire(2));
        global.release(2);
    });
    CHECK(wrong == "");
}

TEST_CASE("SYNC-84 a context that is done takes nothing", "[sync][semaphore]") {
    findings ok;
    weighted_semaphore s(1);
    auto [ctx, cancel] = with_cancel(context::background());
    CHECK_FALSE(try_with(s, ctx, 1));
    s.release();
    cancel();
    CHECK(try_with(s, ctx, 1) == canceled);
    ok.throws<std::system_error>("context canceled", [&, c = ctx] { s.acquire(c, 1); });
    CHECK(ok.text() == "");
    CHECK(s.try_acquire(1));
    s.release(1);
    const context late = with_timeout(context::background(), -1s).first;
    CHECK(try_with(s, late, 1) == too_late);
}

TEST_CASE("SYNC-85 first come, first served, whatever they want", "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(10);
        wait_group all;
        std::vector<int> order;
        mutex mu;
        const auto note = [&](int who) {
            const std::lock_guard held(mu);
            order.push_back(who);
        };
        s.acquire(5);
        waits_for(all, [&] {
            s.acquire(10);
            note(10);
            s.release(10);
        });
        ok(!s.try_acquire(1));  // somebody waits
        waits_for(all, [&] {
            s.acquire(1);
            note(1);
            s.release(1);
        });
        ok(!s.try_acquire(0));
        ok(order.empty());
        s.release(5);
        all.wait();
        ok(order == std::vector{10, 1});
        ok(s.try_acquire(10));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-85 small ones do not starve a large one", "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(2);
        std::atomic<bool> stop{false};
        wait_group small;
        for (int i = 0; i < 4; ++i) {
            small.go([&] {
                while (!stop) {
                    s.acquire();
                    gosched();
                    s.release();
                }
            });
        }
        for (int i = 0; i < scaled(50); ++i) {
            s.acquire(2);
            s.release(2);
        }
        stop = true;
        small.wait();
        ok(s.try_acquire(2));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-86 more than there is: waits for the context only, and hinders nobody",
          "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(2);
        wait_group all;
        auto [ctx, cancel] = with_cancel(context::background());
        std::error_code e;
        waits_for(all, [&, ctx = ctx] { e = try_with(s, ctx, 3); });
        ok(!s.try_acquire(3));
        ok(s.try_acquire(2));
        s.release(1);
        s.acquire(1);
        cancel();
        all.wait();
        ok(e == canceled);
        s.release(2);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-87 whose context ends leaves the queue, and lets those behind it through",
          "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(10);
        wait_group all;
        auto [ctx, cancel] = with_cancel(context::background());
        std::error_code first;
        std::atomic<bool> second{false};
        s.acquire(1);
        waits_for(all, [&, ctx = ctx] { first = try_with(s, ctx, 10); });
        waits_for(all, [&] {
            s.acquire(9);
            second = true;
        });
        ok(!second);
        cancel();
        all.wait();  // nobody has released
        ok(first == canceled);
        ok(second.load());
        ok.equal(children_of(ctx), 0);
        s.release(10);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-87 one in the middle leaves", "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(2);
        wait_group all;
        auto [ctx, cancel] = with_cancel(context::background());
        std::atomic<int> got{0};
        s.acquire(2);
        const auto plain = [&] {
            s.acquire(1);
            ++got;
        };
        waits_for(all, plain);
        waits_for(all, [&, ctx = ctx] { ok(try_with(s, ctx, 1) == canceled); });
        waits_for(all, plain);
        cancel();
        ok(stays([&] { return got == 0; }, 50));
        s.release(2);
        all.wait();
        ok.equal(got.load(), 2);
        s.release(2);
        ok(s.try_acquire(2));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-87 the end of a context reaches all who wait with it", "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(1);
        weighted_semaphore other(1);
        auto [ctx, cancel] = with_cancel(context::background());
        s.acquire();
        other.acquire();
        wait_group all;
        std::atomic<int> refused{0};
        for (int i = 0; i < 100; ++i) {
            waits_for(all, [&, ctx = ctx, i] {
                if (try_with(i % 3 == 0 ? other : s, ctx, 1) == canceled) ++refused;
            });
        }
        ok.equal(children_of(ctx), 100);
        cancel();
        all.wait();
        ok.equal(refused.load(), 100);
        ok.equal(children_of(ctx), 0);
        s.release();
        ok(s.try_acquire());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-87 who is about to wait when the context ends does not", "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(1);
        s.acquire();
        context ctx;
        cancel_func cancel;
        duel(
            scaled(2000), [&] { std::tie(ctx, cancel) = with_cancel(context::background()); },
            [&] {
                // Holds it up between its first look at the context and the queue.
                const detail::runtime_pin pin;
                const detail::lock_guard held(detail::bucket_of(&s).mu);
                const std::atomic<int> nothing{0};
                for (int i = 0; i < 20000; ++i) (void)nothing.load();
                cancel();
            },
            [&] { ok(try_with(s, ctx, 1) == canceled); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-87 when tokens and the end have come, the end counts", "[sync][semaphore]") {
    findings ok;
    run_on(1, [&] {
        int refused = 0;
        for (int i = 0; i < 20; ++i) {
            weighted_semaphore s(1);
            s.acquire();
            auto [ctx, cancel] = with_cancel(context::background());
            wait_group waiter;
            std::error_code e;
            waits_for(waiter, [&, c = ctx] { e = try_with(s, c, 1); });
            s.release();
            cancel();
            waiter.wait();
            if (e) ++refused;
            ok(s.try_acquire() == bool(e));
        }
        ok(refused > 0);  // each time, unless the waiter ran between the two
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-87 tokens and the end at once: no token is lost", "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(1);
        context ctx;
        cancel_func cancel;
        std::error_code e = canceled;  // of the last round: none, and it has the token
        wait_group waiter;
        duel(
            scaled(5000),
            [&] {
                waiter.wait();
                if (!e) s.release();
                ok(s.try_acquire());
                std::tie(ctx, cancel) = with_cancel(context::background());
                waiter.go([&, c = ctx] { e = try_with(s, c, 1); });
                gosched();
            },
            [&] { s.release(); }, [&] { cancel(); });
        waiter.wait();
        if (!e) s.release();
        ok(s.try_acquire());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-88 misuse, and nothing", "[sync][semaphore]") {
    findings ok;
    weighted_semaphore s(2);
    constexpr const char* text = "semaphore: released more than held";
    ok.throws<runtime_error>(text, [&] { s.release(); });
    s.acquire(1);
    ok.throws<runtime_error>(text, [&] { s.release(2); });
    ok.throws<runtime_error>("semaphore: negative weight", [&] { s.acquire(-1); });
    ok.throws<runtime_error>("semaphore: negative weight", [&] { s.release(-1); });
    CHECK(s.try_acquire(1));
    s.acquire(0);
    CHECK(s.try_acquire(0));
    s.release(0);
    s.release(2);
    weighted_semaphore empty(0);
    empty.acquire(0);
    CHECK_FALSE(empty.try_acquire(1));
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-88 release wakes as many as fit", "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        weighted_semaphore s(6);
        wait_group all;
        std::atomic<int> got{0};
        s.acquire(6);
        for (const int n : {1, 2, 3, 4}) {
            waits_for(all, [&s, &got, n] {
                s.acquire(n);
                got += n;
            });
        }
        s.release(6);
        wait_until([&] { return got == 6; });
        ok(stays([&] { return got == 6; }, 50));
        s.release(6);
        all.wait();
        ok.equal(got.load(), 10);
        s.release(4);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-96 a waiter may destroy the semaphore when it has what it wanted",
          "[sync][semaphore]") {
    findings ok;
    run_on(2, [&] {
        for (int i = 0; i < scaled(3000); ++i) {
            auto s = std::make_unique<weighted_semaphore>(1);
            s->acquire();
            vole::go([p = s.get()] { p->release(); });
            s->acquire();
            s.reset();
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-97 threads and goroutines wait for one semaphore", "[sync][semaphore]") {
    findings ok;
    std::atomic<int> inside{0};
    run_on(2, [&] {
        weighted_semaphore s(3);
        auto [ctx, cancel] = with_cancel(context::background());
        const auto work = [&, ctx = ctx](int n) {
            for (int i = 0; i < scaled(500); ++i) {
                s.acquire(ctx, n);
                inside += n;
                ok(inside <= 3);
                inside -= n;
                s.release(n);
            }
        };
        wait_group all;
        for (int i = 0; i < 6; ++i) all.go([&, i] { work(i % 3 + 1); });
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) threads.emplace_back([&, i] { work(i % 3 + 1); });
        all.wait();
        blocking([&] {
            for (auto& t : threads) t.join();
        });
        ok(s.try_acquire(3));
        ok.equal(children_of(ctx), 0);
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
