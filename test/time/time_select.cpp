// Timers in select, beside other channels. Cites TIME-7 to TIME-18, TIME-31.
#include "test/time/time_support.hpp"

#include <array>
#include <thread>
#include <vector>

namespace vole::test {
namespace {

using received = std::optional<time_point>;

}  // namespace

TEST_CASE("TIME-18 select gives up after a time", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto never = make_chan<int>();
        for (int i = 0; i < 3; ++i) {
            received v;
            setting set;
            const auto limit = after(1ms);
            set.end();
            ok.equal(select(on_recv(never), on_recv(limit, [&](received t) { v = t; })), 1U);
            ok(set.due(v, 1ms));
            ok(clock::now() >= set.before() + 1ms);
        }
        ok.equal(select(on_recv(never), on_recv(after(1ms))), 1U);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-18 select takes what is ready and leaves the timer alone", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto c = make_chan<int>(1);
        timer t(1h);
        for (int i = 0; i < 20; ++i) {
            c.send(i);
            ok.equal(select(on_recv(t.c()), on_recv(c)), 1U);
        }
        ok(t.stop());
        // Both at once: one is taken, the other stays.
        timer a(0ns);
        timer b(0ns);
        const auto first = select(on_recv(a.c()), on_recv(b.c()));
        ok(a.stop() == (first == 1));
        ok(b.stop() == (first == 0));
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-9 otherwise is taken before the time, and not after it", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto never = make_chan<int>();
        const auto look = [&](const recv_chan<time_point>& c) {
            return select(on_recv(never), on_recv(c), otherwise());
        };
        setting set;
        timer t(5ms);
        set.end();
        // Whether it is due yet is known only before and after the look.
        for (;;) {
            const auto before = clock::now();
            const auto taken = look(t.c());
            if (taken == 1) {
                ok(clock::now() >= set.before() + 5ms);
                break;
            }
            ok(before < set.after() + 5ms + estimate);
        }
        ok.equal(look(t.c()), 2U);
        t.reset(0ns);
        ok.equal(look(t.c()), 1U);
        ok.equal(look(t.c()), 2U);
        t.reset(1us);
        pass(3us);
        ok(t.stop());
        ok.equal(look(t.c()), 2U);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-14 select waits while the timer is stopped and set again", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer t(1h);
        const auto quit = make_chan<void>();
        std::atomic<std::uint64_t> id{0};
        std::atomic<int> got{-1};
        wait_group done;
        done.go([&] {
            id = goroutine_id();
            got = static_cast<int>(select(on_recv(t.c()), on_recv(quit)));
        });
        wait_until([&] { return id != 0; });
        parked_as(id, "select");
        ok(t.stop());
        ok(stays([&] { return got == -1; }, 50));
        ok(!t.reset(2h));
        ok(stays([&] { return got == -1; }, 50));
        ok(t.reset(1ms));
        done.wait();
        ok.equal(got.load(), 0);
        ok(!t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-14 of many selects on one timer one is served, the others by something else",
          "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        timer t(1h);
        const auto quit = make_chan<void>();
        std::atomic<int> served{0};
        std::atomic<int> sent_home{0};
        std::atomic<int> begun{0};
        wait_group done;
        for (int i = 0; i < 20; ++i) {
            done.go([&] {
                ++begun;
                select(on_recv(t.c(), [&] { ++served; }), on_recv(quit, [&] { ++sent_home; }));
            });
        }
        wait_until([&] { return begun == 20; });
        settle();
        t.reset(1ms);
        wait_until([&] { return served == 1; });
        ok(stays([&] { return served == 1; }, 50));
        // Nobody is left to take it: they leave, and it stays to be dropped.
        quit.close();
        done.wait();
        ok.equal(served.load(), 1);
        ok.equal(sent_home.load(), 19);
        ok(!t.stop());
        t.reset(0ns);
        ok(t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-14 one timer twice in a select: one value, once", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (int i = 0; i < 20; ++i) {
            timer t(i % 2 == 0 ? 0ns : 200us);
            int values = 0;
            select(on_recv(t.c(), [&](received v) { values += v.has_value(); }),
                   on_recv(t.c(), [&](received v) { values += v.has_value(); }));
            ok.equal(values, 1);
            ok(!t.stop());
            ok(t.c().try_recv().is_empty());
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-15 the earlier of two timers ends the wait", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (int i = 0; i < 5; ++i) {
            timer late(1h);
            timer soon(1ms);
            ok.equal(select(on_recv(late.c()), on_recv(soon.c())), 1U);
            ok(late.stop());
            ok(!soon.stop());
        }
        timer a(1h);
        timer b(2h);
        wait_group other;
        other.go([&] { b.reset(1ms); });
        ok.equal(select(on_recv(a.c()), on_recv(b.c())), 1U);
        other.wait();
        ok(a.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-9 who has left a select is not waiting any more", "[time]") {
    // The timer goes into a heap and out of it again each time; it must be right afterwards.
    const int rounds = scaled(2000, 50);
    const std::string wrong = everywhere([rounds](findings& ok) {
        timer t(1h);
        const auto c = make_chan<int>();
        wait_group sender;
        sender.go([&] {
            for (int i = 0; i < rounds; ++i) c.send(i);
        });
        for (int i = 0; i < rounds; ++i) ok.equal(select(on_recv(t.c()), on_recv(c)), 1U);
        sender.wait();
        ok(t.c().try_recv().is_empty());
        t.reset(1us);
        pass(3us);
        ok(t.c().len() == 0);
        ok(taken(t.c()).has_value());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-6 a selector over many timers gets each value once", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        constexpr std::size_t n = 30;
        std::array<int, n> got{};
        std::vector<timer> timers;
        selector s;
        for (std::size_t i = 0; i < n; ++i) {
            const auto d = (i * 7 % n) * 200us;
            const timer t(d);
            s.recv(t.c(), [&got, &ok, i](received v) {
                ++got[i];
                ok(v && *v <= clock::now());
            });
            timers.push_back(t);
        }
        for (std::size_t i = 0; i < n; ++i) s.select();
        for (const int one : got) ok.equal(one, 1);
        s.otherwise();
        ok.equal(s.select(), n);
        for (timer& t : timers) ok(!t.stop());
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-18 a loop with a limit for each round and one for all", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        const auto jobs = make_chan<int>();
        const auto quit = make_chan<void>();
        std::atomic<int> idle{0};
        wait_group worker;
        worker.go([&] {
            for (int i = 0; i < 3; ++i) {
                jobs.send(i);
                const int before = idle;
                wait_until([&] { return idle > before; }, "a round without a job");
            }
            quit.close();
        });
        const auto all = after(1h);
        int done = 0;
        for (bool go_on = true; go_on;) {
            select(on_recv(jobs, [&] { ++done; }), on_recv(quit, [&] { go_on = false; }),
                   on_recv(all, [&] { ok(false); }), on_recv(after(200us), [&] { ++idle; }));
        }
        worker.wait();
        ok.equal(done, 3);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-42 threads select on the timers that goroutines wait for", "[time]") {
    findings ok;
    timer t(1h);
    const auto quit = make_chan<void>();
    std::atomic<int> values{0};
    std::atomic<int> ended{0};
    const auto listen = [&] {
        for (bool go_on = true; go_on;) {
            select(on_recv(t.c(), [&](received v) { values += v.has_value(); }),
                   on_recv(quit, [&] { go_on = false; }));
        }
        ++ended;
    };
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(listen);
    run_on(2, [&] {
        wait_group all;
        for (int i = 0; i < 3; ++i) all.go(listen);
        for (int i = 1; i <= 50; ++i) {
            ok(!t.reset(i % 2 == 0 ? 0ns : 50us) || i == 1);
            wait_until([&] { return values == i; }, "somebody to get the value");
        }
        quit.close();
        all.wait();
    });
    threads.clear();
    CHECK(ended == 6);
    CHECK(values == 50);
    CHECK(ok.text() == "");
}

}  // namespace vole::test
