// The scheduler under load: starting, ending, stealing, sleeping and waking, changing the number of Ps, all
// at once. Cites SCHED-1, SCHED-22 to SCHED-28, SCHED-35, SCHED-58, SCHED-75, SCHED-76.
//
// Each test counts what it starts and what ends: a lost goroutine hangs it (and is reported with all
// tracebacks by wait_until or the runner's time limit), a doubled one makes the sum wrong.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

using namespace vole::test;

namespace {

/// A generator of its own for each goroutine: cheap, and the same in each run for a seed.
class small_random {
  public:
    explicit small_random(std::uint32_t seed) : x_(seed * 2654435761u + 1) {}
    std::uint32_t below(std::uint32_t n) {
        x_ ^= x_ << 13;
        x_ ^= x_ >> 17;
        x_ ^= x_ << 5;
        return x_ % n;
    }

  private:
    std::uint32_t x_;
};

}  // namespace

TEST_CASE("stress SCHED-27: one goroutine at a time from other threads, while Ps fall asleep",
          "[stress][sched]") {
    for (const int procs : {1, 2, 4, 8}) {
        const procs_scope scope(procs);
        constexpr int threads = 4;
        const int rounds = scaled(3000);
        std::atomic<long> ran{0};
        std::vector<std::thread> starters;
        for (int t = 0; t < threads; ++t) {
            starters.emplace_back([&] {
                for (int i = 0; i < rounds; ++i) {
                    std::atomic<bool> mine{false};
                    vole::go([&] {
                        ++ran;
                        mine = true;
                    });
                    wait_until([&] { return mine.load(); }, "a goroutine started by a thread");
                }
            });
        }
        for (auto& t : starters) t.join();
        CHECK(ran == static_cast<long>(threads) * rounds);
    }
}

TEST_CASE("stress SCHED-23: a tree of goroutines over all Ps", "[stress][sched]") {
    for (const int procs : {1, 2, 4, 16}) {
        std::atomic<long> leaves{0};
        const int depth = scale() >= 1 ? 15 : 10;
        run_on(procs, [&] {
            vole::wait_group done;
            struct tree {
                static void grow(vole::wait_group& g, std::atomic<long>& n, int left) {
                    if (left == 0) {
                        ++n;
                        return;
                    }
                    for (int i = 0; i < 2; ++i) {
                        g.go([&g, &n, left] { grow(g, n, left - 1); });
                    }
                }
            };
            for (int i = 0; i < scaled(3); ++i) {
                tree::grow(done, leaves, depth);
                done.wait();
            }
        });
        CHECK(leaves == static_cast<long>(scaled(3)) << depth);
    }
}

TEST_CASE("stress SCHED-1: the number of Ps changes while goroutines do everything there is",
          "[stress][sched]") {
    const int workers = 64;
    const int steps = scaled(1500);
    std::atomic<long> sum{0};
    run_on(4, [&] {
        auto c = vole::make_chan<int>(8);
        vole::mutex m;
        long locked = 0;
        vole::wait_group done;
        vole::wait_group drain;
        drain.go([&] {
            for (const int n : c) sum += n;
        });
        for (int w = 0; w < workers; ++w) {
            done.go([&, w] {
                small_random random(static_cast<std::uint32_t>(w));
                for (int s = 0; s < steps; ++s) {
                    switch (random.below(8)) {
                        case 0: vole::gosched(); break;
                        case 1: c.send(1); break;
                        case 2:
                            m.lock();
                            ++locked;
                            m.unlock();
                            break;
                        case 3: {
                            vole::wait_group child;
                            child.go([&] { vole::gosched(); });
                            child.wait();
                            break;
                        }
                        case 4: vole::blocking([] { std::this_thread::yield(); }); break;
                        case 5: try { throw s;
                            } catch (const int n) {
                                vole::gosched();
                                if (n != s) sum += 1'000'000;
                            }
                            break;
                        case 6:
                            vole::lock_os_thread();
                            vole::gosched();
                            vole::unlock_os_thread();
                            break;
                        default: vole::on_system_stack([] {}); break;
                    }
                }
            });
        }
        small_random random(4711);
        for (int i = 0; i < scaled(200); ++i) {
            vole::gomaxprocs(1 + static_cast<int>(random.below(9)));
            for (std::uint32_t n = random.below(20); n > 0; --n) vole::gosched();
        }
        done.wait();
        c.close();
        drain.wait();
    });
    CHECK(sum > 0);
    CHECK(sum < static_cast<long>(workers) * steps);
}

TEST_CASE("stress SCHED-75: several goroutines and threads stop the world", "[stress][sched]") {
    const procs_scope scope(4);
    std::atomic<bool> stop{false};
    std::atomic<long> turns{0};
    std::vector<std::thread> threads;
    const int rounds = scaled(200);
    run_on(4, [&] {
        vole::wait_group spinners;
        for (int i = 0; i < 8; ++i) {
            spinners.go([&] {
                while (!stop) {
                    ++turns;
                    vole::gosched();
                }
            });
        }
        vole::wait_group changers;
        for (int i = 0; i < 3; ++i) {
            changers.go([&, i] {
                for (int r = 0; r < rounds; ++r) vole::gomaxprocs(1 + (i * 3 + r) % 7);
            });
            threads.emplace_back([&, i] {
                for (int r = 0; r < rounds; ++r) vole::gomaxprocs(1 + (i * 5 + r) % 8);
            });
        }
        changers.wait();
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
        stop = true;
        spinners.wait();
    });
    CHECK(turns > 0);
}

TEST_CASE("stress SCHED-35: blocking calls of all lengths on few Ps", "[stress][sched]") {
    for (const int procs : {1, 2, 4}) {
        std::atomic<long> ended{0};
        const int steps = scaled(400);
        run_on(procs, [&] {
            vole::wait_group done;
            for (int w = 0; w < 32; ++w) {
                done.go([&, w] {
                    small_random random(static_cast<std::uint32_t>(w));
                    for (int s = 0; s < steps; ++s) {
                        const auto us = random.below(200);
                        vole::blocking([us] {
                            if (us > 150) {
                                std::this_thread::sleep_for(std::chrono::microseconds(us));
                            } else if (us > 100) {
                                std::this_thread::yield();
                            }
                        });
                        ++ended;
                    }
                });
            }
            done.wait();
        });
        CHECK(ended == 32L * steps);
    }
}

TEST_CASE("stress SCHED-58: all blocked but one, again and again, and no deadlock is seen",
          "[stress][sched]") {
    for (const int procs : {1, 2, 8}) {
        long ended = 0;
        const int rounds = scaled(5000);
        run_on(procs, [&] {
            auto c = vole::make_chan<int>();
            for (int i = 0; i < rounds; ++i) {
                vole::go([&, i] {
                    if (i % 3 == 0) vole::blocking([] {});
                    c.send(i);
                });
                ended += c.recv().has_value();
            }
        });
        CHECK(ended == rounds);
    }
    // The same across the edge of run(): the last goroutine of a run ends while threads fall asleep.
    long runs = 0;
    const int rounds = scaled(5000);
    for (int i = 0; i < rounds; ++i) {
        runs += vole::run([] {
            vole::wait_group done;
            done.go([] {});
            done.wait();
            return 1;
        });
    }
    CHECK(runs == rounds);
}

TEST_CASE("stress SCHED-76: threads come and go and use what goroutines use", "[stress][sched]") {
    const int rounds = scaled(60);
    std::atomic<long> got{0};
    run_on(4, [&] {
        for (int r = 0; r < rounds; ++r) {
            auto c = vole::make_chan<int>(static_cast<std::size_t>(r % 3));
            vole::mutex m;
            long plain = 0;
            vole::wait_group done;
            std::vector<std::thread> threads;
            constexpr int each = 20;
            for (int i = 0; i < 4; ++i) {
                const auto produce = [&] {
                    for (int n = 0; n < each; ++n) c.send(1);
                };
                const auto consume = [&] {
                    for (int n = 0; n < each; ++n) {
                        got += c.recv().value_or(0);
                        m.lock();
                        ++plain;
                        m.unlock();
                    }
                };
                threads.emplace_back(produce);
                threads.emplace_back(consume);
                done.go(produce);
                done.go(consume);
            }
            done.wait();
            vole::blocking([&] {
                for (auto& t : threads) t.join();
            });
            if (plain != 8 * each) got += 1'000'000;
        }
    });
    CHECK(got == 160L * rounds);
}

TEST_CASE("stress SCHED-54: tied goroutines end and take their threads", "[stress][sched]") {
    std::atomic<long> ended{0};
    const int rounds = scaled(200);
    run_on(3, [&] {
        for (int r = 0; r < rounds; ++r) {
            vole::wait_group done;
            for (int i = 0; i < 5; ++i) {
                done.go([&, i] {
                    vole::lock_os_thread();
                    for (int n = 0; n < i; ++n) vole::gosched();
                    if (i % 2 == 0) vole::unlock_os_thread();
                    ++ended;
                });
            }
            done.wait();
        }
    });
    CHECK(ended == 5L * rounds);
}

TEST_CASE("stress: goexit and exceptions end goroutines on all Ps", "[stress][sched]") {
    std::atomic<long> unwound{0};
    const int count = scaled(20'000);
    run_on(4, [&] {
        struct counts {
            std::atomic<long>* n;
            ~counts() { ++*n; }
        };
        for (int batch = 0; batch < count; batch += 100) {
            vole::wait_group done;
            for (int i = 0; i < 100; ++i) {
                done.go([&, i] {
                    const counts outer{&unwound};
                    try {
                        const counts inner{&unwound};
                        if (i % 3 == 0) vole::goexit();
                        vole::gosched();
                        throw i;
                    } catch (const int n) {
                        if (n % 2 == 0) vole::gosched();
                    }
                });
            }
            done.wait();
        }
    });
    CHECK(unwound == 2L * ((count + 99) / 100 * 100));
}
