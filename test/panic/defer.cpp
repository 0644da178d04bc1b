// Deferred calls without panics: PAN-1 to PAN-5.
#include "test/panic/panic_support.hpp"

#include <functional>
#include <memory>

namespace vole::test {

TEST_CASE("PAN-1 deferred calls run in the opposite order when the scope is left") {
    log l;
    const auto f = [&](bool early) {
        defer first{[&] { l("first"); }};
        defer second{[&] { l("second"); }};
        if (early) return;
        defer third{[&] { l("third"); }};
        l("body");
    };
    f(true);
    f(false);
    CHECK(l.text() == "second first body third second first");
}

TEST_CASE(
    "PAN-1 deferred calls run when a panic or goexit leaves the scope, before older locals go") {
    struct local {
        log& l;
        ~local() { l("local"); }
    };
    log l;
    in_goroutine([&] {
        try {
            local x{l};
            defer d{[&] { l("deferred"); }};
            panic("away");
        } catch (const panic_error&) {
            l("caught");
        }
        local y{l};
        defer d{[&] { l("deferred"); }};
        goexit();
    });
    CHECK(l.text() == "deferred local caught deferred local");
}

TEST_CASE("PAN-1 what is captured by value is what it was when it was deferred") {
    log l;
    {
        int x = 1;
        defer d{[&l, x] { l(std::to_string(x)); }};
        x = 2;
        defer by_reference{[&] { l(std::to_string(x)); }};
    }
    CHECK(l.text() == "2 1");
}

TEST_CASE("PAN-2 an empty function panics when it would run") {
    log l;
    const auto f = [&] {
        defer d{std::function<void()>{}};
        l("deferred");
    };
    CHECK_THROWS_WITH(f(), "runtime error: invalid memory address or nil pointer dereference");
    CHECK(l.text() == "deferred");
    CHECK_THROWS_AS(f(), runtime_error);
    const auto g = [&] {
        void (*null)() = nullptr;
        defer d{null};
    };
    CHECK_THROWS_AS(g(), runtime_error);
}

TEST_CASE("PAN-3 any number can be deferred in a loop") {
    const int n = scaled(1'000'000);
    int expected = n;
    bool in_order = true;
    run([&] {
        defer_list all;
        for (int i = 0; i < n; ++i) {
            all.add([&, i] { in_order &= i == --expected; });
        }
        CHECK(all.size() == static_cast<std::size_t>(n));
    });
    CHECK(expected == 0);
    CHECK(in_order);
}

TEST_CASE("PAN-3 a list goes on after a panic of one of its calls") {
    log l;
    const auto f = [&] {
        defer_list all;
        all.add([&] { l("a"); });
        all.add([&] {
            l("b");
            panic("b");
        });
        all.add([&] { l("c"); });
    };
    CHECK_THROWS_WITH(f(), "b");
    CHECK(l.text() == "c b a");
    log m;
    const std::string r = recovering<std::string>([&](std::string& result) {
        defer_list all;
        all.add([&] { result = recovered(); });
        all.add([&] { panic("second"); });
        all.add([&] { m(recovered()); });
        panic("first");
    });
    CHECK(m.text() == "first");
    CHECK(r == "second");
}

TEST_CASE("PAN-4 deferred calls may change the result") {
    CHECK(recovering<int>([](int& result) {
              defer d{[&] { result *= 2; }};
              result = 21;
          }) == 42);
    CHECK(recovering<int>([](int& result) {
              defer d{[&] {
                  if (recover()) result = 7;
              }};
              panic("no result");
          }) == 7);
    CHECK(recovering([]() -> int {
              defer d{[] { recover(); }};
              panic("no result");
          }) == 0);
    CHECK(recovering([] { return std::string("result"); }) == "result");
    // Move-only results.
    CHECK(*recovering([] { return std::make_unique<int>(3); }) == 3);
}

TEST_CASE("PAN-5 what a deferred call defers runs before the older ones") {
    log l;
    {
        defer_list all;
        all.add([&] { l("older"); });
        all.add([&] {
            defer inner{[&] { l("inner"); }};
            all.add([&] { l("added"); });
            l("newer");
        });
    }
    CHECK(l.text() == "newer inner added older");
}

TEST_CASE("deferred calls may block") {
    run([] {
        auto c = make_chan<int>();
        go([c]() mutable {
            defer d{[&] { c.send(1); }};
            gosched();
        });
        CHECK(c.recv() == 1);
        go([c]() mutable {
            recovering([&] {
                defer d{[&] {
                    c.send(2);
                    recover();
                    c.send(3);
                }};
                panic("while others wait");
            });
            c.send(4);
        });
        CHECK(c.recv() == 2);
        CHECK(c.recv() == 3);
        CHECK(c.recv() == 4);
    });
}

TEST_CASE("an exception of a deferred call at an ordinary end leaves the scope") {
    log l;
    const auto f = [&] {
        defer older{[&] { l("older"); }};
        defer d{[] { throw std::range_error("at the end"); }};
        l("body");
    };
    CHECK_THROWS_AS(f(), std::range_error);
    CHECK(l.text() == "body older");
}

}  // namespace vole::test
