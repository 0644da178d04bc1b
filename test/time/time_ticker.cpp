// ticker and tick. Cites TIME-25 to TIME-31, and TIME-17 for tickers.
#include "test/time/time_support.hpp"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace vole::test {
namespace {

/// Reads ticks, and notes unless they come at start + d, start + 2d, ...: each must be on that grid, later than
/// the one before, and no later than the first that was due after the one before had been received.
class grid {
  public:
    grid(findings& ok, setting set, nanoseconds d) : ok_(ok), set_(set), d_(d) {}

    /// Receives one.
    bool next(const recv_chan<time_point>& c, place where = here()) {
        const auto v = c.recv();
        const time_point now = clock::now();
        if (!ok_(v.has_value(), "a value", where)) return false;
        bool held = ok_(*v <= now, "not before its time", where);
        if (count_++ == 0) {
            held = ok_(set_.due(v, d_), "the first is due at start + d", where) && held;
            first_ = *v;
        } else {
            held = ok_((*v - first_) % d_ == 0ns, "on the grid", where) && held;
            held = ok_(*v > last_, "later than the last", where) && held;
            held = ok_(*v <= received_ + d_, "none was left out", where) && held;
        }
        last_ = *v;
        received_ = now;
        return held;
    }
    /// Of the value received last.
    time_point last() const { return last_; }

  private:
    findings& ok_;
    setting set_;
    nanoseconds d_;
    long count_ = 0;
    time_point first_;
    time_point last_;
    time_point received_;
};

}  // namespace

TEST_CASE("TIME-25 a period must be positive", "[time]") {
    for (const nanoseconds d : {0ns, -1ns, nanoseconds::min()}) {
        CHECK_THROWS_WITH(ticker(d), "non-positive interval for NewTicker");
        CHECK_THROWS_AS(ticker(d), runtime_error);
        ticker k(1h);
        CHECK_THROWS_WITH(k.reset(d), "non-positive interval for Ticker.Reset");
        CHECK_THROWS_AS(k.reset(d), runtime_error);
        CHECK(!tick(d));
    }
    run([] {
        CHECK_THROWS_AS(ticker(0ns), runtime_error);
        CHECK(!tick(std::chrono::hours::min()));
    });
    // It goes on as it was.
    ticker k(1ms);
    CHECK_THROWS_AS(k.reset(0ns), runtime_error);
    CHECK(k.c().recv());
}

TEST_CASE("TIME-25 one that is not set up", "[time]") {
    ticker k;
    CHECK_NOTHROW(k.stop());
    CHECK_THROWS_WITH(k.reset(1ms), "time: Reset called on uninitialized Ticker");
    CHECK_THROWS_AS(k.reset(1ms), runtime_error);
    CHECK(!k.c());
    k = ticker(100us);
    CHECK(k.c().recv());
    ticker other = k;
    other.stop();
    CHECK(k.c().try_recv().is_empty());
    k = ticker();
    CHECK(!k.c());
}

TEST_CASE("TIME-26 ticks come at start + k d, without drift", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (const nanoseconds d : {1000ns, 50'001ns, 500'000ns}) {
            setting set;
            ticker k(d);
            set.end();
            grid ticks(ok, set, d);
            for (int i = 0; i < 20 && ticks.next(k.c()); ++i) {
            }
            k.stop();
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-26 who is late finds the first that he missed, then goes on in step", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        setting set;
        ticker k(400us);
        set.end();
        grid ticks(ok, set, 400us);
        for (int i = 0; i < 5; ++i) {
            pass(i * 1300us);
            const auto asked = clock::now();
            ticks.next(k.c());
            // The one that lay there, and no more of those that were missed.
            ticks.next(k.c());
            ok(ticks.last() > asked);
            if (i % 2 == 0) ticks.next(k.c());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-27 a tick that was not read says when it was due", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        setting set;
        const ticker k(1ms);
        set.end();
        pass(10ms);
        ok(set.due(taken(k.c()), 1ms));
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-7 the channel of a ticker looks as if it had no buffer", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        ticker k(100us);
        for (int i = 0; i < 5; ++i) {
            ok(k.c().len() == 0 && k.c().cap() == 0);
            pass(300us);
            ok(k.c().len() == 0 && k.c().cap() == 0);
            ok(k.c().recv().has_value());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-28 after stop no tick is received, and the channel stays open", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        ticker k(200us);
        const auto silent = [&] {
            const auto r = k.c().try_recv();
            return r.is_empty() && !r.is_closed();
        };
        k.stop();  // before the first
        ok(silent());
        for (int i = 0; i < 5; ++i) {
            k.reset(200us);
            if (i % 2 == 0) ok(k.c().recv().has_value());
            pass(300us);  // one lies there
            k.stop();
            ok(silent());
            pass(500us);
            ok(silent());
            k.stop();
            ok(silent());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-28 who waits while it is stopped goes on waiting", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        ticker k(1h);
        reader r(k.c());
        k.stop();
        ok(r.waits());
        setting set;
        k.reset(1ms);
        set.end();
        ok(set.due(r.value(), 1ms));
        ok(k.c().recv().has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-29 reset: the first at d from now, then each d; an unread one is dropped",
          "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        ticker k(100us);
        for (const nanoseconds d : {300'000ns, 50'000ns, 1'000'000ns, 2000ns}) {
            pass(250us);
            setting set;
            k.reset(d);
            set.end();
            grid ticks(ok, set, d);
            for (int i = 0; i < 4; ++i) ticks.next(k.c());
        }
        k.reset(1h);
        ok(k.c().try_recv().is_empty());
        k.stop();
        setting set;
        k.reset(300us);  // it lives again
        set.end();
        grid ticks(ok, set, 300us);
        for (int i = 0; i < 3; ++i) ticks.next(k.c());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-29 reset while somebody waits", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        ticker k(1h);
        reader r(k.c());
        for (int i = 0; i < 50; ++i) k.reset(1h + (i * 37 % 50) * 1min);
        ok(!r.ended());
        setting set;
        k.reset(500us);
        set.end();
        ok(set.due(r.value(), 500us));
        ok(k.c().recv().has_value());
        ok(k.c().recv().has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-30 the longest period never comes round", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (const nanoseconds d : {nanoseconds::max(), nanoseconds::max() - 1ns}) {
            ticker k(d);
            ok(k.c().try_recv().is_empty());
            reader r(k.c());
            ok(r.waits());
            k.reset(1us);
            ok(r.value().has_value());
            ok(k.c().recv().has_value());
            k.reset(d);
            ok(k.c().try_recv().is_empty());
            ok.equal(select(on_recv(k.c()), on_recv(after(1ms))), 1U);
        }
        const auto c = tick(std::chrono::hours::max());
        ok(c && c.try_recv().is_empty());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-31 several read one ticker: each tick goes to one of them", "[time]") {
    const int each = scaled(100, 10);
    for (const int procs : {1, 4}) {
        for (const nanoseconds d : {1ns, 20'000ns}) {
            std::vector<time_point> all;
            run_on(procs, [&] {
                ticker k(d);
                mutex lock;
                wait_group readers;
                for (int i = 0; i < 10; ++i) {
                    readers.go([&] {
                        for (int n = 0; n < each; ++n) {
                            const auto v = k.c().recv();
                            const std::lock_guard hold(lock);
                            all.push_back(v.value());
                        }
                    });
                }
                readers.wait();
            });
            std::sort(all.begin(), all.end());
            CHECK(all.size() == 10 * static_cast<std::size_t>(each));
            CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
            CHECK(std::all_of(all.begin(), all.end(),
                              [&](time_point t) { return (t - all.front()) % d == 0ns; }));
        }
    }
}

TEST_CASE("TIME-31 a thousand tickers, and somebody who never waits", "[time]") {
    const int n = scaled(1000, 100);
    for (const int procs : {1, 4}) {
        std::atomic<int> ticks{0};
        run_on(procs, [&] {
            std::atomic<bool> stop{false};
            wait_group spinner;
            spinner.go([&] {
                while (!stop) {
                    gosched();
                    sleep(1ns);
                }
            });
            wait_group readers;
            for (int i = 0; i < n; ++i) {
                readers.go([&] {
                    ticker k(1ms);
                    for (int t = 0; t < 5; ++t) ticks += k.c().recv().has_value();
                });
            }
            readers.wait();
            stop = true;
            spinner.wait();
        });
        CHECK(ticks == 5 * n);
    }
}

TEST_CASE("TIME-9 tickers that nobody reads cost nothing", "[time]") {
    const int n = scaled(10'000, 500);
    const std::string wrong = everywhere([n](findings& ok) {
        // Ten ticks a microsecond in all, if anybody looked.
        std::vector<ticker> all;
        for (int i = 0; i < n; ++i) all.emplace_back(1ms);
        for (int i = 0; i < 5; ++i) {
            ok(after(1ms).recv().has_value());
            sleep(500us);
        }
        for (const ticker& k : all) ok(k.c().recv().has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-26 made, read and stopped in a loop", "[time]") {
    const int rounds = scaled(500, 50);
    const std::string wrong = everywhere([rounds](findings& ok) {
        for (int i = 0; i < rounds; ++i) {
            ticker k(1us);
            ok(k.c().recv().has_value());
            k.stop();
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-26 a for loop over the channel", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        int n = 0;
        ticker k(100us);
        time_point last;
        for (const time_point t : k.c()) {
            ok(n == 0 || t > last);
            last = t;
            if (++n == 10) break;
        }
        for (const time_point t : tick(100us)) {
            ok(t <= clock::now());
            if (++n == 20) break;
        }
        ok.equal(n, 20);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-26 a loop that works at each tick until it is told to end", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto quit = make_chan<void>();
        std::atomic<int> worked{0};
        wait_group worker;
        worker.go([&] {
            ticker k(100us);
            for (bool go_on = true; go_on;) {
                select(on_recv(k.c(), [&] { ++worked; }), on_recv(quit, [&] { go_on = false; }));
            }
        });
        wait_until([&] { return worked >= 10; }, "ten ticks");
        quit.close();
        worker.wait();
        const int at_end = worked;
        pass(300us);
        ok.equal(worked.load(), at_end);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-17 the channel keeps a ticker going, and the handle keeps the channel", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        setting set;
        const auto c = tick(300us);
        set.end();
        grid ticks(ok, set, 300us);
        for (int i = 0; i < 4; ++i) ticks.next(c);
        ticker k(1h);
        { const auto gone = k.c(); }
        k.reset(100us);
        ok(k.c().recv().has_value());
        // Who waits has the only copy.
        auto t = std::make_optional<ticker>(1h);
        reader r(t->c());
        t->reset(1ms);
        t.reset();
        ok(r.value().has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-42 threads read, stop and set a ticker of a goroutine", "[time]") {
    findings ok;
    ticker k;
    run_on(2, [&] {
        k = ticker(100us);
        ok(k.c().recv().has_value());
    });
    std::atomic<int> ticks{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < 10; ++n) ticks += k.c().recv().has_value();
            k.reset(50us);
        });
    }
    threads.clear();
    CHECK(ticks == 30);
    k.stop();
    CHECK(k.c().try_recv().is_empty());
    run_on(2, [&] {
        k.reset(100us);
        ok(k.c().recv().has_value());
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
