// What nobody catches: the handler, the main goroutine, abort as a choice. PAN-40 to PAN-44, PAN-65, LBL-5.
#include "test/panic/panic_support.hpp"

#include <cstdlib>
#include <mutex>

namespace vole::test {

namespace {
[[gnu::noinline]] void throws_deep_inside() {
    throw std::runtime_error("deep inside");
    asm volatile("");
}
}  // namespace

TEST_CASE(
    "PAN-41 the handler is told where it was thrown, before destructors and deferred calls run") {
    log l;
    std::uint64_t id = 0;
    std::string report;
    struct local {
        log& l;
        ~local() { l("destructor"); }
    };
    {
        handler_scope h([&](const panic_value& p) {
            l("handler");
            CHECK(p.what() == std::string("std::runtime_error: deep inside"));
            CHECK(p.get<std::runtime_error>() != nullptr);
            CHECK(p.goroutine() == goroutine_id());
            CHECK(p.name() == "worker");
            CHECK(p.goroutine() == id);
            CHECK(p.stack().size() > 2);
            report = p.report();
        });
        run([&] {
            wait_group w;
            w.add(1);
            go({.name = "worker"}, [&] {
                defer done{[&] { w.done(); }};
                id = goroutine_id();
                defer d{[&] { l("deferred"); }};
                local x{l};
                throws_deep_inside();
            });
            w.wait();
            l("others go on");
        });
    }
    CHECK(l.text() == "handler destructor deferred others go on");
    CHECK_THAT(report, Catch::StartsWith("panic: std::runtime_error: deep inside\n\ngoroutine " +
                                         std::to_string(id) + " [running]: worker\n"));
    CHECK_THAT(report, Catch::Contains("throws_deep_inside()"));
    CHECK_THAT(report, Catch::Contains("\ncreated by ") && Catch::Contains(" in goroutine "));
}

TEST_CASE("LBL-5 a report shows the labels that the goroutine had when it panicked") {
    std::vector<std::string> headers;
    handler_scope h([&](const panic_value& p) {
        const std::string text = p.report();
        const auto at = text.find(" [running]:");
        headers.push_back(text.substr(at, text.find('\n', at) - at));
    });
    run([&] {
        wait_group w;
        with_labels({{"tenant", "ann"}}, [&] {
            w.go([] { panic("unnamed"); });
            w.wait();
            w.add(1);
            go({.name = "worker"}, [&] {
                defer done{[&] { w.done(); }};
                with_labels({{"route", "/search"}}, [] { panic("named"); });
            });
        });
        w.wait();
    });
    CHECK(headers == std::vector<std::string>{
                         " [running]: {tenant: ann}",
                         " [running]: worker {route: /search, tenant: ann}",
                     });
}

TEST_CASE("PAN-41 a panic that was not recovered is reported with the place of its first throw") {
    std::string report;
    {
        handler_scope h([&](const panic_value& p) { report = p.report(); });
        in_goroutine([] {
            recovering([] {
                defer d{[] {}};
                recovering([] { throws_deep_inside(); });
            });
        });
    }
    CHECK_THAT(report, Catch::Contains("throws_deep_inside()"));
}

TEST_CASE("PAN-41 set_panic_handler gives the previous one, an empty one is the default") {
    const panic_handler original = set_panic_handler([](const panic_value&) {});
    CHECK(!original);
    const panic_handler mine = set_panic_handler(nullptr);
    CHECK(mine);
    CHECK(!set_panic_handler(original));
}

TEST_CASE("PAN-41 a handler that keeps what it is told may use it later") {
    std::vector<panic_value> kept;
    {
        handler_scope h([&](const panic_value& p) { kept.push_back(p); });
        in_goroutine([] { panic(std::string("kept")); });
    }
    REQUIRE(kept.size() == 1);
    CHECK(*kept[0].get<std::string>() == "kept");
    CHECK_THROWS_AS(std::rethrow_exception(kept[0].exception()), panic_error);
}

TEST_CASE("child: handler throws", "[.child]") {
    set_panic_handler([](const panic_value&) { throw std::runtime_error("of the handler"); });
    in_goroutine([] { panic("first"); });
}
TEST_CASE("PAN-41 an exception of the handler is fatal") {
    const auto r = run_case_in_subprocess("child: handler throws");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("panic: std::runtime_error: of the handler\n") &&
                          Catch::Contains("fatal error: panic in the panic handler\n"));
}

TEST_CASE("child: handler exits", "[.child]") {
    set_panic_handler([](const panic_value&) { std::_Exit(7); });
    in_goroutine([] { panic("first"); });
}
TEST_CASE("PAN-41 a handler may end the process") {
    CHECK(run_case_in_subprocess("child: handler exits").exit_status == 7);
}

TEST_CASE("PAN-42 what leaves the main goroutine leaves run, as it is") {
    struct error {
        int x;
    };
    int told = 0;
    handler_scope h([&](const panic_value&) { ++told; });
    try {
        run([] { throw error{5}; });
        FAIL("not thrown");
    } catch (const error& e) {
        CHECK(e.x == 5);
    }
    CHECK_THROWS_WITH(run([] {
                          recovering([] {
                              defer d{[] { panic("second"); }};
                              panic("first");
                          });
                      }),
                      "second");
    CHECK(run([] { return 3; }) == 3);
    CHECK(told == 0);
}

TEST_CASE("child: abort in a goroutine", "[.child]") {
    std::atexit([] { std::fputs("atexit ran\n", stderr); });
    run({.uncaught = uncaught_policy::abort}, [] {
        wait_group w;
        w.go([] {
            defer d{[] { std::fputs("deferred call ran\n", stderr); }};
            panic("the end");
        });
        w.wait();
    });
}
TEST_CASE("child: abort in main", "[.child]") {
    try {
        run({.uncaught = uncaught_policy::abort}, [] { panic("the end"); });
    } catch (...) {
        std::fputs("left run\n", stderr);
    }
}
TEST_CASE("PAN-42 with uncaught = abort the process ends as Go's does") {
    for (const char* name : {"child: abort in a goroutine", "child: abort in main"}) {
        const auto r = run_case_in_subprocess(name);
        INFO(r.text());
        CHECK(r.exit_status == 2);
        CHECK_THAT(r.err, Catch::StartsWith("panic: the end\n\ngoroutine "));
        CHECK_THAT(r.err, !Catch::Contains("ran") && !Catch::Contains("left run"));
    }
}

TEST_CASE("PAN-44 waiters go on when what they wait for panics") {
    int told = 0;
    handler_scope h([&](const panic_value&) { ++told; });
    bool reported_first = false;
    run([&] {
        wait_group w;
        w.go([] { throw 1; });
        w.wait();
        reported_first = told == 1;
    });
    CHECK(reported_first);
}

// TSan's own record of the calls ends before the stack does; qemu-user makes no lightweight guards.
#if !defined(VOLE_TSAN) && defined(__x86_64__)
namespace {
[[gnu::noinline]] int recurse(int n) {
    volatile char room[512];
    room[0] = static_cast<char>(n);
    const int r = n < 0 ? 0 : recurse(n + 1);
    return r + room[0];
}
}  // namespace

TEST_CASE("child: stack overflow in a deferred call", "[.child]") {
    in_goroutine([] {
        recovering([] {
            defer last{[] { recover(); }};
            defer d{[] { recurse(0); }};
            panic("first");
        });
    });
}
TEST_CASE("PAN-64 a stack overflow in a deferred call is fatal") {
    const auto r = run_case_in_subprocess("child: stack overflow in a deferred call");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: stack overflow\n"));
}
#endif

TEST_CASE("PAN-65 many goroutines panic at once: each is told once") {
    const int n = scaled(10'000);
    std::vector<std::atomic<int>> told(static_cast<std::size_t>(n));
    procs_scope procs(4);
    {
        handler_scope h([&](const panic_value& p) {
            ++told[static_cast<std::size_t>(*p.get<int>())];
            if (*p.get<int>() % 16 == 0) gosched();
        });
        run([&] {
            wait_group all;
            for (int i = 0; i < n; ++i) all.go([i] { panic(i); });
            all.wait();
        });
    }
    int wrong = 0;
    for (const auto& t : told) wrong += t != 1;
    CHECK(wrong == 0);
}

TEST_CASE("child: many reports", "[.child]") {
    gomaxprocs(4);
    run([] {
        wait_group all;
        for (int i = 0; i < 200; ++i) {
            all.go([] { panic("line one\nline two"); });
        }
        all.wait();
    });
}
TEST_CASE("PAN-65 reports do not run into each other") {
    const auto r = run_case_in_subprocess("child: many reports");
    CHECK(r.succeeded());
    // Each is head, empty line, trace, empty line.
    int heads = 0;
    std::size_t at = 0;
    bool whole = true;
    while (at < r.err.size()) {
        const std::string head = "panic: line one\n\tline two\n\ngoroutine ";
        if (r.err.compare(at, head.size(), head) != 0) {
            whole = false;
            break;
        }
        ++heads;
        at = r.err.find("\n\n", at + head.size());
        if (at == std::string::npos) break;
        at += 2;
    }
    INFO(r.err.substr(0, 2000));
    CHECK(whole);
    CHECK(heads == 200);
}

TEST_CASE("child: main returns while a report is printed", "[.child]") {
    run([] {
        auto begun = make_chan<void>();
        set_panic_handler(nullptr);
        go([begun]() mutable {
            defer d{[&] { begun.close(); }};
            panic(std::string(200'000, 'x'));
        });
        while (begun.recv()) {
        }
    });
    std::_Exit(0);
}
TEST_CASE("PAN-40 run waits for a report that is being printed") {
    const auto r = run_case_in_subprocess("child: main returns while a report is printed");
    CHECK(r.exit_status == 0);
    CHECK(r.err.size() > 200'000);
}

}  // namespace vole::test
