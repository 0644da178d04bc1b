// Locks and wait groups under load. Cites SYNC-4, SYNC-7, SYNC-11, SYNC-27 (its mutex half), SYNC-32,
// SYNC-96, SYNC-97.
#include <catch2/catch.hpp>

#include <vole/sync.hpp>

#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

using namespace vole::test;

TEST_CASE("stress SYNC-4: a mutex hammered by goroutines and threads", "[stress][sync]") {
    for (const int procs : {1, 2, 4, 10}) {
        const int each = scaled(4000);
        constexpr int goroutines = 10;
        constexpr int threads = 3;
        long plain = 0;
        std::atomic<int> inside{0};
        std::atomic<int> crowds{0};
        run_on(procs, [&] {
            vole::mutex m;
            vole::wait_group done;
            const auto work = [&](int who) {
                for (int i = 0; i < each; ++i) {
                    if (i % 3 == 0) {
                        while (!m.try_lock()) vole::gosched();
                    } else {
                        m.lock();
                    }
                    if (++inside != 1) ++crowds;
                    ++plain;
                    if ((i + who) % 64 == 0) vole::gosched();  // held over a switch
                    --inside;
                    m.unlock();
                }
            };
            std::vector<std::thread> others;
            for (int i = 0; i < goroutines; ++i) done.go([&, i] { work(i); });
            for (int i = 0; i < threads; ++i) others.emplace_back([&, i] { work(i); });
            done.wait();
            vole::blocking([&] {
                for (auto& t : others) t.join();
            });
        });
        CHECK(crowds == 0);
        CHECK(plain == static_cast<long>(each) * (goroutines + threads));
    }
}

TEST_CASE("stress SYNC-7: holders that keep the lock over a millisecond", "[stress][sync]") {
    // Drives the mutex into starvation and out of it again.
    for (const int procs : {1, 2, 4}) {
        const int each = scaled(15);
        long plain = 0;
        run_on(procs, [&] {
            vole::mutex m;
            vole::wait_group done;
            for (int g = 0; g < 6; ++g) {
                done.go([&, g] {
                    for (int i = 0; i < each; ++i) {
                        const std::lock_guard lock(m);
                        ++plain;
                        if (g == 0) {
                            vole::blocking(
                                [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); });
                        }
                    }
                });
                done.go([&] {
                    for (int i = 0; i < 20 * each; ++i) {
                        m.lock();
                        ++plain;
                        m.unlock();
                    }
                });
            }
            done.wait();
        });
        CHECK(plain == 6L * each * 21);
    }
}

TEST_CASE("stress SYNC-96: whoever is last destroys the mutex", "[stress][sync]") {
    struct shared {
        vole::mutex m;
        int users = 0;
    };
    std::atomic<long> destroyed{0};
    const int rounds = scaled(3000);
    run_on(4, [&] {
        for (int r = 0; r < rounds; ++r) {
            auto* s = new shared;
            s->users = 6;
            vole::wait_group done;
            for (int i = 0; i < 6; ++i) {
                done.go([&, s] {
                    s->m.lock();
                    const bool last = --s->users == 0;
                    s->m.unlock();
                    if (last) {
                        delete s;
                        ++destroyed;
                    }
                });
            }
            done.wait();
        }
    });
    CHECK(destroyed == rounds);
}

TEST_CASE("stress SYNC-96: the waiter destroys the wait group", "[stress][sync]") {
    std::atomic<long> ended{0};
    const int rounds = scaled(4000);
    for (const int procs : {2, 4}) {
        run_on(procs, [&] {
            vole::wait_group all;
            for (int w = 0; w < 4; ++w) {
                all.go([&] {
                    for (int r = 0; r < rounds; ++r) {
                        auto g = std::make_unique<vole::wait_group>();
                        g->add(3);
                        for (int i = 0; i < 3; ++i) vole::go([p = g.get()] { p->done(); });
                        g->wait();
                        g.reset();
                        ++ended;
                    }
                });
            }
            all.wait();
        });
    }
    CHECK(ended == 2L * 4 * rounds);
}

TEST_CASE("stress SYNC-32: many waiters, goroutines and threads, again and again",
          "[stress][sync]") {
    std::atomic<long> released{0};
    const int rounds = scaled(150);
    run_on(4, [&] {
        for (int r = 0; r < rounds; ++r) {
            vole::wait_group gate;
            vole::wait_group done;
            gate.add(2);
            std::vector<std::thread> threads;
            for (int i = 0; i < 3; ++i) {
                threads.emplace_back([&] {
                    gate.wait();
                    ++released;
                });
            }
            for (int i = 0; i < 20; ++i) {
                done.go([&] {
                    gate.wait();
                    ++released;
                });
            }
            threads.emplace_back([&] { gate.done(); });
            vole::go([&] { gate.done(); });
            done.wait();
            vole::blocking([&] {
                for (auto& t : threads) t.join();
            });
        }
    });
    CHECK(released == 23L * rounds);
}
