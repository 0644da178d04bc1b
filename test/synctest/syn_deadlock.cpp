// Bubbles in which nothing can happen any more, and bubbles that hang. Cites SYN-50 to SYN-54.
//
// What is deadlocked stays until the program ends. With more than 200 goroutines tracebacks change their form and
// the whole suite could no longer read them, so few are left behind.
#include "test/synctest/synctest_support.hpp"

#include <set>

namespace vole::test {

namespace {

/// The report shows `goroutines` of one bubble, and nobody else.
void check_report(const deadlock_report& r, std::size_t goroutines) {
    INFO(r.err);
    CHECK_THAT(r.err, Catch::Contains(r.what));
    const auto lines = headers_in(r.err);
    CHECK(lines.size() == goroutines);
    std::set<std::string> bubbles;
    for (const std::string& line : lines) {
        const std::size_t at = line.find(", synctest bubble ");
        const std::size_t end = line.find("]:", at);
        REQUIRE(at != std::string::npos);
        REQUIRE(end != std::string::npos);
        CHECK_THAT(line.substr(0, at), Catch::EndsWith(" (durable)"));
        bubbles.insert(line.substr(at, end - at));
    }
    CHECK(bubbles.size() <= 1);
}

}  // namespace

TEST_CASE("SYN-50 all are durably blocked: test throws, and the bubble's goroutines are shown",
          "[synctest][deadlock]") {
    const auto one = deadlock_of([] { make_chan<int>().recv(); });
    CHECK(one.what == all_blocked);
    check_report(one, 1);
    CHECK_THAT(one.err, Catch::Contains("[chan receive (durable), synctest bubble "));

    const auto many = deadlock_of([] {
        auto c = make_chan<int>();
        go([=] { c.send(1); });
        go([=] { c.send(2); });
        go([=] { select(on_send(c, 3), on_send(c, 4)); });
        go([] {
            wait_group g;
            g.add(1);
            g.wait();
        });
        go([] {
            mutex m;
            m.lock();
            m.lock();
        });
        go([] {});
        sleep(1s);
        select();
    });
    CHECK(many.what == all_blocked);
    check_report(many, 6);
    CHECK(count_of(many.err, "[chan send (durable), synctest bubble ") == 2);
    CHECK(count_of(many.err, "[select (durable), synctest bubble ") == 1);
    CHECK(count_of(many.err, "[sync.WaitGroup.Wait (durable), synctest bubble ") == 1);
    CHECK(count_of(many.err, "[sync.Mutex.Lock (durable), synctest bubble ") == 1);
    CHECK(count_of(many.err, "[select (no cases) (durable), synctest bubble ") == 1);
}

TEST_CASE("SYN-50 the seed is told", "[synctest][deadlock]") {
    const stderr_capture capture;
    CHECK(error_of([] { bubble(1234567890123, [] { make_chan<int>().recv(); }); }) == all_blocked);
    CHECK_THAT(capture.text(), Catch::Contains("seed") && Catch::Contains("1234567890123"));
}

TEST_CASE("SYN-50 in a goroutine that calls test; others are not shown", "[synctest][deadlock]") {
    findings ok;
    run([&] {
        wait_group bystanders;
        bystanders.add(1);
        for (int i = 0; i < 3; ++i) go([&] { bystanders.wait(); });
        deadlock_report r;
        wait_group g;
        g.go([&] { r = deadlock_of([] { make_chan<int>().recv(); }); });
        g.wait();
        ok.equal(r.what, std::string(all_blocked));
        ok(r.err.find("[sync.WaitGroup.Wait]") == std::string::npos, "bystanders are not shown");
        ok(r.err.find("[chan receive (durable), synctest bubble ") != std::string::npos);
        bystanders.done();
        // The caller is in good health.
        bubble([&] { sleep(1s); });
        const stopwatch t;
        sleep(1ms);
        ok(t.ns() >= ns(1ms));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-51 main has returned, and others remain", "[synctest][deadlock]") {
    const auto r = deadlock_of([] {
        go([] { make_chan<int>().recv(); });
        go([] { make_chan<int>().send(1); });
    });
    CHECK(r.what == main_exited);
    check_report(r, 2);
    const auto sleeper = deadlock_of([] { go([] { sleep(1ns); }); });
    CHECK(sleeper.what == main_exited);
    check_report(sleeper, 1);
    CHECK_THAT(sleeper.err, Catch::Contains("[sleep (durable), synctest bubble "));
    const auto ticking = deadlock_of([] {
        go([] {
            const ticker k(1s);
            while (k.c().recv()) {
            }
        });
        sleep(5s);
    });
    CHECK(ticking.what == main_exited);
    check_report(ticking, 1);
    const auto selecting =
        deadlock_of([] { go([] { select(on_recv(after(1s)), on_recv(make_chan<int>())); }); });
    CHECK(selecting.what == main_exited);
    check_report(selecting, 1);
}

TEST_CASE("SYN-52 main has returned, and others are active", "[synctest][deadlock]") {
    for (const int kind : {0, 1, 2}) {
        findings ok;
        std::atomic<bool> returned{false};
        std::atomic<bool> go_on{false};
        std::atomic<std::uint64_t> id{0};
        auto c = make_chan<int>();
        int plain = 0;
        std::thread outside([&] {
            wait_until([&] { return id != 0; });
            if (kind == 1) parked_as(id, "chan receive");
            ok(stays([&] { return !returned; }));
            go_on = true;
            if (kind == 1) c.send(1);
        });
        bubble([&] {
            go([&] {
                id = goroutine_id();
                switch (kind) {
                    case 0:
                        while (!go_on) gosched();
                        break;
                    case 1: c.recv(); break;
                    default:
                        blocking([&] {
                            while (!go_on) std::this_thread::yield();
                        });
                }
                // It may go on, and use what belongs to the bubble; time does not.
                auto own = make_chan<int>(1);
                own.send(1);
                go([&, own] { plain = own.recv().value_or(0); });
            });
        });
        returned = true;
        outside.join();
        CHECK(plain == 1);
        CHECK(ok.text() == "");
    }
}

TEST_CASE("SYN-53 the blocked ones stay where they are, and the next test is not concerned",
          "[synctest][deadlock]") {
    struct witness {
        std::atomic<int>& gone;
        ~witness() { ++gone; }
    };
    static std::atomic<int> gone{0};  // the goroutines are there for as long as the program
    const auto leak = [] {
        return deadlock_of([] {
            for (int i = 0; i < 3; ++i) {
                go([] {
                    const witness w{gone};
                    auto c = make_chan<int>();
                    select(on_recv(c), on_recv(after(1s)), on_recv(make_chan<int>()));
                    select();
                });
            }
            const witness w{gone};
            make_chan<int>().recv();
        });
    };
    for (int i = 0; i < 5; ++i) {
        CHECK(leak().what == all_blocked);
        findings ok;
        bubble([&] {
            const stopwatch t;
            auto c = make_chan<int>();
            go([&] {
                sleep(24h);
                c.send(1);
            });
            ok.equal(c.recv().value_or(0), 1);
            ok.equal(t.ns(), ns(24h));
        });
        CHECK(ok.text() == "");
    }
    run([] {
        for (int i = 0; i < 100; ++i) gosched();
    });
    CHECK(gone == 0);
    CHECK(num_goroutine() >= 20);
    CHECK(count_of(traceback(), "[select (no cases) (durable), synctest bubble ") >= 15);
}

TEST_CASE("SYN-53 deadlocks in many bubbles at once", "[synctest][deadlock]") {
    const procs_scope guard(4);
    const stderr_capture quiet;
    std::atomic<int> told{0};
    const int n = 6;
    run([&] {
        wait_group g;
        for (int i = 0; i < n; ++i) {
            g.go([&] {
                told += error_of([] {
                            bubble([] {
                                auto c = make_chan<int>();
                                for (int k = 0; k < 5; ++k) go([=] { c.recv(); });
                                sleep(1s);
                                c.send(1);
                                c.send(2);
                                sleep(1s);
                                make_chan<int>().recv();
                            });
                        }) == all_blocked;
            });
        }
        g.wait();
    });
    CHECK(told == n);
}

TEST_CASE("SYN-54 a bubble that can go on is no deadlock of the process", "[synctest][deadlock]") {
    for (const int procs : {1, 4}) {
        const procs_scope guard(procs);
        findings ok;
        for (int i = 0; i < scaled(100); ++i) {
            run([&] {
                bubble([&] {
                    const stopwatch t;
                    auto c = make_chan<int>();
                    go([&] {
                        sleep(1h);
                        c.send(1);
                    });
                    c.recv();
                    go([&] {
                        synctest::wait();
                        c.send(2);
                    });
                    c.recv();
                    ok.equal(t.ns(), ns(1h));
                });
            });
        }
        CHECK(ok.text() == "");
    }
}

TEST_CASE("SYN-54 a deadlock of a bubble is told by test, not by the process",
          "[synctest][deadlock]") {
    const stderr_capture quiet;
    for (int i = 0; i < 5; ++i) {
        CHECK(run([] { return error_of([] { bubble([] { select(); }); }); }) == all_blocked);
    }
}

// Hangs that are no deadlock: something outside could always come.

TEST_CASE("child: a bubble that waits for outside", "[.child]") {
    auto c = make_chan<int>();
    doomed([&] {
        synctest::test({.real_timeout = 200ms}, [&] {
            go({.name = "sleeper"}, [] { sleep(1h); });
            c.recv();
        });
    });
}
TEST_CASE("child: a bubble that computes for ever", "[.child]") {
    doomed([] {
        synctest::test({.real_timeout = 200ms}, [] {
            go([] { sleep(1h); });
            const volatile bool never = false;
            while (!never) {
            }
        });
    });
}
TEST_CASE("child: main has returned, another one waits for outside", "[.child]") {
    auto c = make_chan<int>();
    run([&] {
        const external_waker might_come;
        doomed([&] { synctest::test({.real_timeout = 200ms}, [&] { go([&] { c.recv(); }); }); });
    });
}
TEST_CASE("beyond Go: real_timeout ends a test that hangs, and shows all goroutines",
          "[synctest][deadlock]") {
    const std::string text = "synctest: test has run for longer than its real_timeout";
    auto err = check_fatal("child: a bubble that waits for outside", text);
    CHECK_THAT(err, Catch::Contains("[chan receive, synctest bubble ") &&
                        Catch::Contains("[sleep (durable), synctest bubble "));
    err = check_fatal("child: a bubble that computes for ever", text);
    CHECK_THAT(err, Catch::Contains("[sleep (durable), synctest bubble "));
    err = check_fatal("child: main has returned, another one waits for outside", text);
    CHECK_THAT(err, Catch::Contains("[chan receive, synctest bubble "));
}

TEST_CASE("child: a deadlock after tests with a real_timeout", "[.child]") {
    run([] {
        for (int i = 0; i < 3; ++i) {
            synctest::test({.real_timeout = 24h}, [] { sleep(1h); });
            say(error_of([] {
                    synctest::test({.real_timeout = 24h}, [] { make_chan<int>().recv(); });
                }).c_str());
        }
        const timer never_received(24h);
        doomed([] { make_chan<int>().recv(); });
    });
}
TEST_CASE("beyond Go: nothing is left of a real_timeout when the test is over",
          "[synctest][deadlock]") {
    // Else the process would wait for it.
    check_fatal("child: a deadlock after tests with a real_timeout",
                "all goroutines are asleep - deadlock!");
}

TEST_CASE("beyond Go: a real_timeout that is not positive, or does not fit, is none",
          "[synctest][deadlock]") {
    findings ok;
    for (const clock::duration limit :
         {clock::duration::max(), clock::duration::min(), -1ns, 0ns}) {
        synctest::test({.real_timeout = limit}, [&] {
            const stopwatch t;
            on_thread([] {
                for (int i = 0; i < 100; ++i) std::this_thread::yield();
            });
            sleep(1h);
            ok.equal(t.ns(), ns(1h));
        });
    }
    CHECK(ok.text() == "");
}

}  // namespace vole::test
