// Catch2's assertions on the goroutines of a bubble: <vole/catch2.hpp>. Cites SYN-60.
//
// What must fail does so in a process of its own; Catch2's exit status is the number of failed assertions.
#include <vole/catch2.hpp>

#include "test/synctest/synctest_support.hpp"

namespace vole::test {

namespace {

using synctest::catch2_assertions;

/// Cannot be printed at the same time by two: TSan would see it.
struct printed {
    int value;
    static inline int prints = 0;
    friend bool operator==(const printed& a, const printed& b) { return a.value == b.value; }
    friend std::ostream& operator<<(std::ostream& out, const printed& p) {
        ++prints;
        return out << "printed " << p.value;
    }
};

subprocess_result run_child(const std::string& name) {
    auto r = run_case_in_subprocess(name);
    INFO(r.text());
    CHECK(r.signal == 0);
    CHECK_FALSE(r.timed_out);
    return r;
}

}  // namespace

TEST_CASE("SYN-60 assertions that hold, on many goroutines at once", "[synctest][catch2]") {
    const procs_scope guard(4);
    const catch2_assertions any_goroutine;
    const int rounds = scaled(200);
    std::atomic<int> ran{0};
    bubble([&] {
        const auto start = clock::now();
        for (int i = 0; i < 20; ++i) {
            go([&, i] {
                for (int k = 1; k <= rounds; ++k) {
                    CHECK(i + k == k + i);
                    sleep(1s);
                    REQUIRE(clock::now() == start + k * 1s);
                    CHECK_FALSE(k > rounds);
                    CHECK_THROWS_AS(panic(k), panic_error);
                    CHECK_THROWS_WITH(panic("text"), "text");
                    REQUIRE_NOTHROW(gosched());
                    CHECK_THAT(std::to_string(k), Catch::Contains(std::to_string(k)));
                    CHECK(printed{k} == printed{k});
                }
                ++ran;
            });
        }
        sleep(rounds * 1s + 1s);
        synctest::wait();
        CHECK(clock::now() == start + rounds * 1s + 1s);
    });
    CHECK(ran == 20);
}

TEST_CASE("SYN-60 an expression may wait for other goroutines that assert", "[synctest][catch2]") {
    const catch2_assertions any_goroutine;
    bubble([&] {
        auto c = make_chan<int>();
        go([&] {
            CHECK(c.recv() == 1);
            sleep(1h);
            CHECK_NOTHROW(c.send(2));
        });
        c.send(1);
        const stopwatch t;
        CHECK(c.recv() == 2);
        CHECK(t.ns() == ns(1h));
    });
}

TEST_CASE("SYN-60 one inside another, and none: everything is as it was", "[synctest][catch2]") {
    const auto capture = [] { return Catch::getCurrentContext().getResultCapture(); };
    const auto* const before = capture();
    const panic_handler handler = set_panic_handler(nullptr);
    CHECK_FALSE(handler);
    {
        const catch2_assertions outer;
        const auto* const ours = capture();
        CHECK(ours != before);
        {
            const catch2_assertions inner;
            CHECK(capture() == ours);
            bubble([] { go([] { CHECK(synctest::in_bubble()); }); });
        }
        CHECK(capture() == ours);
        bubble([] { go([] { CHECK(synctest::in_bubble()); }); });
    }
    CHECK(capture() == before);
    CHECK_FALSE(set_panic_handler(nullptr));
    SECTION("a section") { CHECK(capture() == before); }
    SECTION("another one, with an object") {
        const catch2_assertions any_goroutine;
        bubble([] { go([] { REQUIRE(synctest::in_bubble()); }); });
    }
}

TEST_CASE("SYN-60 sections and generators on the test case's thread", "[synctest][catch2]") {
    const catch2_assertions any_goroutine;
    const int n = GENERATE(1, 2, 3);
    SECTION("first") {
        bubble([&] {
            for (int i = 0; i < n; ++i) {
                go([&] { CHECK(n < 4); });
            }
        });
    }
    SECTION("second") {
        INFO("n is " << n);
        bubble([&] { go([&] { CHECK(n > 0); }); });
    }
}

TEST_CASE("child: CHECK fails on goroutines", "[.child]") {
    const catch2_assertions any_goroutine;
    bubble(606060, [] {
        for (int i = 0; i < 10; ++i) {
            go([i] {
                CHECK(printed{i} == printed{i + 100});
                sleep(1s);
                CHECK(printed{i} == printed{i});
            });
        }
        sleep(2s);
    });
    CHECK(printed::prints >= 20);
    say("case went on");
}
TEST_CASE("SYN-60 a CHECK that fails on a goroutine fails the test case", "[synctest][catch2]") {
    const auto r = run_child("child: CHECK fails on goroutines");
    INFO(r.text());
    CHECK(r.exit_status == 10);
    for (int i = 0; i < 10; ++i) {
        const std::string n = std::to_string(i);
        CHECK_THAT(r.out, Catch::Contains("printed " + n + " == printed 10" + n));
    }
    CHECK_THAT(r.out, Catch::Contains("case went on"));
    CHECK(count_of(r.out, "seed 606060") == 10);
    CHECK(r.err == "");
}

TEST_CASE("child: REQUIRE fails on goroutines", "[.child]") {
    const catch2_assertions any_goroutine;
    std::atomic<int> unwound{0};
    int past = 0;
    int others = 0;
    bubble([&] {
        wait_group g;
        for (int i = 0; i < 5; ++i) {
            g.go([&, i] {
                const defer d{[&] { ++unwound; }};
                REQUIRE(i == 1000 + i);
                past = 1;
            });
        }
        g.go([&] {
            sleep(1h);
            others = 1;
        });
        g.wait();
        const timer f = after_func(1s, [&] {
            REQUIRE_THROWS(++others);
            past = 1;
        });
        sleep(2s);
    });
    CHECK(unwound == 5);
    CHECK(past == 0);
    CHECK(others == 2);
    say("case went on");
}
TEST_CASE("SYN-60 a REQUIRE that fails on a goroutine ends it, and fails the test case",
          "[synctest][catch2]") {
    const auto r = run_child("child: REQUIRE fails on goroutines");
    INFO(r.text());
    CHECK(r.exit_status == 6);
    for (int i = 0; i < 5; ++i) {
        const std::string n = std::to_string(i);
        CHECK_THAT(r.out, Catch::Contains(n + " == 100" + n));
    }
    CHECK_THAT(r.out, Catch::Contains("REQUIRE_THROWS( ++others )"));
    CHECK_THAT(r.out, Catch::Contains("case went on"));
    CHECK(r.err == "");  // no panic is reported
}

TEST_CASE("child: REQUIRE fails on main", "[.child]") {
    const catch2_assertions any_goroutine;
    bubble(505050, [] {
        synctest::on_cleanup([] { CHECK(synctest::in_bubble()); });
        go([] { CHECK(synctest::in_bubble()); });
        REQUIRE(clock::wall() == std::chrono::sys_time<clock::duration>());
    });
    say("case went on");
}
TEST_CASE("SYN-60 a REQUIRE that fails on main ends the test case", "[synctest][catch2]") {
    const auto r = run_child("child: REQUIRE fails on main");
    INFO(r.text());
    CHECK(r.exit_status == 1);
    CHECK_THAT(r.out, Catch::Contains("REQUIRE( clock::wall() == "));
    CHECK_THAT(r.out, !Catch::Contains("case went on"));
    CHECK_THAT(r.out, Catch::Contains("505050"));
    CHECK_THAT(r.err, !Catch::Contains("panic: "));
}

namespace {
/// An exception leaves one goroutine of a bubble, an assertion fails in another.
void throw_and_fail() {
    bubble([] {
        wait_group g;
        g.go([] { throw std::out_of_range("of a child"); });
        g.go([] { REQUIRE(std::string("x").size() == 2); });
        g.wait();
    });
}
}  // namespace

TEST_CASE("child: an exception leaves a goroutine", "[.child]") {
    const catch2_assertions any_goroutine;
    throw_and_fail();
    CHECK(true);
    say("case went on");
}
TEST_CASE("child: the same with a handler", "[.child]") {
    set_panic_handler([](const panic_value& p) { say(p.what()); });
    {
        const catch2_assertions any_goroutine;
        throw_and_fail();
    }
    on_thread([] {
        wait_group g;
        g.go([] { panic("afterwards"); });
        g.wait();
    });
}
TEST_CASE("SYN-60 another exception is reported as ever, and fails the test case",
          "[synctest][catch2]") {
    auto r = run_child("child: an exception leaves a goroutine");
    INFO(r.text());
    CHECK(r.exit_status == 2);
    CHECK(count_of(r.err, "panic: ") == 1);
    CHECK_THAT(r.err, Catch::StartsWith("panic: std::out_of_range: of a child\n\ngoroutine "));
    CHECK_THAT(r.out, Catch::Contains("std::out_of_range: of a child"));
    CHECK_THAT(r.out, Catch::Contains("case went on"));

    r = run_child("child: the same with a handler");
    INFO(r.text());
    CHECK(r.exit_status == 1);  // the REQUIRE; the exception is the handler's
    CHECK(count_of(r.out, "std::out_of_range: of a child\n") == 1);
    CHECK(count_of(r.out, "afterwards\n") == 1);
    CHECK(r.err == "");
}

}  // namespace vole::test
