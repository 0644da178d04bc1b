// Contexts: cancellation. Cites CTX-1 to CTX-9, CTX-20, CTX-27, CTX-28.
#include "test/behaviour/context_support.hpp"

#include "test/support/duel.hpp"

namespace vole::test {

static_assert(std::is_nothrow_move_constructible_v<context>);
static_assert(std::is_copy_constructible_v<cancel_func>);
static_assert(sizeof(context) == sizeof(void*));

TEST_CASE("CTX-1 the roots are never done and have no values", "[context]") {
    for (const context& root : {context::background(), context::todo()}) {
        CHECK_FALSE(root.done());
        CHECK(root.done() == recv_chan<void>());
        CHECK_FALSE(root.err());
        CHECK(root.cause() == nullptr);
        CHECK_FALSE(root.deadline());
        CHECK(root.value<int>() == nullptr);
    }
    CHECK(context::background().to_string() == "context.Background");
    CHECK(context::todo().to_string() == "context.TODO");
    CHECK(context::background() == context::background());
    CHECK_FALSE(context::background() == context::todo());
}

TEST_CASE("CTX-2 a nil parent", "[context]") {
    findings ok;
    const context nil;
    constexpr const char* text = "cannot create context from nil parent";
    ok.throws<runtime_error>(text, [&] { (void)with_cancel(nil); });
    ok.throws<runtime_error>(text, [&] { (void)with_cancel_cause(nil); });
    ok.throws<runtime_error>(text, [&] { (void)with_value<int>(nil, 1); });
    ok.throws<runtime_error>(text, [&] { (void)without_cancel(nil); });
    ok.throws<runtime_error>(text, [&] { (void)with_timeout(nil, 1h); });
    ok.throws<runtime_error>(text, [&] { (void)with_deadline(nil, clock::now()); });
    ok.throws<runtime_error>("use of nil context", [&] { (void)nil.done(); });
    ok.throws<runtime_error>("use of nil context", [&] { (void)nil.err(); });
    ok.throws<runtime_error>("use of nil context", [&] { (void)nil.value<int>(); });
    ok.throws<runtime_error>("use of nil context", [&] { after_func(nil, [] {}); });
    CHECK(ok.text() == "");
    CHECK_FALSE(nil);
    cancel_func()();
    CHECK_FALSE(stop_func()());
}

TEST_CASE("CTX-3 done gives the same channel each time", "[context]") {
    auto [ctx, cancel] = with_cancel(context::background());
    const recv_chan<void> done = ctx.done();
    CHECK(done);
    CHECK(ctx.done() == done);
    CHECK(with_value<int>(ctx, 1).done() == done);
    CHECK(alive(ctx));
    cancel();
    CHECK(ctx.done() == done);
    CHECK(ended(ctx, canceled));

    auto [other, cancel_other] = with_cancel(context::background());
    cancel_other();
    CHECK(ended(other, canceled));
    auto [third, cancel_third] = with_cancel(context::background());
    cancel_third();
    CHECK(third.done() == other.done());  // one for all that were cancelled before anybody asked
    CHECK(third.done().len() == 0);
}

TEST_CASE("CTX-4 who sees an error finds done closed, and the other way round", "[context]") {
    findings ok;
    run_on(2, [&] {
        context ctx;
        cancel_func cancel;
        recv_chan<void> done;
        duel(
            scaled(20000),
            [&] {
                std::tie(ctx, cancel) = with_cancel(context::background());
                done = ctx.done();
            },
            [&] { cancel(); },
            [&] {
                for (int i = 0; i < 200; ++i) {
                    if (i % 2 == 0) {
                        if (ctx.err()) {
                            ok(is_closed(done));
                            ok(ctx.cause() != nullptr);
                            break;
                        }
                    } else if (is_closed(done)) {
                        ok(ctx.err() == canceled);
                        break;
                    }
                }
            });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-4 done is closed, also if it is asked for at the moment of the end", "[context]") {
    findings ok;
    run_on(2, [&] {
        context ctx;
        cancel_func cancel;
        recv_chan<void> done;
        const auto check = [&] {
            if (!ctx) return;
            ok(is_closed(done));
            ok(ctx.done() == done);
            ok(ended(ctx, canceled));
        };
        duel(
            scaled(20000),
            [&] {
                check();
                std::tie(ctx, cancel) = with_cancel(context::background());
            },
            [&] { cancel(); }, [&] { done = ctx.done(); });
        check();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-4 an error stays what it is", "[context]") {
    auto [ctx, cancel] = with_cancel_cause(context::background());
    CHECK(alive(ctx));
    cancel(error("first"));
    for (int i = 0; i < 3; ++i) {
        CHECK(ended(ctx, canceled));
        CHECK(text_of(ctx.cause()) == "first");
        cancel(error("later"));
    }
}

TEST_CASE("CTX-6 cancel wakes whoever waits, may be called again, and from anywhere", "[context]") {
    const std::string wrong = everywhere([](findings& ok) {
        auto [ctx, cancel] = with_cancel(context::background());
        wait_group waiters;
        for (int i = 0; i < 10; ++i) {
            waiters.go([&ok, ctx = ctx] {
                ok(!ctx.done().recv());
                ok(ctx.err() == canceled);
            });
        }
        wait_group cancels;
        for (int i = 0; i < 5; ++i) cancels.go([cancel = cancel] { cancel(); });
        std::thread t([cancel = cancel] { cancel(); });
        waiters.wait();
        cancels.wait();
        blocking([&] { t.join(); });
        ok(ended(ctx, canceled));
    });
    CHECK(wrong == "");
}

TEST_CASE("CTX-7 a parent's end reaches all below, whatever lies in between", "[context]") {
    auto [root, cancel] = with_cancel(context::background());
    std::vector<context> below;
    below.push_back(with_value<int>(root, 1));
    below.push_back(with_cancel(below.back()).first);
    below.push_back(with_timeout(below.back(), 1h).first);
    below.push_back(with_value<char>(below.back(), 'c'));
    below.push_back(with_cancel_cause(below.back()).first);
    for (int i = 0; i < 200; ++i) below.push_back(with_cancel(root).first);
    for (const context& c : below) CHECK(alive(c));
    const recv_chan<void> deep = below[4].done();
    cancel();
    for (const context& c : below) CHECK(ended(c, canceled));
    CHECK(is_closed(deep));
}

TEST_CASE("CTX-7 a child's end touches neither siblings nor parents", "[context]") {
    auto [root, cancel_root] = with_cancel(context::background());
    auto [first, cancel_first] = with_cancel(root);
    auto [second, cancel_second] = with_cancel(root);
    CHECK(children_of(root) == 2);
    cancel_first();
    CHECK(ended(first, canceled));
    CHECK(alive(second));
    CHECK(alive(root));
    CHECK(children_of(root) == 1);
    cancel_root();
    CHECK(ended(second, canceled));
    CHECK(children_of(root) == 0);
}

TEST_CASE("CTX-8 what is derived from a context that is done is done", "[context]") {
    auto [root, cancel] = with_cancel_cause(context::background());
    cancel(error("why"));
    const context child = with_cancel(with_value<int>(root, 1)).first;
    const context timed = with_timeout(root, 1h).first;
    const context over = with_timeout(root, -1h).first;
    for (const context& c : {child, timed, over}) {
        CHECK(ended(c, canceled));
        CHECK(text_of(c.cause()) == "why");
    }
    CHECK(children_of(root) == 0);
    const context late = with_timeout_cause(context::background(), -1h, error("late")).first;
    const context below = with_cancel(late).first;
    CHECK(ended(below, too_late));
    CHECK(text_of(below.cause()) == "late");
}

TEST_CASE("CTX-9 what ends, or is dropped, leaves its parent", "[context]") {
    auto [root, cancel] = with_cancel(context::background());
    CHECK(children_of(root) == 0);
    {
        auto [first, cancel_first] = with_cancel(root);
        auto [second, cancel_second] = with_timeout(with_value<int>(root, 1), 1h);
        CHECK(children_of(root) == 2);
        cancel_first();
        CHECK(children_of(root) == 1);
        cancel_second();
        CHECK(children_of(root) == 0);
    }
    {
        const context dropped = with_cancel(root).first;
        const context timed = with_timeout(root, 1h).first;
        CHECK(children_of(root) == 2);
    }
    CHECK(children_of(root) == 0);
    {
        cancel_func keeps = with_cancel(root).second;
        CHECK(children_of(root) == 1);
        cancel();
        CHECK(children_of(root) == 0);
    }
    const int rounds = scaled(100000);
    auto [lasting, cancel_lasting] = with_cancel(context::background());
    for (int i = 0; i < rounds; ++i) {
        auto [ctx, cancel_it] = with_cancel(lasting);
        if (i % 2 == 0) cancel_it();
    }
    CHECK(children_of(lasting) == 0);
}

TEST_CASE("CTX-9 what is dropped while its parent ends is let alone", "[context]") {
    findings ok;
    run_on(2, [&] {
        for (int round = 0; round < scaled(20); ++round) {
            auto [root, cancel] = with_cancel(context::background());
            // Its turn comes first, and it keeps the walk busy until the others are gone.
            const context large = with_cancel(root).first;
            std::vector<context> below;
            for (int i = 0; i < 20000; ++i) below.push_back(with_cancel(large).first);
            std::vector<context> dropped;
            for (int i = 0; i < 20; ++i) dropped.push_back(with_cancel(root).first);
            std::vector<context> fresh;  // in the same memory, if that is free
            std::atomic<bool> ready{false};
            wait_group other;
            other.go([&] {
                ready = true;
                while (alive(large)) {
                }
                dropped.clear();
                for (int i = 0; i < 20; ++i)
                    fresh.push_back(with_cancel(context::background()).first);
            });
            while (!ready) gosched();
            cancel();
            other.wait();
            for (const context& c : fresh) ok(alive(c));
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-9 a deadline that comes at once leaves the parent", "[context]") {
    findings ok;
    run_on(4, [&] {
        auto [root, cancel] = with_cancel(context::background());
        std::vector<context> over;  // those that are freed leave it in any case
        for (int i = 0; i < scaled(20000); ++i) {
            over.push_back(with_timeout(root, 1ns).first);
            over.back().done().recv();
        }
        wait_until([&, root = root] { return children_of(root) == 0; });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-9 a child holds its parent", "[context]") {
    context child;
    cancel_func cancel;
    {
        auto [root, cancel_root] = with_cancel(context::background());
        const context middle = with_value<int>(root, 7);
        child = with_cancel(middle).first;
        cancel = cancel_root;
    }
    CHECK(*child.value<int>() == 7);
    cancel();
    CHECK(ended(child, canceled));
}

TEST_CASE("CTX-20 chains of any length are cancelled and destroyed without recursion",
          "[context]") {
    const int depth = scaled(100000);
    // On a goroutine: 256 KiB of stack.
    bool all = false;
    run([&] {
        auto [root, cancel] = with_cancel(context::background());
        context c = root;
        for (int i = 0; i < depth; ++i) {
            c = i % 2 == 0 ? with_cancel(c).first : with_value<int>(c, i);
        }
        cancel();
        all = ended(c, canceled);
    });
    CHECK(all);
}

TEST_CASE("CTX-27 cancels that meet", "[context]") {
    findings ok;
    run_on(4, [&] {
        for (int i = 0; i < scaled(300); ++i) {
            auto [root, cancel] = with_cancel(context::background());
            auto [child, cancel_child] = with_cancel(root);
            wait_group done;
            done.add(2);
            // The end of each cancels the other.
            after_func(child, [&done, cancel = cancel] {
                cancel();
                done.done();
            });
            after_func(root, [&done, cancel = cancel_child] {
                cancel();
                done.done();
            });
            if (i % 2 == 0) {
                cancel();
            } else {
                cancel_child();
            }
            done.wait();
            ok(ended(root, canceled));
            ok(ended(child, canceled));
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-28 a hundred children and their parent are cancelled at once", "[context]") {
    findings ok;
    run_on(4, [&] {
        for (int round = 0; round < scaled(50); ++round) {
            auto [root, cancel] = with_cancel(context::background());
            std::vector<std::pair<context, cancel_func>> children;
            for (int i = 0; i < 100; ++i) children.push_back(with_cancel(root));
            wait_group all;
            for (auto& child : children) all.go([&child] { child.second(); });
            all.go([cancel = cancel] { cancel(); });
            for (auto& child : children) {
                all.go([&ok, &child] {
                    child.first.done().recv();
                    ok(ended(child.first, canceled));
                });
            }
            all.wait();
            ok(ended(root, canceled));
            ok.equal(children_of(root), 0);
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-7 a parent's cancel finds children done that others are cancelling", "[context]") {
    findings ok;
    run_on(2, [&] {
        context root;
        cancel_func cancel;
        cancel_func cancel_child;
        std::vector<context> below;
        duel(
            scaled(5000),
            [&] {
                std::tie(root, cancel) = with_cancel(context::background());
                context child;
                std::tie(child, cancel_child) = with_cancel(root);
                below = {child};
                for (int i = 0; i < 5; ++i) below.push_back(with_cancel(child).first);
                for (const context& c : below) (void)c.done();
            },
            [&] {
                cancel();
                for (const context& c : below) ok(ended(c, canceled));
            },
            [&] { cancel_child(); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-30 what contexts cost in memory", "[context]") {
    CHECK(sizeof(detail::cancel_node) <= 128);
    CHECK(sizeof(detail::value_holder<int>) <= 80);
}

}  // namespace vole::test
