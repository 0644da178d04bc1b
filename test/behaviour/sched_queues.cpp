// In which order goroutines run, and that none is forgotten.
// Cites SCHED-13 to SCHED-17, SCHED-20, SCHED-21, SCHED-26, SCHED-27, SCHED-29.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace vole::test;
using namespace std::chrono_literals;

TEST_CASE("SCHED-13 on one P the last one started runs first, then the others in order",
          "[sched][queue]") {
    const procs_scope guard(1);
    const auto attempt = [] {
        std::string order;
        vole::run([&] {
            vole::wait_group done;
            done.add(3);
            vole::go([&] {
                order += 'a';
                done.done();
            });
            vole::go([&] {
                order += 'b';
                done.done();
            });
            vole::go([&] {
                order += 'c';
                done.done();
            });
            done.wait();
        });
        return order;
    };
    CHECK(settled(attempt, std::string("cab")) == "cab");
}

TEST_CASE("SCHED-14 a goroutine that is readied runs next", "[sched][queue]") {
    const procs_scope guard(1);
    const auto attempt = [] {
        std::string order;
        vole::run([&] {
            auto c = vole::make_chan<int>();
            vole::wait_group done;
            done.add(3);
            vole::go([&] {
                (void)c.recv();
                order += 'r';
                done.done();
            });
            vole::gosched();  // the receiver waits now
            vole::go([&] {
                order += 'a';
                done.done();
            });
            vole::go([&] {
                order += 'b';
                done.done();
            });
            c.send(1);  // readies r, which takes the place of b
            done.wait();
        });
        return order;
    };
    CHECK(settled(attempt, std::string("rab")) == "rab");
}

TEST_CASE("SCHED-16 more goroutines than a ring holds", "[sched][queue]") {
    const procs_scope guard(1);
    constexpr int count = 1000;
    bool all = true;
    const auto attempt = [&] {
        std::vector<int> order;
        order.reserve(count);
        vole::run([&] {
            vole::wait_group done;
            for (int i = 0; i < count; ++i) done.go([&, i] { order.push_back(i); });
            done.wait();
        });
        const bool newest_first = !order.empty() && order.front() == count - 1;  // runnext
        // What was spilled to the global queue went there, and is taken from there, in order.
        std::vector<int> spilled;
        for (const int i : order) {
            if (i < 128) spilled.push_back(i);
        }
        const bool in_order = std::is_sorted(spilled.begin(), spilled.end());
        std::sort(order.begin(), order.end());
        all = all && order.size() == count && order.front() == 0 && order.back() == count - 1 &&
              std::adjacent_find(order.begin(), order.end()) == order.end();
        return newest_first && in_order;
    };
    CHECK(settled(attempt, true));
    CHECK(all);
}

TEST_CASE("SCHED-17 the global queue is not starved by local work", "[sched][queue]") {
    const procs_scope guard(1);
    std::atomic<bool> stop{false};
    bool reached = false;
    std::uint64_t turns = 0;
    vole::run([&] {
        vole::wait_group done;
        // Two goroutines that ready each other for ever without the global queue.
        auto ping = vole::make_chan<bool>();
        auto pong = vole::make_chan<bool>();
        done.go([&] {
            while (!stop) {
                ++turns;
                ping.send(true);
                (void)pong.recv();
            }
            ping.close();
        });
        done.go([&] {
            while (ping.recv()) pong.send(true);
        });
        // gosched puts main at the tail of the global queue.
        for (int i = 0; i < 100; ++i) vole::gosched();
        reached = true;
        stop = true;
        done.wait();
    });
    CHECK(reached);
    CHECK(turns > 0);
}

TEST_CASE("SCHED-21 gosched lets all others run first", "[sched][queue]") {
    const procs_scope guard(1);
    const auto attempt = [] {
        std::vector<int> seen;
        vole::run([&] {
            int ran = 0;
            vole::wait_group done;
            for (int i = 0; i < 10; ++i) done.go([&] { ++ran; });
            seen.push_back(ran);
            vole::gosched();
            seen.push_back(ran);
            done.wait();
        });
        return seen;
    };
    const std::vector<int> expected{0, 10};
    CHECK(settled(attempt, expected) == expected);
}

TEST_CASE("SCHED-29 two goroutines on one P alternate by gosched", "[sched][queue]") {
    const procs_scope guard(1);
    const auto attempt = [] {
        std::string order;
        vole::run([&] {
            vole::wait_group done;
            for (const char name : {'a', 'b'}) {
                done.go([&, name] {
                    for (int i = 0; i < 5; ++i) {
                        order += name;
                        vole::gosched();
                    }
                });
            }
            done.wait();
        });
        return order;
    };
    CHECK(settled(attempt, std::string("bababababa")) == "bababababa");
}

TEST_CASE("SCHED-29 many goroutines that only yield make progress", "[sched][queue]") {
    for (const int procs : {1, 2, 4}) {
        const procs_scope guard(procs);
        std::atomic<int> ended{0};
        vole::run([&] {
            vole::wait_group done;
            for (int i = 0; i < 10; ++i) {
                done.go([&] {
                    for (int n = 0; n < 1000; ++n) vole::gosched();
                    ++ended;
                });
            }
            done.wait();
        });
        CHECK(ended == 10);
    }
}

TEST_CASE("SCHED-15 a pair that plays ping-pong does not starve a third", "[sched][queue]") {
    // Each round of the pair inherits the time slice; the slice of 10 ms ends it all the same.
    const procs_scope guard(1);
    std::uint64_t pings = 0;
    std::uint64_t hogs = 0;
    vole::run([&] {
        std::atomic<bool> stop{false};
        auto hog = vole::make_chan<int>();
        auto light = vole::make_chan<int>();
        vole::wait_group done;
        done.go([&] {
            while (!stop) {
                hog.send(1);
                ++pings;
                (void)light.recv();
            }
            hog.close();
        });
        done.go([&] {
            while (hog.recv()) light.send(1);
        });
        done.go([&] {
            // Yields after each slice of its own.
            while (!stop) {
                const auto end = std::chrono::steady_clock::now() + 1ms;
                while (std::chrono::steady_clock::now() < end) {
                }
                ++hogs;
                vole::gosched();
            }
        });
        wait_until([&] { return hogs >= 20 && pings >= 1000; });
        stop = true;
        done.wait();
    });
    CHECK(hogs >= 20);
    CHECK(pings >= 1000);
}

TEST_CASE("SCHED-15 a goroutine that computes and calls in is made to yield", "[sched][queue]") {
    // Cooperative preemption: after 10 ms the next operation of the hog gives way.
    const procs_scope guard(1);
    bool other_ran = false;
    std::uint64_t calls = 0;
    vole::run([&] {
        std::atomic<bool> stop{false};
        auto c = vole::make_chan<int>(1);
        vole::go([&] {
            other_ran = true;
            stop = true;
        });
        const auto end = std::chrono::steady_clock::now() + 60s;
        while (!stop && std::chrono::steady_clock::now() < end) {
            c.send(1);
            (void)c.recv();
            ++calls;
        }
    });
    CHECK(other_ran);
    CHECK(calls > 0);
}

TEST_CASE("SCHED-20 goroutines started by ordinary threads find idle Ps", "[sched][queue]") {
    const procs_scope guard(4);
    constexpr int threads = 8;
    const int each = scaled(500);
    std::atomic<int> ran{0};
    std::vector<std::thread> starters;
    for (int t = 0; t < threads; ++t) {
        starters.emplace_back([&] {
            for (int i = 0; i < each; ++i) {
                vole::go([&] { ++ran; });
                if (i % 50 == 0) std::this_thread::yield();
            }
        });
    }
    for (auto& t : starters) t.join();
    CHECK(wait_until([&] { return ran == threads * each; }));
    CHECK(only_left(0));
}

TEST_CASE("SCHED-27 no runnable goroutine is left while Ps go idle", "[sched][queue]") {
    // One goroutine at a time, each from another thread, right when the Ps are about to sleep.
    const procs_scope guard(2);
    const int rounds = scaled(5000);
    std::chrono::steady_clock::duration worst{};
    int lost = 0;
    for (int i = 0; i < rounds && lost == 0; ++i) {
        std::atomic<bool> ran{false};
        const auto start = std::chrono::steady_clock::now();
        vole::go([&] { ran = true; });
        if (!wait_until([&] { return ran.load(); })) ++lost;
        worst = std::max(worst, std::chrono::steady_clock::now() - start);
    }
    CHECK(lost == 0);
    CHECK(worst < patience() / 12);
}

TEST_CASE("SCHED-26 work that one goroutine starts spreads over the Ps", "[sched][queue]") {
    const procs_scope guard(4);
    std::atomic<int> inside{0};
    std::atomic<bool> all{false};
    vole::run([&] {
        vole::wait_group done;
        for (int i = 0; i < 4; ++i) {
            done.go([&] {
                // Each keeps its P until all four are inside.
                ++inside;
                const auto end = std::chrono::steady_clock::now() + 60s;
                while (inside < 4 && std::chrono::steady_clock::now() < end) {
                    std::this_thread::yield();
                }
                if (inside == 4) all = true;
            });
        }
        done.wait();
    });
    CHECK(all);
}

TEST_CASE("SCHED-40 an idle process uses no CPU", "[sched][idle]") {
    vole::run([] {});
    REQUIRE(only_left(0));
    // CPU time of the whole process over one second in which nothing happens.
    const auto cpu = [] {
        timespec t{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
    };
    const auto before = cpu();
    std::this_thread::sleep_for(1s);  // the length of the measurement, not a wait for a state
    const auto used = cpu() - before;
    CHECK(used < 50ms);
}
