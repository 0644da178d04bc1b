// Contexts with deadlines, in virtual time. Cites CTX-10 to CTX-15, CTX-17, CTX-28.
#include <vole/context.hpp>

#include "test/synctest/synctest_support.hpp"

#include "runtime/internal/entry.hpp"
#include "test/support/context_probe.hpp"
#include "time/src/heaps.hpp"

namespace vole::test {

namespace {

constexpr auto canceled = context_errc::canceled;
constexpr auto too_late = context_errc::deadline_exceeded;

bool ended(const context& ctx, std::error_code why) {
    return ctx.err() == why && ctx.done().try_recv().is_closed() && ctx.cause() != nullptr;
}
bool alive(const context& ctx) {
    return !ctx.err() && ctx.cause() == nullptr && ctx.done().try_recv().is_empty();
}

std::string text_of(const std::exception_ptr& cause) {
    if (cause == nullptr) return "none";
    try {
        std::rethrow_exception(cause);
    } catch (const std::exception& e) {
        return e.what();
    }
}
std::exception_ptr error(const char* text) {
    return std::make_exception_ptr(std::runtime_error(text));
}

/// Whether time has something to wait for in this bubble.
bool has_deadlines() {
    const detail::runtime_pin pin;
    return detail::heap_of(detail::find_bubble())->first_alive() != detail::no_deadline;
}

}  // namespace

TEST_CASE("CTX-12 the deadline ends the context and all below, to the nanosecond",
          "[synctest][context]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto [ctx, cancel] = with_timeout(context::background(), 5s);
        auto [child, cancel_child] = with_cancel(ctx);
        ok(ctx.deadline() == t.start() + 5s);
        ok(child.deadline() == t.start() + 5s);
        sleep(5s - 1ns);
        synctest::wait();
        ok(alive(ctx));
        sleep(1ns);
        synctest::wait();
        ok(ended(ctx, too_late));
        ok(ended(child, too_late));
        ok.equal(text_of(ctx.cause()), std::string("context deadline exceeded"));
        ok.equal(text_of(child.cause()), std::string("context deadline exceeded"));
        cancel();
        ok(ctx.err() == too_late);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-12 waiting for done takes as long as the deadline", "[synctest][context]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto [ctx, cancel] = with_deadline(context::background(), t.start() + 1h);
        ok(!ctx.done().recv());
        ok.equal(t.ns(), ns(1h));
        ok(ctx.err() == too_late);
        ok(ctx.err() == std::errc::timed_out);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-12 cancelled first: the timer is gone, and time does not wait for it",
          "[synctest][context]") {
    findings ok;
    bubble([&] {
        auto [ctx, cancel] = with_timeout(context::background(), 1h);
        sleep(1s);
        ok(has_deadlines());
        cancel();
        ok(ended(ctx, canceled));
        ok(!has_deadlines());
        {
            auto [parent, cancel_parent] = with_cancel(context::background());
            const context below = with_timeout(parent, 1h).first;
            ok(has_deadlines());
            cancel_parent();
            ok(!has_deadlines());
        }
        {
            const context dropped = with_timeout(context::background(), 1h).first;
            ok(has_deadlines());
        }
        ok(!has_deadlines());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-10 the earlier of two deadlines counts", "[synctest][context]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto [outer, cancel_outer] = with_timeout(context::background(), 2s);
        auto [later, cancel_later] = with_timeout(outer, 4s);
        auto [sooner, cancel_sooner] = with_timeout(outer, 1s);
        auto [equal, cancel_equal] = with_timeout_cause(outer, 2s, error("equal"));
        ok(later.deadline() == t.start() + 2s);
        ok(sooner.deadline() == t.start() + 1s);
        ok(equal.deadline() == t.start() + 2s);
        ok(later.to_string().ends_with(".WithCancel"));
        ok(equal.to_string().find(".WithDeadline(", 30) != std::string::npos);
        sleep(1s);
        synctest::wait();
        ok(ended(sooner, too_late));
        ok(alive(outer));
        ok(alive(later));
        sleep(1s);
        synctest::wait();
        ok(ended(outer, too_late));
        ok(ended(later, too_late));
        ok(ended(equal, too_late));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-11 a deadline that is over", "[synctest][context]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto [root, cancel_root] = with_cancel(context::background());
        const auto over = [&, root = root](auto pair) {
            auto& [ctx, cancel] = pair;
            ok(ended(ctx, too_late));
            ok.equal(children_of(root), 0);
            cancel();
            ok(ended(ctx, too_late));
        };
        over(with_deadline(root, t.start()));
        over(with_deadline(root, t.start() - 1h));
        over(with_timeout(root, 0s));
        over(with_timeout(root, -1ns));
        over(with_timeout(root, clock::duration::min()));
        const context why = with_timeout_cause(root, -1s, error("why")).first;
        ok.equal(text_of(why.cause()), std::string("why"));
        ok.equal(t.ns(), 0);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-13 time-outs of any length", "[synctest][context]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto [ctx, cancel] = with_timeout(context::background(), clock::duration::max());
        ok(alive(ctx));
        ok(ctx.deadline() > t.start());
        auto [hours, cancel_hours] = with_timeout(ctx, std::chrono::hours::max());
        ok(alive(hours));
        auto [short_one, cancel_short] = with_timeout(ctx, 1.5s);
        short_one.done().recv();
        ok.equal(t.ns(), ns(1500ms));
        ok(alive(ctx));
        cancel();
        ok(ended(hours, canceled));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-15 the cause of a deadline is told only if it comes first", "[synctest][context]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto [first, cancel_first] =
            with_deadline_cause(context::background(), t.start() + 1s, error("too slow"));
        auto [second, cancel_second] = with_timeout_cause(
            context::background(), 1s, std::make_error_code(std::errc::io_error));
        auto [below, cancel_below] = with_cancel(first);
        cancel_second();
        ok.equal(text_of(second.cause()), std::string("context canceled"));
        sleep(2s);
        ok(ended(first, too_late));
        ok.equal(text_of(first.cause()), std::string("too slow"));
        ok.equal(text_of(below.cause()), std::string("too slow"));
        cancel_first();
        ok.equal(text_of(first.cause()), std::string("too slow"));
        ok(second.err() == canceled);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-17 deadlines above and below, in either order", "[synctest][context]") {
    findings ok;
    bubble([&] {
        auto [parent, cancel_parent] =
            with_timeout_cause(context::background(), 2s, error("parent"));
        auto [child, cancel_child] = with_timeout_cause(parent, 1s, error("child"));
        auto [other, cancel_other] = with_cancel_cause(parent);
        sleep(3s);
        ok.equal(text_of(child.cause()), std::string("child"));
        ok.equal(text_of(parent.cause()), std::string("parent"));
        ok.equal(text_of(other.cause()), std::string("parent"));
        cancel_other(error("late"));
        ok.equal(text_of(other.cause()), std::string("parent"));
        ok(other.err() == too_late);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CTX-28 random layers, cancelled or timed out", "[synctest][context]") {
    findings ok;
    for (int round = 0; round < scaled(20, 3); ++round) {
        bubble(static_cast<std::uint64_t>(round + 1), [&] {
            struct level {
                using value_type = int;
            };
            auto [root, cancel_root] = with_cancel(context::background());
            const bool by_time = synctest::random() % 2 == 0;
            context c = root;
            std::vector<cancel_func> cancels;
            int values = 0;
            const int timed = static_cast<int>(synctest::random() % 30);
            for (int i = 0; i < 30; ++i) {
                if (i == timed && by_time) {
                    auto [next, cancel] = with_timeout(c, 1s);
                    cancels.push_back(cancel);
                    c = next;
                }
                switch (synctest::random() % 3) {
                    case 0: {
                        c = with_value<level>(c, ++values);
                        break;
                    }
                    case 1: {
                        auto [next, cancel] = with_cancel(c);
                        cancels.push_back(cancel);
                        c = next;
                        break;
                    }
                    default: {
                        auto [next, cancel] = with_timeout(c, 1h);
                        cancels.push_back(cancel);
                        c = next;
                    }
                }
            }
            const auto check_values = [&] {
                const int* v = c.value<level>();
                ok.equal(v != nullptr ? *v : 0, values);
            };
            check_values();
            ok(alive(c));
            if (by_time) {
                const stopwatch t;
                c.done().recv();
                ok.equal(t.ns(), ns(1s));
                ok(ended(c, too_late));
            } else if (!cancels.empty()) {
                cancels[synctest::random() % cancels.size()]();
                ok(ended(c, canceled));
            }
            check_values();
            for (const cancel_func& cancel : cancels) cancel();
            wait_until_childless(root);
        });
    }
    CHECK(ok.text() == "");
}

}  // namespace vole::test
