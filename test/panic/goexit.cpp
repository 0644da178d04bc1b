// goexit beside panics and deferred calls: PAN-30 to PAN-34.
#include "test/panic/panic_support.hpp"

namespace vole::test {

TEST_CASE("PAN-30 goexit runs all deferred calls, and there is nothing to recover") {
    log l;
    in_goroutine([&] {
        defer last{[&] { l("last " + recovered()); }};
        recovering([&] {
            defer inner{[&] { l("inner " + recovered()); }};
            goexit();
        });
        l("never");
    });
    CHECK(l.text() == "inner nothing last nothing");
}

TEST_CASE("PAN-31 a panic of a deferred call that is recovered does not end goexit") {
    log l;
    in_goroutine([&] {
        defer last{[&] { l("last"); }};
        recovering([&] {
            defer recovers{[&] { l(recovered()); }};
            defer panics{[&] { panic("hello"); }};
            goexit();
        });
        l("never");
    });
    CHECK(l.text() == "hello last");
    // Recovered by a frame further out.
    log m;
    in_goroutine([&] {
        recovering([&] {
            defer recovers{[&] { m(recovered()); }};
            recovering([&] {
                defer panics{[&] { panic("hello"); }};
                goexit();
            });
            m("never");
        });
        m("never");
    });
    CHECK(m.text() == "hello");
    // RecoverBeforePanicAfterGoexit: recovered before the next one begins.
    log n;
    in_goroutine([&] {
        defer last{[&] { n("last"); }};
        recovering([&] {
            defer a{[&] { n(recovered()); }};
            defer b{[&] { panic("two"); }};
            defer c{[&] { n(recovered()); }};
            defer d{[&] { panic("one"); }};
            goexit();
        });
        n("never");
    });
    CHECK(n.text() == "one two last");
}

TEST_CASE("PAN-31 a panic of a deferred call during goexit that nobody recovers is reported") {
    log l;
    std::atomic<int> told{0};
    {
        handler_scope h([&](const panic_value& p) {
            if (std::string(p.what()) == "hello") ++told;
        });
        in_goroutine([&] {
            defer last{[&] { l("last"); }};
            recovering([&] {
                defer panics{[&] { panic("hello"); }};
                goexit();
            });
            l("never");
        });
        CHECK(told == 1);
        in_goroutine([&] {
            defer last{[&] { l("last"); }};
            defer panics{[&] { panic("hello"); }};
            goexit();
        });
    }
    CHECK(told == 2);
    CHECK(l.text() == "last last");
}

TEST_CASE("PAN-32 goexit in a deferred call during a panic drops the panic") {
    log l;
    int told = 0;
    handler_scope h([&](const panic_value&) { ++told; });
    in_goroutine([&] {
        defer last{[&] { l("last " + recovered()); }};
        recovering([&] {
            defer after{[&] { l("after " + recovered()); }};
            defer d{[&] {
                defer inner{[&] { l("inner " + recovered()); }};
                goexit();
            }};
            panic("dropped");
        });
        l("never");
    });
    CHECK(l.text() == "inner nothing after nothing last nothing");
    CHECK(told == 0);
}

TEST_CASE("PAN-32 goexit in deferred calls, again and again, ends") {
    log l;
    in_goroutine([&] {
        recovering([&] {
            defer a{[&] { goexit(); }};
            defer b{[&] { goexit(); }};
            defer c{[&] {
                recovering([&] {
                    defer d{[&] { goexit(); }};
                    panic("inner");
                });
            }};
            defer e{[&] { l(std::to_string(std::uncaught_exceptions())); }};
            goexit();
        });
        l("never");
    });
    CHECK(l.text() == "1");
}

TEST_CASE("PAN-33 goexit on a thread that is no goroutine throws") {
    CHECK_THROWS_AS(goexit(), runtime_error);
}

TEST_CASE("PAN-34 catch (...) that rethrows passes goexit on, and exceptions are not it") {
    log l;
    in_goroutine([&] {
        defer last{[&] { l("deferred"); }};
        recovering([&] {
            defer recovers{[&] { l(recovered()); }};
            try {
                try {
                    goexit();
                } catch (const std::exception&) {
                    l("never");
                }
            } catch (...) {
                l("catch");
                throw;
            }
        });
        l("never");
    });
    CHECK(l.text() == "catch nothing deferred");
    log m;
    in_goroutine([&] {
        defer last{[&] { m(recovered()); }};
        recovering([&] {
            defer recovers{[&] { m(recovered()); }};
            defer panics{[&] { panic("p"); }};
            try {
                goexit();
            } catch (...) {
                throw;
            }
        });
    });
    CHECK(m.text() == "p nothing");
}

TEST_CASE("child: goexit swallowed", "[.child]") {
    in_goroutine([] {
        try {
            goexit();
        } catch (...) {
        }
    });
}
TEST_CASE("child: goexit through noexcept", "[.child]") {
    in_goroutine([] { []() noexcept { goexit(); }(); });
}
TEST_CASE("child: goexit while an exception unwinds that will be caught", "[.child]") {
    in_goroutine([] {
        try {
            defer d{[] { goexit(); }};
            throw 1;
        } catch (int) {
        }
    });
}
TEST_CASE("PAN-34 goexit that cannot go on is fatal") {
    auto r = run_case_in_subprocess("child: goexit swallowed");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: goexit swallowed\n"));
    r = run_case_in_subprocess("child: goexit through noexcept");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("goroutine ") && Catch::Contains("terminate called"));
    r = run_case_in_subprocess("child: goexit while an exception unwinds that will be caught");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: goexit during unwinding\n"));
}

}  // namespace vole::test
