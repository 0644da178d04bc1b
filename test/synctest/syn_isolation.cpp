// What belongs to a bubble and what does not: who may use it. Cites SYN-40 to SYN-43, SYN-45.
//
// Misuse is fatal: a hidden case for each, run in a process of its own, whose name says what is done.
// SYN-44 (a partner that is found parked is checked again) has no case: nobody outside gets as far as parking.
#include <vole/cond.hpp>

#include "test/synctest/synctest_support.hpp"

#include <set>

namespace vole::test {

namespace {

constexpr const char* sends = "send on synctest channel from outside bubble";
constexpr const char* receives = "receive on synctest channel from outside bubble";
constexpr const char* closes = "close of synctest channel from outside bubble";
constexpr const char* selects = "select on synctest channel from outside bubble";
constexpr const char* resets = "reset of synctest timer from outside bubble";
constexpr const char* stops = "stop of synctest timer from outside bubble";

/// Each way to misuse what belongs to a bubble.
struct misuse {
    const char* name;
    const char* text;
    void (*act)(const chan<int>& c, const timer& t, const ticker& k);
};
constexpr std::array misuses{
    misuse{"send", sends, [](const chan<int>& c, const timer&, const ticker&) { c.send(1); }},
    misuse{"try_send", sends,
           [](const chan<int>& c, const timer&, const ticker&) { (void)c.try_send(1); }},
    misuse{"recv", receives,
           [](const chan<int>& c, const timer&, const ticker&) { (void)c.recv(); }},
    misuse{"try_recv", receives,
           [](const chan<int>& c, const timer&, const ticker&) { (void)c.try_recv(); }},
    misuse{"close", closes, [](const chan<int>& c, const timer&, const ticker&) { c.close(); }},
    misuse{"select", selects,
           [](const chan<int>& c, const timer&, const ticker&) {
               auto own = make_chan<int>();
               select(on_recv(own), on_send(c, 1));
           }},
    misuse{"select that does not wait", selects,
           [](const chan<int>& c, const timer&, const ticker&) {
               auto own = make_chan<int>();
               select(on_recv(c), on_recv(own), otherwise());
           }},
    misuse{"reset of a timer", resets,
           [](const chan<int>&, const timer& t, const ticker&) { timer(t).reset(1s); }},
    misuse{"stop of a timer", stops,
           [](const chan<int>&, const timer& t, const ticker&) { timer(t).stop(); }},
    misuse{"receive from a timer", receives,
           [](const chan<int>&, const timer& t, const ticker&) { (void)t.c().recv(); }},
    misuse{"try to receive from a timer", receives,
           [](const chan<int>&, const timer& t, const ticker&) { (void)t.c().try_recv(); }},
    misuse{"reset of a ticker", resets,
           [](const chan<int>&, const timer&, const ticker& k) { ticker(k).reset(1s); }},
    misuse{"stop of a ticker", stops,
           [](const chan<int>&, const timer&, const ticker& k) { ticker(k).stop(); }},
};

/// Which of them a child process is to do: VOLE_TEST_MISUSE, a number.
const misuse& wanted() {
    const char* text = std::getenv("VOLE_TEST_MISUSE");
    return misuses.at(text != nullptr ? std::strtoul(text, nullptr, 10) : 0);
}

/// Runs the hidden case for each misuse; or for one of each text only, as processes take time.
void check_all(const std::string& child, bool few = false) {
    std::set<std::string> texts;
    for (std::size_t i = 0; i < misuses.size(); ++i) {
        if (!texts.insert(misuses[i].text).second && few) continue;
        INFO(misuses[i].name);
        check_fatal(child, misuses[i].text, {"VOLE_TEST_MISUSE=" + std::to_string(i)});
    }
}

/// A bubble with the things in it, in which `go_wrong` has them misused.
template <class F>
void with_things(F go_wrong) {
    doomed([&] {
        synctest::test([&] {
            const auto c = make_chan<int>(1);
            const timer t(1h);
            const ticker k(1h);
            go_wrong(c, t, k);
        });
    });
}

}  // namespace

TEST_CASE("child: used by a thread", "[.child]") {
    with_things([](const chan<int>& c, const timer& t, const ticker& k) {
        on_thread([&] { wanted().act(c, t, k); });
    });
}
TEST_CASE("SYN-40 SYN-41 a thread of outside uses what is the bubble's", "[synctest][isolation]") {
    check_all("child: used by a thread");
}

TEST_CASE("child: used in another bubble", "[.child]") {
    with_things([](const chan<int>& c, const timer& t, const ticker& k) {
        on_thread([&] { synctest::test([&] { wanted().act(c, t, k); }); });
    });
}
TEST_CASE("SYN-40 SYN-41 another bubble uses it", "[synctest][isolation]") {
    check_all("child: used in another bubble", true);
}

TEST_CASE("child: used when the bubble is over", "[.child]") {
    chan<int> c;
    timer t;
    ticker k;
    synctest::test([&] {
        c = make_chan<int>(1);
        t = timer(1h);
        k = ticker(1h);
        c.send(1);
    });
    run([&] { doomed([&] { wanted().act(c, t, k); }); });
}
TEST_CASE("SYN-45 it is used when the bubble is over", "[synctest][isolation]") {
    check_all("child: used when the bubble is over", true);
}

TEST_CASE("child: a function's timer, reset outside", "[.child]") {
    doomed([] {
        synctest::test([] {
            timer t = after_func(1h, [] {});
            on_thread([&] { t.reset(1s); });
        });
    });
}
TEST_CASE("child: a function's timer, stopped outside", "[.child]") {
    doomed([] {
        synctest::test([] {
            timer t = after_func(1h, [] {});
            on_thread([&] { t.stop(); });
        });
    });
}
TEST_CASE("SYN-41 timers with a function", "[synctest][isolation]") {
    check_fatal("child: a function's timer, reset outside", resets);
    check_fatal("child: a function's timer, stopped outside", stops);
}

TEST_CASE("child: a goroutine of outside that waits for the bubble", "[.child]") {
    auto handed_over = make_chan<chan<int>>();
    run([&] {
        go([handed_over] { doomed([&] { handed_over.recv()->recv(); }); });
        synctest::test([&] {
            handed_over.send(make_chan<int>());
            handed_over.recv();  // no deadlock of the bubble meanwhile
        });
    });
}
TEST_CASE("SYN-40 a goroutine of outside that was given a channel", "[synctest][isolation]") {
    check_fatal("child: a goroutine of outside that waits for the bubble", receives);
}

TEST_CASE("child: a mutex, unlocked outside for one who waits", "[.child]") {
    doomed([] {
        synctest::test([] {
            mutex m;
            m.lock();
            go([&] { m.lock(); });
            synctest::wait();
            on_thread([&] { m.unlock(); });
        });
    });
}
TEST_CASE("beyond Go: a durable wait for a mutex cannot be ended from outside",
          "[synctest][isolation]") {
    check_fatal("child: a mutex, unlocked outside for one who waits",
                "semaphore wake of synctest goroutine from outside bubble");
}

namespace {
void notify_from_outside(void (cond::*notify)()) {
    doomed([=] {
        synctest::test([=] {
            mutex m;
            cond c;
            go([&] {
                std::unique_lock hold(m);
                c.wait(hold);
            });
            synctest::wait();
            on_thread([&] { (c.*notify)(); });
        });
    });
}
}  // namespace
TEST_CASE("child: a condition, notified outside", "[.child]") {
    notify_from_outside(&cond::notify_one);
}
TEST_CASE("child: a condition, all notified outside", "[.child]") {
    notify_from_outside(&cond::notify_all);
}
TEST_CASE("SYN-36 SYNC-56 who waits for a condition cannot be woken from outside",
          "[synctest][isolation]") {
    for (const char* name :
         {"child: a condition, notified outside", "child: a condition, all notified outside"}) {
        check_fatal(name, "semaphore wake of synctest goroutine from outside bubble");
    }
}

TEST_CASE("SYN-40 SYN-45 length, capacity, comparison and handles are free for all",
          "[synctest][isolation]") {
    findings ok;
    chan<std::string> kept;
    timer t;
    ticker k;
    bubble([&] {
        auto c = make_chan<std::string>(3);
        c.send("a");
        c.send("b");
        kept = c;
        t = timer(1h);
        k = ticker(1h);
        on_thread([&] {
            const auto copy = c;
            ok.equal(copy.len(), std::size_t{2});
            ok.equal(copy.cap(), std::size_t{3});
            ok(copy == c && copy != make_chan<std::string>());
            const timer same = t;
            ok.equal(same.c().len(), std::size_t{0});
        });
    });
    ok.equal(kept.len(), std::size_t{2});
    ok.equal(kept.cap(), std::size_t{3});
    const auto copy = kept;
    kept = {};
    CHECK(ok.text() == "");
}  // the last handles go here, outside of the bubble

TEST_CASE("SYN-42 a timer made outside runs in real time", "[synctest][isolation]") {
    findings ok;
    const auto start = std::chrono::steady_clock::now();
    const timer t(2ms);
    ticker k(2ms);
    bubble([&] {
        const stopwatch inside;
        std::atomic<bool> went_on{false};
        go([&] {
            sleep(1s);
            went_on = true;
        });
        t.c().recv();
        ok.equal(inside.ns(), 0);
        k.c().recv();
        select(on_recv(k.c()), on_recv(make_chan<int>()));
        ok.equal(inside.ns(), 0);
        ok(!went_on);
        ok(std::chrono::steady_clock::now() - start >= 4ms);
        k.stop();
        sleep(2s);
        ok(went_on);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-42 a function's timer made outside calls it outside", "[synctest][isolation]") {
    findings ok;
    auto called = make_chan<bool>();
    timer t = after_func(1h, [&] { called.send(synctest::in_bubble()); });
    bubble([&] {
        const stopwatch inside;
        ok(t.reset(1ms));  // real ones
        ok(called.recv() == false);
        ok.equal(inside.ns(), 0);
        ok(!t.stop());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-43 goroutines of outside use a channel of outside that the bubble waits on",
          "[synctest][isolation]") {
    findings ok;
    run([&] {
        auto to = make_chan<int>();
        auto from = make_chan<int>();
        auto closed = make_chan<void>();
        wait_group others;
        others.go([&] {
            for (int i = 0; i < 100; ++i) {
                to.send(i);
                ok.equal(from.recv().value_or(-1), i);
            }
            closed.close();
        });
        bubble([&] {
            const stopwatch t;
            for (int i = 0; i < 100; ++i) {
                ok.equal(to.recv().value_or(-1), i);
                wait_group g;
                g.go([&] { from.send(i); });
                g.wait();
            }
            ok(!closed.recv());
            ok.equal(t.ns(), 0);
        });
        others.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-43 two bubbles talk through a channel of outside", "[synctest][isolation]") {
    findings ok;
    auto c = make_chan<int>();
    const int rounds = scaled(500);
    auto d = make_chan<int>(static_cast<std::size_t>(rounds));
    std::thread first([&] {
        bubble([&] {
            const stopwatch t;
            for (int i = 0; i < rounds; ++i) {
                c.send(i);
                sleep(1s);
            }
            c.close();
            ok.equal(t.ns(), ns(rounds * 1s));
            int sum = 0;
            for (const int i : d) sum += i;
            ok.equal(sum, rounds * (rounds - 1) / 2);
        });
    });
    std::thread second([&] {
        bubble([&] {
            const stopwatch t;
            for (const int i : c) {
                sleep(1h);
                d.send(i);
            }
            d.close();
            ok.equal(t.ns(), ns(rounds * 1h));
        });
    });
    first.join();
    second.join();
    CHECK(ok.text() == "");
}

}  // namespace vole::test
