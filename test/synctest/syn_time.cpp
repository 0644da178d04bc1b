// When everybody is durably blocked, and the bubble's clock. Cites SYN-19 to SYN-29.
#include "test/synctest/synctest_support.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace vole::test {

namespace {

/// In which order n goroutines wake that sleep to the same instant, in a bubble of this seed.
std::vector<int> order_of_sleepers(std::uint64_t seed, int n) {
    std::vector<int> order;
    bubble(seed, [&] {
        mutex m;
        for (int i = 0; i < n; ++i) {
            go([&, i] {
                sleep(1s);
                const std::lock_guard hold(m);
                order.push_back(i);
            });
        }
        sleep(2s);  // time stands still once main has returned
    });
    return order;
}

std::vector<int> order_of_timers(std::uint64_t seed, int n) {
    std::vector<int> order;
    bubble(seed, [&] {
        mutex m;
        for (int i = 0; i < n; ++i) {
            after_func(1s, [&, i] {
                const std::lock_guard hold(m);
                order.push_back(i);
            });
        }
        sleep(2s);
    });
    return order;
}

/// What one goroutine's selects between two channels that are always ready choose.
std::uint64_t choices(std::uint64_t seed) {
    std::uint64_t bits = 0;
    bubble(seed, [&] {
        auto a = make_chan<int>(1);
        auto b = make_chan<int>(1);
        for (int i = 0; i < 64; ++i) {
            (void)a.try_send(1);
            (void)b.try_send(1);
            bits = bits * 2 + select(on_recv(a), on_recv(b));
        }
    });
    return bits;
}

}  // namespace

TEST_CASE("SYN-19 wait ends before time goes on", "[synctest][clock]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        bool woke = false;
        go([&] {
            sleep(1ns);
            woke = true;
        });
        for (int i = 0; i < 10; ++i) {
            synctest::wait();
            ok.equal(t.ns(), 0);
            ok(!woke);
        }
        sleep(1ns);
        synctest::wait();
        ok(woke);
        ok.equal(t.ns(), 1);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-19 time goes to the nearest timer, and all that are due run", "[synctest][clock]") {
    const procs_scope guard(2);
    findings ok;
    bubble([&] {
        const stopwatch t;
        std::atomic<int> at_one{0};
        std::atomic<int> functions{0};
        for (int i = 0; i < 20; ++i) {
            go([&] {
                sleep(1s);
                ok.equal(t.ns(), ns(1s));
                ++at_one;
                sleep(1s);
            });
            after_func(1s, [&] {
                ok.equal(t.ns(), ns(1s));
                ++functions;
            });
        }
        sleep(1s + 1ns);
        ok.equal(at_one.load(), 20);
        ok.equal(functions.load(), 20);
        ok.equal(t.ns(), ns(1s) + 1);
        sleep(1s);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-20 wait returns when timers that are due have run, and what they started is done",
          "[synctest][clock]") {
    for (const int procs : {1, 4}) {
        const procs_scope guard(procs);
        findings ok;
        for (int round = 0; round < scaled(200); ++round) {
            bubble([&] {
                int plain = 0;  // ordered by wait()'s return
                auto c = make_chan<int>();
                after_func(0s, [&] {
                    go([&] {
                        for (int i = 0; i < 5; ++i) gosched();
                        plain += c.recv().value_or(0);
                        after_func(0s, [&] { plain += 10; });
                    });
                });
                synctest::wait();
                ok.equal(plain, 0);
                c.send(1);
                synctest::wait();
                ok.equal(plain, 11);
            });
        }
        CHECK(ok.text() == "");
    }
}

TEST_CASE("SYN-20 wait returns when all that is due at this instant has been seen to, however much",
          "[synctest][clock]") {
    findings ok;
    for (int round = 0; round < scaled(50, 5); ++round) {
        bubble([&] {
            constexpr int n = 300;
            std::atomic<int> woken{0};
            std::atomic<int> called{0};
            for (int i = 0; i < n; ++i) {
                go([&] {
                    sleep(1s);
                    ++woken;
                });
                after_func(1s, [&] { ++called; });
            }
            const stopwatch t;
            sleep(1s);
            synctest::wait();
            ok.equal(woken.load(), n);
            ok.equal(called.load(), n);
            ok.equal(t.ns(), ns(1s));
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-21 what happened before, without a lock", "[synctest][clock]") {
    const procs_scope guard(4);
    findings ok;
    std::vector<int> seen(50);
    bubble([&] {
        std::vector<int> plain(50);
        int of_timer = 0;
        auto c = make_chan<int>();
        for (std::size_t i = 0; i < plain.size(); ++i) {
            go([&, i] {
                plain[i] = 1;
                if (i % 2 == 0) c.recv();
                if (i % 3 == 0) sleep(1h);
                seen[i] = 1;
            });
        }
        after_func(0s, [&] { of_timer = 1; });
        synctest::wait();
        int sum = of_timer;
        for (int& p : plain) sum += std::exchange(p, 2);
        ok.equal(sum, 51);
        c.close();
        sleep(1h);
        synctest::wait();
        for (const int p : plain) sum += p;
        ok.equal(sum, 151);
    });
    int sum = 0;
    for (const int s : seen) sum += s;
    CHECK(sum == 50);
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-22 the shorter sleep ends first; years take no time", "[synctest][clock]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        bool first = false;
        go([&] {
            sleep(1s);
            ok.equal(t.ns(), ns(1s));
            first = true;
        });
        sleep(2s);
        ok(first);
        ok.equal(t.ns(), ns(2s));
        sleep(24h * 365 * 100);
        ok.equal(t.ns(), ns(24h * 365 * 100 + 2s));
        sleep(0s);
        sleep(-1h);
        sleep_until(t.start());
        ok.equal(t.ns(), ns(24h * 365 * 100 + 2s));
        sleep_until(t.start() + 24h * 365 * 101);
        ok.equal(t.ns(), ns(24h * 365 * 101));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-23 the clock stands still while anybody runs", "[synctest][clock]") {
    findings ok;
    const int reads = scaled(1'000'000);
    bubble([&] {
        const auto now = clock::now();
        const auto wall = clock::wall();
        go([&] {
            sleep(1ns);
            ok(clock::now() - now == 1ns);
        });
        int other = 0;
        for (int i = 0; i < reads; ++i) other += clock::now() != now;
        for (int i = 0; i < reads / 100; ++i) gosched();
        ok.equal(other, 0);
        ok(clock::wall() == wall);
        sleep(2ns);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-24 every bubble begins with the year 2000", "[synctest][clock]") {
    findings ok;
    std::set<clock::time_point> beginnings;
    for (int i = 0; i < 3; ++i) {
        bubble([&] {
            using namespace std::chrono;
            constexpr sys_time<nanoseconds> year_2000 = sys_days(year{2000} / 1 / 1);
            ok.equal(year_2000.time_since_epoch().count(), 946'684'800'000'000'000);
            ok(clock::wall() == year_2000);
            beginnings.insert(clock::now());
            sleep(36h + 5ns);
            ok(clock::wall() == year_2000 + 36h + 5ns);
            wait_group g;
            g.go([&] {
                sleep(1h);
                ok(clock::wall() == year_2000 + 37h + 5ns);
            });
            g.wait();
            ok(clock::wall() == year_2000 + 37h + 5ns);
        });
    }
    ok.equal(beginnings.size(), std::size_t{1});
    CHECK(ok.text() == "");
    CHECK(clock::wall().time_since_epoch() > std::chrono::seconds(946'684'800) + 24h * 365 * 20);
}

TEST_CASE("SYN-25 a time of outside can be compared, whatever that means", "[synctest][clock]") {
    const auto outside = clock::now();
    std::int64_t sum = 0;
    bubble([&] {
        const auto inside = clock::now();
        sum = (inside - outside).count() + (outside - inside).count();
        sleep_until(std::min(inside, outside));
    });
    CHECK(sum == 0);
}

TEST_CASE("SYN-26 due order is the order in time, however they were set", "[synctest][clock]") {
    findings ok;
    std::vector<int> order;
    bubble([&] {
        // In the order 0, 37, 74, 11, ... of hundredths of a second: no two at once.
        for (int i = 0; i < 100; ++i) {
            const int at = i * 37 % 100;
            after_func(at * 10ms, [&, at] { order.push_back(at); });
        }
        sleep(1h);
    });
    ok.equal(order.size(), std::size_t{100});
    ok(std::is_sorted(order.begin(), order.end()));
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-26 the order of what is due at once is left to chance", "[synctest][clock]") {
    const procs_scope guard(1);  // or the scheduler would see to that
    for (const auto order : {order_of_sleepers, order_of_timers}) {
        constexpr int rounds = 200;
        int forwards = 0;
        for (std::uint64_t seed = 1; seed <= rounds; ++seed) {
            const std::vector<int> got = order(seed, 2);
            REQUIRE(got.size() == 2);
            forwards += got[0] < got[1];
        }
        CHECK(forwards > rounds / 10);
        CHECK(forwards < rounds - rounds / 10);
    }
}

TEST_CASE("SYN-26 beyond Go: equal seeds, equal chances", "[synctest][clock]") {
    const std::uint64_t one = choices(1);
    for (int i = 0; i < 10; ++i) CHECK(choices(1) == one);
    CHECK(choices(2) != one);
    CHECK(one != 0);
    CHECK(one != ~std::uint64_t{0});
    // Who is made runnable first, runs first: on one P, if the system lets us run undisturbed.
    const procs_scope guard(1);
    for (const auto order : {order_of_sleepers, order_of_timers}) {
        const auto twice_the_same = [&] { return order(7, 8) == order(7, 8); };
        bool same = false;
        for (int i = 0; i < 5 && !same; ++i) same = twice_the_same();
        CHECK(same);
    }
}

TEST_CASE("SYN-27 a timer's value is the instant that it was set to", "[synctest][clock]") {
    findings ok;
    bubble([&] {
        const auto start = clock::now();
        const timer t(3s);
        const timer unread(4s);
        ok(t.c().recv() == start + 3s);
        sleep(1h);
        ok(unread.c().recv() == start + 4s);
        const auto later = clock::now();
        ok(later == start + 1h + 3s);
        ok(after(1ms).recv() == later + 1ms);
        ticker k(10s);
        for (int i = 1; i <= 5; ++i) ok(k.c().recv() == later + 1ms + i * 10s);
        sleep(35s);  // the ticks at 60, 70 and 80 s: one is kept
        ok(k.c().recv() == later + 1ms + 60s);
        ok(k.c().recv() == later + 1ms + 90s);
        k.reset(1s);
        ok(k.c().recv() == later + 1ms + 91s);
        k.stop();
        sleep(1h);
        ok(k.c().try_recv().is_empty());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-27 what is due at once fires in the call that sets it", "[synctest][clock]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        for (const auto d : {0s, -1s, -3600s}) {
            const timer at_once(d);
            ok(at_once.c().try_recv().is_value());
            timer reset(1h);
            ok(reset.reset(d));
            ok(reset.c().try_recv().is_value());
            std::atomic<bool> called{false};
            after_func(d, [&] { called = true; });
            ok(wait_until([&] { return called.load(); }));  // main is busy all the time
        }
        ok.equal(t.ns(), 0);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-27 stop and reset", "[synctest][clock]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        std::atomic<int> calls{0};
        timer f = after_func(1s, [&] { ++calls; });
        ok(f.stop());
        ok(!f.stop());
        sleep(2s);
        ok.equal(calls.load(), 0);
        ok(!f.reset(1s));
        sleep(500ms);
        ok(f.reset(1s));
        sleep(750ms);
        ok.equal(calls.load(), 0);
        sleep(250ms + 1ns);
        ok.equal(calls.load(), 1);
        ok(!f.stop());

        timer c(1s);
        sleep(2s);
        ok(c.stop());  // due, but nobody has received it
        ok(c.c().try_recv().is_empty());
        ok(!c.reset(1s));
        const auto set = clock::now();
        go([&] {
            sleep(500ms);
            ok(c.reset(2s));  // while main waits for it
        });
        ok(c.c().recv() == set + 2500ms);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-28 reset to now of a timer that another one selects on", "[synctest][clock]") {
    const procs_scope guard(2);
    findings ok;
    for (int i = 0; i < scaled(300); ++i) {
        bubble([&] {
            const stopwatch t;
            timer c(1h);
            auto done = make_chan<void>();
            go([&] {
                select(on_recv(c.c()), on_recv(done));
                done.close();
            });
            if (i % 2 == 0) synctest::wait();
            c.reset(0s);
            done.recv();
            ok.equal(t.ns(), 0);
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("beyond Go: timers that nobody waits for do not make time go on", "[synctest][clock]") {
    findings ok;
    const auto r = deadlock_of([&] {
        const ticker k(1s);
        const timer t(1s);
        const stopwatch since;
        go([&] {
            synctest::wait();  // main waits for ever
            ok.equal(since.ns(), 0);
        });
        make_chan<int>().recv();
    });
    CHECK(r.what == all_blocked);
    bubble([&] {
        const ticker k(1ns);
        const stopwatch t;
        sleep(24h);  // in one step
        ok.equal(t.ns(), ns(24h));
        ok(k.c().try_recv().is_value());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-29 time stops when main returns", "[synctest][clock]") {
    std::atomic<int> fired{0};
    bubble([&] {
        after_func(1ns, [&] { ++fired; });
        after_func(1h, [&] { ++fired; });
    });
    CHECK(fired == 0);
    const auto sleeper = deadlock_of([&] {
        go([&] {
            sleep(1ns);
            ++fired;
        });
    });
    CHECK(sleeper.what == main_exited);
    const auto receiver = deadlock_of([&] {
        go([&] {
            after(1ns).recv();
            ++fired;
        });
        synctest::wait();
    });
    CHECK(receiver.what == main_exited);
    CHECK(fired == 0);
}

}  // namespace vole::test
