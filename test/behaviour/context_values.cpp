// Contexts: values, causes, texts. Cites CTX-16 to CTX-21, CTX-29.
#include "test/behaviour/context_support.hpp"

#include <memory>

#include "test/support/duel.hpp"

namespace vole::test {

namespace {

struct user {
    std::string name;
    std::string to_string() const { return name; }
};
struct number {
    using value_type = int;
};
struct text {
    using value_type = const char*;
};
struct pointer {
    using value_type = int*;
};
struct held {
    using value_type = std::shared_ptr<int>;
};

}  // namespace

TEST_CASE("CTX-19 the nearest value of a key counts", "[context]") {
    const context bg = context::background();
    CHECK(bg.value<number>() == nullptr);
    const context c1 = with_value<number>(bg, 1);
    CHECK(*c1.value<number>() == 1);
    CHECK(c1.value<text>() == nullptr);
    const context c2 = with_value<text>(c1, "two");
    CHECK(*c2.value<number>() == 1);
    CHECK(std::string(*c2.value<text>()) == "two");
    const context c3 = with_cancel(with_value<number>(c2, 3)).first;
    CHECK(*c3.value<number>() == 3);
    CHECK(*c2.value<number>() == 1);
    CHECK(std::string(*c3.value<text>()) == "two");
    const context c4 = with_value<user>(c3, "gopher");
    CHECK(c4.value<user>()->name == "gopher");
    CHECK(c4.value<user>() == with_timeout(c4, 1h).first.value<user>());
}

TEST_CASE("CTX-19 a null value hides those above", "[context]") {
    int n = 1;
    const context outer = with_value<pointer>(context::background(), &n);
    const context inner = with_value<pointer>(outer, nullptr);
    REQUIRE(inner.value<pointer>() != nullptr);
    CHECK(*inner.value<pointer>() == nullptr);
    CHECK(*outer.value<pointer>() == &n);
}

TEST_CASE("CTX-19 a value lets done, err and deadline through", "[context]") {
    auto [ctx, cancel] = with_timeout(context::background(), 1h);
    const context with = with_value<number>(ctx, 1);
    CHECK(with.done() == ctx.done());
    CHECK(with.deadline() == ctx.deadline());
    CHECK(with.deadline());
    cancel();
    CHECK(ended(with, canceled));
}

TEST_CASE("CTX-19 a value lives as long as the contexts that have it", "[context]") {
    const auto p = std::make_shared<int>(5);
    context child;
    {
        const context ctx = with_value<held>(context::background(), p);
        child = without_cancel(with_cancel(ctx).first);
        CHECK(p.use_count() == 2);
    }
    CHECK(**child.value<held>() == 5);
    CHECK(p.use_count() == 2);
    child = {};
    CHECK(p.use_count() == 1);
}

TEST_CASE("CTX-20 lookup in a long chain", "[context]") {
    const int depth = scaled(100000);
    bool found = false;
    run([&] {
        context c = with_value<number>(context::background(), 7);
        for (int i = 0; i < depth; ++i) c = with_value<text>(c, "x");
        found = *c.value<number>() == 7 && c.value<pointer>() == nullptr;
    });
    CHECK(found);
}

TEST_CASE("CTX-21 without_cancel keeps the values and nothing else", "[context]") {
    auto [parent, cancel] = with_timeout(with_value<number>(context::background(), 1), 1h);
    const context free = without_cancel(parent);
    const auto untouched = [&free] {
        return alive(free) && !free.done() && !free.deadline() && *free.value<number>() == 1;
    };
    CHECK(untouched());
    auto [child, cancel_child] = with_cancel(free);
    cancel();
    CHECK(untouched());
    CHECK(alive(child));
    CHECK(alive(with_cancel(free).first));
    cancel_child();
    CHECK(ended(child, canceled));
    CHECK(untouched());
}

TEST_CASE("CTX-16 the cause is what the cancel function was given first", "[context]") {
    {
        auto [ctx, cancel] = with_cancel_cause(context::background());
        const std::exception_ptr why = error("why");
        cancel(why);
        cancel(error("later"));
        CHECK(ended(ctx, canceled));
        CHECK(ctx.cause() == why);
    }
    {
        auto [ctx, cancel] = with_cancel_cause(context::background());
        cancel(nullptr);
        CHECK(text_of(ctx.cause()) == "context canceled");
        cancel(error("later"));
        CHECK(text_of(ctx.cause()) == "context canceled");
    }
    {
        auto [ctx, cancel] = with_cancel_cause(context::background());
        cancel(std::make_error_code(std::errc::no_space_on_device));
        bool same = false;
        try {
            std::rethrow_exception(ctx.cause());
        } catch (const std::system_error& e) {
            same = e.code() == std::errc::no_space_on_device;
        }
        CHECK(same);
        CHECK(ended(ctx, canceled));
    }
    {
        auto [ctx, cancel] = with_cancel_cause(context::background());
        cancel();
        CHECK(text_of(ctx.cause()) == "context canceled");
    }
}

TEST_CASE("CTX-17 causes of parents and children", "[context]") {
    CHECK(context::background().cause() == nullptr);
    CHECK(context::todo().cause() == nullptr);
    const auto make = [] {
        auto [parent, cancel_parent] = with_cancel_cause(context::background());
        const context between = with_value<number>(parent, 1);
        auto [child, cancel_child] = with_cancel_cause(between);
        return std::tuple(parent, cancel_parent, child, cancel_child);
    };
    {
        auto [parent, cancel_parent, child, cancel_child] = make();
        CHECK(alive(parent));
        CHECK(alive(child));
        cancel_parent(error("parent"));
        cancel_child(error("child"));
        CHECK(text_of(parent.cause()) == "parent");
        CHECK(text_of(child.cause()) == "parent");
    }
    {
        auto [parent, cancel_parent, child, cancel_child] = make();
        cancel_child(error("child"));
        CHECK(alive(parent));
        cancel_parent(error("parent"));
        CHECK(text_of(parent.cause()) == "parent");
        CHECK(text_of(child.cause()) == "child");
    }
    {
        auto [parent, cancel_parent, child, cancel_child] = make();
        const context free = without_cancel(child);
        cancel_parent(error("parent"));
        CHECK(free.cause() == nullptr);
        CHECK(text_of(with_cancel(child).first.cause()) == "parent");
        CHECK(text_of(with_timeout(child, -1s).first.cause()) == "parent");
    }
    {
        auto [parent, cancel_parent] = with_cancel(context::background());
        auto [child, cancel_child] = with_cancel_cause(parent);
        cancel_parent();
        cancel_child(error("child"));
        CHECK(text_of(child.cause()) == "context canceled");
    }
}

TEST_CASE("CTX-18 cause and err never contradict", "[context]") {
    findings ok;
    run_on(2, [&] {
        context ctx;
        cancel_cause_func cancel;
        duel(
            scaled(10000),
            [&] {
                context parent;
                std::tie(parent, cancel) = with_cancel_cause(context::background());
                ctx = with_cancel(parent).first;
                (void)ctx.done();
            },
            [&] { cancel(error("why")); },
            [&] {
                for (int i = 0; i < 100; ++i) {
                    if (i % 2 == 0 ? ctx.cause() != nullptr : static_cast<bool>(ctx.err())) {
                        ok(ctx.err() == canceled);
                        ok.equal(text_of(ctx.cause()), std::string("why"));
                        break;
                    }
                }
            });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-29 texts", "[context]") {
    const context bg = context::background();
    const context c = with_cancel(bg).first;
    CHECK(c.to_string() == "context.Background.WithCancel");
    CHECK(without_cancel(c).to_string() == "context.Background.WithCancel.WithoutCancel");
    CHECK(with_cancel_cause(context::todo()).first.to_string() == "context.TODO.WithCancel");
    const std::string timed = with_timeout(c, 1h).first.to_string();
    CHECK_THAT(timed, Catch::StartsWith("context.Background.WithCancel.WithDeadline("));
    CHECK_THAT(timed, Catch::EndsWith("s])"));
    CHECK_THAT(with_value<number>(bg, 3).to_string(),
               Catch::StartsWith("context.Background.WithValue(") && Catch::EndsWith("number, 3)"));
    CHECK_THAT(with_value<user>(bg, "gopher").to_string(), Catch::EndsWith("user, gopher)"));
    CHECK_THAT(with_value<text>(bg, nullptr).to_string(), Catch::EndsWith("text, <nil>)"));
}

TEST_CASE("CTX-29 errors", "[context]") {
    CHECK(make_error_code(canceled).message() == "context canceled");
    CHECK(make_error_code(too_late).message() == "context deadline exceeded");
    CHECK(std::error_code(too_late) == std::errc::timed_out);
    CHECK(std::error_code(canceled) != std::errc::timed_out);
    CHECK(std::string(context_category().name()) == "context");
    CHECK_FALSE(std::error_code(canceled) == std::error_code(too_late));
}

}  // namespace vole::test
