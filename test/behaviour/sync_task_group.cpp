// vole::task_group, race. Cites SYNC-77 to SYNC-83.
#include <vole/task_group.hpp>

#include "test/behaviour/context_support.hpp"

#include <functional>
#include <memory>

namespace vole::test {

static_assert(!std::is_copy_constructible_v<task_group>);

namespace {

struct failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Waits until the context ends.
void until_done(const context& ctx) { ctx.done().recv(); }

/// The texts of what task_errors holds.
std::vector<std::string> texts_of(const task_errors& e) {
    std::vector<std::string> texts;
    for (const auto& error : e.all()) texts.push_back(text_of(error));
    return texts;
}

}  // namespace

TEST_CASE("SYNC-77 a group waits for all of its tasks", "[sync][task_group]") {
    const std::string wrong = everywhere([](findings& ok) {
        std::atomic<int> ran{0};
        task_group g;
        g.wait();
        for (int i = 0; i < 20; ++i) {
            g.go([&] {
                gosched();
                ++ran;
            });
        }
        g.wait();
        ok.equal(ran.load(), 20);
    });
    CHECK(wrong == "");
}

TEST_CASE("SYNC-77 wait throws the first error, each time", "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        task_group g;
        const auto second = make_chan<void>();
        g.go([] { throw failure("first"); });
        g.go([second] {
            second.recv();
            throw failure("second");
        });
        g.go([] {});
        g.context().done().recv();
        second.send();
        ok.throws<failure>("first", [&] { g.wait(); });
        ok.throws<failure>("first", [&] { g.wait(); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-77 an error that the end of the context brings about is not the first",
          "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        task_group g;
        std::vector<std::pair<context, cancel_func>> children;  // ending them takes a while
        for (int i = 0; i < 10'000; ++i) children.push_back(with_cancel(g.context()));
        std::atomic<bool> started{false};
        g.go([&] {
            started = true;
            while (alive(g.context())) {
            }
            throw failure("second");
        });
        while (!started) gosched();
        g.go([] { throw failure("first"); });
        ok.throws<failure>("first", [&] { g.wait(); });
        ok.equal(text_of(g.context().cause()), std::string("first"));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-78 the context ends at the first error, with it as the cause",
          "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        auto [parent, cancel] = with_cancel(context::background());
        task_group g(parent);
        ok(alive(g.context()));
        g.go([&ok](const context& ctx) {
            until_done(ctx);
            ok(ctx.err() == canceled);
            ok.equal(text_of(ctx.cause()), std::string("broken"));
        });
        g.go([] { throw failure("broken"); });
        ok.throws<failure>("broken", [&] { g.wait(); });
        ok(alive(parent));
        ok(ended(g.context(), canceled));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-78 and when wait returns; and with its parent", "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        task_group g;
        const context ctx = g.context();
        g.go([] {});
        g.wait();
        ok(ended(ctx, canceled));
        ok.equal(text_of(ctx.cause()), std::string("context canceled"));

        auto [parent, cancel] = with_cancel(context::background());
        task_group h(parent);
        h.go(until_done);
        cancel();
        h.wait();

        task_group k;
        k.go(until_done);
        k.cancel();
        k.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-80 the limit", "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        task_group g;
        g.set_limit(2);
        const auto gate = make_chan<void>();
        g.go([gate] { gate.recv(); });
        ok(g.try_go([gate] { gate.recv(); }));
        ok(!g.try_go([&] { ok(false); }));
        ok.throws<runtime_error>(
            "errgroup: modify limit while 2 goroutines in the group are still active",
            [&] { g.set_limit(3); });
        task_group one;
        const auto its_gate = make_chan<void>();
        one.go([its_gate] { its_gate.recv(); });
        ok.throws<runtime_error>(
            "errgroup: modify limit while 1 goroutines in the group are still active",
            [&] { one.set_limit(3); });
        its_gate.send();
        one.wait();
        std::atomic<bool> begun{false};
        wait_group other;
        other.go([&] {
            g.go([] {});
            begun = true;
        });
        ok(stays([&] { return !begun; }, 50));
        gate.send();
        other.wait();
        ok(begun.load());
        gate.send();
        g.wait();
        g.set_limit(0);
        ok(!g.try_go([] {}));
        g.set_limit(-1);
        for (int i = 0; i < 20; ++i) ok(g.try_go([] {}));
        g.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-81 the limit is never exceeded", "[sync][task_group]") {
    findings ok;
    run_on(4, [&] {
        task_group g;
        constexpr int limit = 5;
        g.set_limit(limit);
        std::atomic<int> running{0};
        for (int i = 0; i < scaled(512); ++i) {
            g.go([&, i] {
                ok(++running <= limit);
                for (int k = 0; k < i % 4; ++k) gosched();
                --running;
            });
        }
        g.wait();
        ok.equal(running.load(), 0);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-82 any exception is carried; no panic handler hears of it", "[sync][task_group]") {
    findings ok;
    std::atomic<int> reported{0};
    const panic_handler before = set_panic_handler([&](const panic_value&) { ++reported; });
    run_on(2, [&] {
        {
            task_group g;
            g.go([] { vole::panic(7); });
            ok.throws<panic_error>("7", [&] { g.wait(); });
        }
        {
            task_group g;
            g.go([] { throw 5; });
            int caught = 0;
            try {
                g.wait();
            } catch (int n) {
                caught = n;
            }
            ok.equal(caught, 5);
        }
        {
            task_group lost;
            lost.go([] { throw failure("lost"); });
        }
    });
    set_panic_handler(before);
    CHECK(reported == 0);
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-82 goexit is an end without an error", "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        task_group g;
        g.set_limit(1);
        g.go([] { goexit(); });
        g.go([] {});
        g.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-82 the destructor joins", "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        std::atomic<int> ran{0};
        context left;
        {
            task_group g;
            left = g.context();
            for (int i = 0; i < 5; ++i) {
                g.go([&](const context& ctx) {
                    for (int k = 0; k < 10; ++k) gosched();
                    ok(!ctx.err());  // the end of the scope lets them finish
                    ++ran;
                });
            }
        }
        ok.equal(ran.load(), 5);
        ok(ended(left, canceled));
        // Left by an exception: told to end.
        ok.throws<failure>("out", [&] {
            task_group g;
            g.go(until_done);
            throw failure("out");
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE(
    "SYNC-82 the destructor cancels for an exception that leaves the group, not for one around it",
    "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        struct at_end {
            findings& ok;
            ~at_end() {
                task_group g;
                g.go([this](const context& ctx) {
                    for (int k = 0; k < 10; ++k) gosched();
                    ok(!ctx.err());
                });
            }
        };
        ok.throws<failure>("out", [&] {
            const at_end end{ok};
            throw failure("out");
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-80 a task that could not be started does not count", "[sync][task_group]") {
    struct uncopyable {
        uncopyable() = default;
        uncopyable(const uncopyable&) { throw failure("copy"); }
        void operator()() const {}
    };
    findings ok;
    run_on(2, [&] {
        task_group g;
        g.set_limit(1);
        const uncopyable task;
        for (int i = 0; i < 3; ++i) {
            ok.throws<failure>("copy", [&] { g.go(task); });
            ok.throws<failure>("copy", [&] { g.try_go(task); });
        }
        ok(g.try_go([] {}));
        g.wait();
        g.set_limit(2);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-82 collect_all keeps every error, and stops nobody", "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        task_group g(task_group::collect_all);
        const auto turn = make_chan<void>();
        g.go([] { throw failure("one"); });
        g.go([&](const context& ctx) {
            turn.recv();
            ok(!ctx.err());
            throw failure("two");
        });
        g.go([] {});
        while (g.try_go([] {}) && num_goroutine() > 3) gosched();
        turn.send();
        std::vector<std::string> texts;
        std::string what;
        try {
            g.wait();
        } catch (const task_errors& e) {
            texts = texts_of(e);
            what = e.what();
        }
        ok.equal(texts.size(), std::size_t{2});
        ok.equal(what, "2 tasks failed: " + texts.at(0) + "; " + texts.at(1));
        task_group fine(context::background(), task_group::collect_all);
        fine.go([] {});
        fine.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-83 tasks start tasks", "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        std::atomic<int> ran{0};
        task_group g;
        std::function<void(int)> tree = [&](int depth) {
            ++ran;
            if (depth == 0) return;
            g.go([&, depth] { tree(depth - 1); });
            g.go([&, depth] { tree(depth - 1); });
        };
        g.go([&] { tree(7); });
        g.wait();
        ok.equal(ran.load(), 255);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-82 tasks of all kinds, gone before wait returns", "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        for (int i = 0; i < scaled(100); ++i) {
            task_group g;
            const auto token = std::make_shared<int>(1);
            g.go([token] {});
            g.go([p = std::make_unique<int>(4)](const context&) { return *p; });
            g.wait();
            ok.equal(token.use_count(), 1L);
        }
        task_group g;
        ok.throws<runtime_error>("go of nil func value", [&] { g.go(std::function<void()>()); });
        ok.throws<runtime_error>("go of nil func value",
                                 [&] { g.try_go(std::function<void()>()); });
        g.wait();
        const context nil;
        ok.throws<runtime_error>("cannot create context from nil parent",
                                 [&] { const task_group bad(nil); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("race: the first that succeeds wins, the others are told and joined",
          "[sync][task_group]") {
    findings ok;
    run_on(2, [&] {
        std::atomic<int> ended_tasks{0};
        const auto slow = [&](const context& ctx) {
            until_done(ctx);
            ++ended_tasks;
            return 1;
        };
        const int got = race(
            context::background(), slow, [] { return 2; }, slow,
            []() -> int { throw failure("no"); });
        ok.equal(got, 2);
        ok.equal(ended_tasks.load(), 2);
        ok.equal(*race(context::background(), [] { return std::make_unique<int>(3); }), 3);
        race(
            context::background(), [] {}, until_done);
        std::vector<std::string> texts;
        try {
            race(
                context::background(), [] { throw failure("a"); }, [] { throw failure("a"); });
        } catch (const task_errors& e) {
            texts = texts_of(e);
        }
        ok(texts == std::vector<std::string>{"a", "a"});
        bool none = false;
        try {
            race(context::background(), [] { goexit(); });
        } catch (const task_errors& e) {
            none = e.all().empty();
        }
        ok(none);
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
