// gomaxprocs: what it answers, and that nothing is lost when it changes under load.
// Cites SCHED-1, 2, 3, 9, 12, 29, 30.
#include <catch2/catch.hpp>

#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"

#include <array>
#include <stdexcept>
#include <vector>

using namespace vole::test;

TEST_CASE("SCHED-1 gomaxprocs answers the previous value", "[sched][procs]") {
    const int start = vole::gomaxprocs();
    CHECK(start >= 1);
    std::vector<int> got;
    vole::run([&] {
        got.push_back(vole::gomaxprocs(3));
        got.push_back(vole::gomaxprocs(0));
        got.push_back(vole::gomaxprocs(-5));
        got.push_back(vole::gomaxprocs(3));
        got.push_back(vole::gomaxprocs(1));
        got.push_back(vole::gomaxprocs(start));
        got.push_back(vole::gomaxprocs());
    });
    CHECK(got == std::vector<int>{start, 3, 3, 3, 3, 1, start});
    CHECK(vole::gomaxprocs(2) == start);  // from an ordinary thread
    CHECK(vole::gomaxprocs(start) == 2);
    CHECK(vole::read_stats().procs == static_cast<std::uint64_t>(start));
    CHECK_THROWS_AS(vole::gomaxprocs(4097), std::invalid_argument);
    CHECK(vole::gomaxprocs() == start);
}

TEST_CASE("SCHED-1 many Ps are cheap", "[sched][procs]") {
    const procs_scope guard(1024);
    std::atomic<int> ran{0};
    vole::run([&] {
        vole::wait_group done;
        for (int i = 0; i < 2000; ++i) {
            done.go([&] {
                vole::gosched();
                ++ran;
            });
        }
        done.wait();
    });
    CHECK(ran == 2000);
    CHECK(vole::read_stats().procs == 1024);
}

TEST_CASE("SCHED-12 num_cpu is constant and at least one", "[sched][procs]") {
    const int n = vole::num_cpu();
    CHECK(n >= 1);
    const procs_scope guard(7);
    CHECK(vole::num_cpu() == n);
}

TEST_CASE("SCHED-9 set_default_gomaxprocs computes the default again", "[sched][procs]") {
    const procs_scope guard(1);
    vole::set_default_gomaxprocs();
    const int usual = vole::gomaxprocs();
    CHECK(usual >= 1);
    CHECK(usual <= vole::num_cpu());
    vole::gomaxprocs(usual + 3);
    CHECK(vole::gomaxprocs() == usual + 3);
    vole::run([] { vole::set_default_gomaxprocs(); });
    CHECK(vole::gomaxprocs() == usual);
}

TEST_CASE("SCHED-3 options.max_procs sets the number of Ps", "[sched][procs]") {
    const procs_scope guard(2);
    vole::options opts;
    opts.max_procs = 3;
    CHECK(vole::run(opts, [] { return vole::gomaxprocs(); }) == 3);
}

TEST_CASE("SCHED-1 up and down under load: every goroutine runs to its end", "[sched][procs]") {
    const procs_scope guard(2);
    const int rounds = scaled(40);
    constexpr int workers = 300;
    constexpr int steps = 200;
    std::atomic<long> work{0};
    bool steady = true;
    vole::run([&] {
        vole::wait_group done;
        vole::mutex m;
        long shared = 0;
        for (int i = 0; i < workers; ++i) {
            done.go([&] {
                for (int s = 0; s < steps; ++s) {
                    ++work;
                    if (s % 3 == 0) {
                        m.lock();
                        ++shared;
                        m.unlock();
                    } else if (s % 50 == 1) {
                        vole::blocking([] { std::this_thread::yield(); });
                    } else {
                        vole::gosched();
                    }
                }
            });
        }
        // 1 and 9 by turns, and everything between.
        int last = 2;
        for (int r = 0; r < rounds; ++r) {
            const int n = r % 2 == 0 ? 1 + r % 9 : 9 - r % 9;
            if (vole::gomaxprocs(n) != last) steady = false;
            last = n;
            vole::gosched();
        }
        done.wait();
    });
    CHECK(steady);
    CHECK(work == workers * steps);
    CHECK(only_left(0));
}

TEST_CASE("SCHED-75 changes from several goroutines at once are serialised", "[sched][procs]") {
    const procs_scope guard(4);
    std::atomic<int> finished{0};
    vole::run([&] {
        vole::wait_group done;
        for (int i = 0; i < 6; ++i) {
            done.go([&, i] {
                for (int r = 0; r < 50; ++r) {
                    vole::gomaxprocs(1 + (i + r) % 6);
                    vole::gosched();
                }
                ++finished;
            });
        }
        done.wait();
    });
    CHECK(finished == 6);
    const int now = vole::gomaxprocs();
    CHECK(now >= 1);
    CHECK(now <= 6);
}

TEST_CASE("SCHED-30 n goroutines that need each other run at once on n Ps", "[sched][procs]") {
    constexpr int n = 4;
    const procs_scope guard(n);
    const int rounds = scaled(10);
    bool met = true;
    vole::run([&] {
        for (int round = 0; round < rounds; ++round) {
            std::atomic<int> turn{0};
            std::atomic<bool> give_up{false};
            vole::wait_group done;
            for (int p = 0; p < n; ++p) {
                done.go([&, p] {
                    // Passes a turn round without ever giving up its P.
                    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
                    for (int i = 0; i < 3; ++i) {
                        for (int spins = 0; turn.load() != n * i + p; ++spins) {
                            if (give_up) return;
                            if (spins % 4096 == 4095) {
                                // More Ps than CPUs: the system must get a chance to run the other
                                // thread, but the goroutine keeps its P.
                                std::this_thread::yield();
                                if (std::chrono::steady_clock::now() > end) give_up = true;
                            }
                        }
                        ++turn;
                    }
                });
            }
            done.wait();
            if (give_up) met = false;
            // After a pause the Ps have gone to sleep and must all come back.
            if (round % 3 == 0) {
                vole::blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
            }
        }
    });
    CHECK(met);
}
