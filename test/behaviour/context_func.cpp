// Contexts: functions that wait for the end. Cites CTX-22 to CTX-25.
#include "test/behaviour/context_support.hpp"

#include <array>
#include <functional>
#include <memory>

#include "test/support/duel.hpp"

namespace vole::test {

TEST_CASE("CTX-22 the function runs once, in a goroutine of its own, after the end", "[context]") {
    const std::string wrong = everywhere([](findings& ok) {
        auto [ctx, cancel] = with_cancel(context::background());
        const std::uint64_t caller = goroutine_id();
        const auto called = make_chan<std::uint64_t>(2);
        const stop_func stop = after_func(with_value<int>(ctx, 1), [&ok, called, ctx = ctx] {
            ok(ended(ctx, canceled));
            called.send(goroutine_id());
        });
        ok(stays([&] { return called.len() == 0; }, 20));
        cancel();
        cancel();
        const auto id = called.recv();
        ok(id && *id != 0 && *id != caller);
        ok(stays([&] { return called.len() == 0; }, 20));
        ok(!stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("CTX-22 at once if the context is done; never if it cannot be", "[context]") {
    const std::string wrong = everywhere([](findings& ok) {
        auto [ctx, cancel] = with_cancel(context::background());
        cancel();
        const auto called = make_chan<void>(1);
        const stop_func stop = after_func(ctx, [called] { called.send(); });
        ok(!stop());
        ok(called.recv());

        const stop_func never = after_func(context::background(), [&ok] { ok(false); });
        ok(never.stop());
        ok(!never.stop());
        (void)after_func(without_cancel(ctx), [&ok] { ok(false); });
    });
    CHECK(wrong == "");
}

TEST_CASE("CTX-22 functions of all kinds", "[context]") {
    findings ok;
    run_on(2, [&] {
        auto [ctx, cancel] = with_cancel(context::background());
        const auto called = make_chan<int>(10);
        after_func(ctx, [p = std::make_unique<int>(7), called] { called.send(*p); });
        const std::function<void()> f = [called] { called.send(8); };
        after_func(ctx, f);
        ok.throws<runtime_error>("go of nil func value",
                                 [&, c = ctx] { after_func(c, std::function<void()>()); });
        cancel();
        ok.equal(called.recv().value() + called.recv().value(), 15);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-23 stop prevents it, once, and destroys what it has captured", "[context]") {
    const std::string wrong = everywhere([](findings& ok) {
        auto [ctx, cancel] = with_cancel(context::background());
        const auto token = std::make_shared<int>(1);
        const auto called = make_chan<int>(4);
        const stop_func first = after_func(ctx, [token, called] { called.send(1); });
        const stop_func second = after_func(ctx, [called] { called.send(2); });
        const stop_func copy = first;
        ok.equal(token.use_count(), 2L);
        ok(first());
        ok.equal(token.use_count(), 1L);
        ok(!first());
        ok(!copy());
        ok.equal(children_of(ctx), 1);
        cancel();
        ok.equal(called.recv().value(), 2);
        ok(!second());
        ok(stays([&] { return called.len() == 0; }, 20));
    });
    CHECK(wrong == "");
}

TEST_CASE("CTX-23 stop and the end at once: exactly one wins", "[context]") {
    findings ok;
    std::atomic<int> called{0};
    int stopped = 0;
    const int rounds = scaled(20000);
    run_on(2, [&] {
        cancel_func cancel;
        stop_func stop;
        duel(
            rounds,
            [&] {
                context ctx;
                std::tie(ctx, cancel) = with_cancel(context::background());
                stop = after_func(ctx, [&called, p = std::make_unique<int>(1)] { called += *p; });
            },
            [&] { cancel(); }, [&] { stopped += stop(); });
        wait_until([&] { return called + stopped >= rounds; });
    });
    CHECK(called + stopped == rounds);
}

TEST_CASE("CTX-23 stop does not wait for a function that runs", "[context]") {
    findings ok;
    run_on(2, [&] {
        auto [ctx, cancel] = with_cancel(context::background());
        const auto begun = make_chan<void>();
        const auto go_on = make_chan<void>();
        const stop_func stop = after_func(ctx, [begun, go_on] {
            begun.send();
            go_on.recv();
        });
        cancel();
        begun.recv();
        ok(!stop());
        go_on.send();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-24 cancel does not wait for the function", "[context]") {
    findings ok;
    run_on(1, [&] {
        auto [ctx, cancel] = with_cancel(context::background());
        const auto begun = make_chan<void>();
        after_func(ctx, [begun] { begun.send(); });
        cancel();  // nobody receives yet
        ok(begun.recv());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-25 an exception is the goroutine's own panic", "[context]") {
    std::atomic<int> reported{0};
    const panic_handler before = set_panic_handler([&](const panic_value& p) {
        reported += std::string(p.what()).find("expected here") != std::string::npos;
    });
    run_on(2, [&] {
        auto [ctx, cancel] = with_cancel(context::background());
        after_func(ctx, [] { throw std::runtime_error("expected here"); });
        cancel();
        wait_until([&] { return reported == 1; });
    });
    set_panic_handler(before);
    CHECK(reported == 1);
}

TEST_CASE("CTX-22 handles that are dropped, copies too, take nothing back", "[context]") {
    struct counts {
        std::atomic<int>* n;
        void operator()() const { ++*n; }
    };
    std::atomic<int> called{0};
    run_on(2, [&] {
        auto [ctx, cancel] = with_cancel(context::background());
        {
            const stop_func stop = after_func(ctx, counts{&called});
            const stop_func copy = stop;
            const stop_func another = copy;
        }
        // Among these would be the memory of what is given back too early.
        using bytes = std::array<char, sizeof(detail::context_func_of<counts>)>;
        std::vector<std::unique_ptr<bytes>> others;
        for (int i = 0; i < 20; ++i) others.push_back(std::make_unique<bytes>());
        cancel();
        wait_until([&] { return called == 1; });
    });
    CHECK(called == 1);
}

TEST_CASE("CTX-22 what a function has captured, and its context, go when it ends", "[context]") {
    struct held {
        using value_type = std::shared_ptr<int>;
    };
    findings ok;
    run_on(2, [&] {
        auto [ctx, cancel] = with_cancel(context::background());
        const auto token = std::make_shared<int>(1);
        const auto value = std::make_shared<int>(1);
        // Its handle stays.
        const stop_func stop = after_func(ctx, [token] {});
        after_func(with_value<held>(ctx, value), [token] { goexit(); });
        ok.equal(token.use_count(), 3L);
        ok.equal(value.use_count(), 2L);
        cancel();
        wait_until([&] { return token.use_count() == 1; });
        wait_until([&] { return value.use_count() == 1; });
        ok(!stop());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-22 a function keeps its context, until it is called or stopped", "[context]") {
    findings ok;
    run_on(2, [&] {
        auto [root, cancel] = with_cancel(context::background());
        const auto called = make_chan<void>(1);
        after_func(with_cancel(root).first, [called] { called.send(); });
        ok.equal(children_of(root), 1);
        cancel();
        ok(called.recv());

        const auto token = std::make_shared<int>(1);
        struct held {
            using value_type = std::shared_ptr<int>;
        };
        auto stop = after_func(with_value<held>(context::background(), token), [] {});
        ok.equal(token.use_count(), 2L);
        ok(stop());
        ok.equal(token.use_count(), 1L);
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
