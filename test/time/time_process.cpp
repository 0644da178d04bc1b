// What needs a process of its own: a runtime that has not begun, deadlocks, a process that is stopped.
// Cites TIME-32, TIME-41, TIME-42 and TIME-17.
#include "test/support/subprocess.hpp"
#include "test/time/time_support.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace vole::test {
namespace {

/// Prints a line that the parent looks for.
void say(const char* text) {
    std::printf("%s\n", text);
    std::fflush(stdout);
}

/// On one P: what is left in its heap is looked at when it falls asleep.
template <class F>
void run_alone(F f) {
    run({.max_procs = 1}, [&] { f(); });
}

void check_deadlock(const std::string& name,
                    const std::string& header = "[chan receive]:", const std::string& said = "") {
    const auto r = run_case_in_subprocess(name);
    INFO(name << "\n" << r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err,
               Catch::Contains("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine "));
    CHECK_THAT(r.err, Catch::Contains(header));
    if (!said.empty()) CHECK_THAT(r.out, Catch::Contains(said));
}

}  // namespace

TEST_CASE("child: timers before the runtime", "[.child]") {
    findings ok;
    // None of these may need a run() to have been.
    setting set;
    const timer early(30ms);
    set.end();
    setting first;
    const timer t(1ms);
    first.end();
    ok(first.due(t.c().recv(), 1ms));
    const auto before = clock::now();
    sleep(1ms);
    ok(clock::now() >= before + 1ms);
    const auto c = make_chan<int>();
    ok.equal(select(on_recv(c), on_recv(after(1ms))), 1U);
    ticker k(300us);
    for (int i = 0; i < 3; ++i) ok(k.c().recv().has_value());
    timer stopped(1h);
    ok(stopped.reset(2h));
    ok(stopped.stop());
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&ok, i] { ok(after(i * 1ms).recv().has_value()); });
    }
    threads.clear();
    std::atomic<int> called{0};
    timer f = after_func(1ms, [&] { ++called; });
    wait_until([&] { return called == 1; });
    ok(!f.reset(20ms));
    run([&] {
        ok(k.c().recv().has_value());
        ok(set.due(early.c().recv(), 30ms));
        wait_until([&] { return called == 2; });
        sleep(1ms);
    });
    // Between two runs.
    ok(k.c().recv().has_value());
    ok(!f.reset(0ns));
    wait_until([&] { return called == 3; });
    sleep(1ms);
    k.stop();
    run([&] {
        k.reset(100us);
        ok(k.c().recv().has_value());
    });
    CHECK(ok.text() == "");
}
TEST_CASE("child: a function before the runtime", "[.child]") {
    std::atomic<bool> called{false};
    after_func(1ms, [&] { called = true; });
    wait_until([&] { return called.load(); });
}
TEST_CASE("TIME-42 threads use timers before there is a runtime, and between runs", "[time]") {
    for (const char* name :
         {"child: timers before the runtime", "child: a function before the runtime"}) {
        const auto r = run_case_in_subprocess(name);
        INFO(r.text());
        CHECK(r.succeeded());
    }
}

TEST_CASE("child: the process ends while timers are pending", "[.child]") {
    // Never destroyed, and destroyed by exit().
    static auto* const leaked = new timer(after_func(1ms, [] { sleep(1h); }));
    static timer of_exit = after_func(1h, [] {});
    static const ticker k(1us);
    leaked->reset(2ms);
    run([] {
        for (int i = 0; i < 50; ++i) after_func(i * 100us, [] {});
        go([] { sleep(1h); });
        go([c = k.c()] { (void)c.recv(); });  // it may begin when k is gone
        sleep(1ms);
    });
    say("run is over");
    of_exit.reset(1ms);
    std::exit(0);
}
TEST_CASE("TIME-17 a process may end while timers are pending", "[time]") {
    const auto r = run_case_in_subprocess("child: the process ends while timers are pending");
    INFO(r.text());
    CHECK(r.exit_status == 0);
    CHECK(r.err.empty());
    CHECK_THAT(r.out, Catch::Contains("run is over"));
}

TEST_CASE("child: everybody waits for a timer", "[.child]") {
    // Each line is a moment at which all goroutines are parked.
    run_alone([] {
        sleep(2ms);
        sleep_until(clock::now() + 2ms);
        (void)after(2ms).recv();
        const auto never = make_chan<int>();
        select(on_recv(never), on_recv(after(2ms)));
        ticker k(1ms);
        for (int i = 0; i < 3; ++i) (void)k.c().recv();
        const auto c = make_chan<int>();
        after_func(2ms, [c] { c.send(1); });
        (void)c.recv();
        wait_group w;
        w.add(1);
        after_func(2ms, [&] {
            sleep(2ms);
            w.done();
        });
        w.wait();
        timer t(1h);
        after_func(2ms, [&] { t.reset(2ms); });
        (void)t.c().recv();
        mutex m;
        m.lock();
        after_func(2ms, [&] { m.unlock(); });
        m.lock();
        go([] { sleep(2ms); });
        (void)after(5ms).recv();
    });
    say("nobody is left");
}
TEST_CASE("TIME-32 a timer that will wake somebody is no deadlock", "[time]") {
    const auto r = run_case_in_subprocess("child: everybody waits for a timer");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.err.empty());
    CHECK_THAT(r.out, Catch::Contains("nobody is left"));
}

TEST_CASE("child: an unread ticker", "[.child]") {
    run_alone([] {
        const ticker k(1ms);
        (void)k.c().recv();
        (void)make_chan<int>().recv();
    });
}
TEST_CASE("child: an unread timer", "[.child]") {
    run_alone([] {
        const timer t(1h);
        const timer u(1ms);
        (void)make_chan<int>().recv();
    });
}
TEST_CASE("TIME-32 a timer that nobody waits for keeps nobody alive", "[time]") {
    check_deadlock("child: an unread ticker");
    check_deadlock("child: an unread timer");
}

TEST_CASE("child: main waits on a stopped timer", "[.child]") {
    run_alone([] {
        timer t(1ms);
        t.stop();
        (void)t.c().recv();
    });
}
TEST_CASE("child: main waits on a received timer", "[.child]") {
    run_alone([] {
        const timer t(1ms);
        (void)t.c().recv();
        say("received");
        (void)t.c().recv();
    });
}
TEST_CASE("child: main waits on a stopped ticker", "[.child]") {
    run_alone([] {
        ticker k(1ms);
        (void)k.c().recv();
        k.stop();
        (void)k.c().recv();
    });
}
TEST_CASE("child: stopped while main waits", "[.child]") {
    run_alone([] {
        timer t(1h);
        go([t]() mutable { t.stop(); });
        (void)t.c().recv();
    });
}
TEST_CASE("TIME-32 waiting for one that is over or stopped is a deadlock", "[time]") {
    check_deadlock("child: main waits on a stopped timer");
    check_deadlock("child: main waits on a received timer", "[chan receive]:", "received");
    check_deadlock("child: main waits on a stopped ticker");
    check_deadlock("child: stopped while main waits");
}

TEST_CASE("child: select on stopped timers", "[.child]") {
    run_alone([] {
        timer t(1h);
        timer u(1h);
        t.stop();
        after_func(2ms, [&] {
            say("called");
            u.stop();
        });
        select(on_recv(t.c()), on_recv(u.c()));
    });
}
TEST_CASE("child: main waits for a stopped function", "[.child]") {
    run_alone([] {
        timer t = after_func(1h, [] {});
        t.stop();
        (void)make_chan<int>().recv();
    });
}
TEST_CASE("child: a deadlock after the last sleep", "[.child]") {
    run_alone([] {
        const auto c = make_chan<int>();
        go([&] {
            sleep(5ms);
            say("slept");
            (void)c.recv();
        });
        (void)c.recv();
    });
}
TEST_CASE("child: a deadlock after the last function", "[.child]") {
    run({.max_procs = 4}, [] {
        after_func(5ms, [] { say("called"); });
        (void)make_chan<int>().recv();
    });
}
TEST_CASE("TIME-32 the deadlock is seen when the last timer is over or stopped", "[time]") {
    check_deadlock("child: select on stopped timers", "[select]:", "called");
    check_deadlock("child: main waits for a stopped function");
    check_deadlock("child: a deadlock after the last sleep", "[chan receive]:", "slept");
    check_deadlock("child: a deadlock after the last function", "[chan receive]:", "called");
}

TEST_CASE("child: stopped and continued", "[.child]") {
    findings ok;
    std::atomic<int> called{0};
    run_on(2, [&] {
        setting ticks;
        const ticker k(2ms);
        ticks.end();
        wait_group all;
        std::atomic<int> ready{0};
        for (int i = 0; i < 30; ++i) {
            all.go([&, i] {
                const nanoseconds d = i * 1ms;
                setting set;
                const timer t(d);
                set.end();
                after_func(d, [&] { ++called; });
                ++ready;
                if (i % 2 == 0) {
                    sleep(d);
                    ok(clock::now() >= set.before() + d);
                }
                ok(set.due(t.c().recv(), d));
            });
        }
        wait_until([&] { return ready == 30; });
        const auto before = clock::now();
        const int status =
            blocking([] { return std::system("kill -STOP $PPID; sleep 0.05; kill -CONT $PPID"); });
        ok.equal(status, 0);
        ok(clock::now() >= before + 50ms);
        all.wait();
        wait_until([&] { return called == 30; }, "all functions to be called");
        // One tick for all that were missed, then in step.
        const auto asked = clock::now();
        const auto v = k.c().recv();
        ok(ticks.due(v, 2ms));
        const auto next = k.c().recv();
        ok(next && *next > asked && (*next - *v) % 2ms == 0ns);
    });
    CHECK(ok.text() == "");
}
TEST_CASE("TIME-41 a process that is stopped for a while loses nothing", "[time]") {
    const auto r = run_case_in_subprocess("child: stopped and continued");
    INFO(r.text());
    CHECK(r.succeeded());
}

}  // namespace vole::test
