// sleep and sleep_until. Cites TIME-1 to TIME-5.
#include "test/support/duel.hpp"
#include "test/support/subprocess.hpp"
#include "test/time/time_support.hpp"

#include <csignal>
#include <pthread.h>
#include <thread>
#include <vector>

#if defined(__GLIBC__) && !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
#include <malloc.h>
#endif

namespace vole::test {
namespace {

/// Sleeps for d, and says whether that took at least as long: by our clock and by the C++ library's.
template <class D>
bool sleeps(D d) {
    const auto theirs = std::chrono::steady_clock::now();
    const auto ours = clock::now();
    sleep(d);
    return clock::now() - ours >= d && std::chrono::steady_clock::now() - theirs >= d;
}

}  // namespace

TEST_CASE("TIME-1 sleep is never shorter than asked for", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (const nanoseconds d : {1ns, 999ns, 1000ns, 60'000ns, 1'000'001ns}) ok(sleeps(d));
        ok(sleeps(2ms));
        ok(sleeps(std::chrono::duration<double, std::milli>(1.5)));
        ok(sleeps(std::chrono::duration<float>(0.001F)));
        // A fraction of a nanosecond counts as a whole one.
        ok(sleeps(std::chrono::duration<long long, std::pico>(1'500'001)));
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-1 many goroutines sleep for different times, none too short", "[time]") {
    for (const int procs : {1, 4}) {
        findings ok;
        run_on(procs, [&] {
            wait_group all;
            for (std::uint64_t i = 0; i < 200; ++i) {
                all.go([&ok, i] {
                    dice roll(i);
                    for (int n = 0; n < 10; ++n) ok(sleeps(nanoseconds(roll(6'000'000))));
                });
            }
            all.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("TIME-1 ten thousand goroutines sleep at once", "[time]") {
    const int n = scaled(10'000, 500);
    findings ok;
    run_on(2, [&] {
        wait_group all;
        for (int i = 0; i < n; ++i) all.go([&] { ok(sleeps(20ms)); });
        all.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-1 nothing and less: returns at once, and lets nobody run", "[time]") {
    const auto others_ran = [](auto f) {
        // A time slice may end in the middle, hence settled().
        return settled(
            [&] {
                bool before = true;
                run_on(1, [&] {
                    std::atomic<bool> ran{false};
                    wait_group other;
                    other.go([&] { ran = true; });
                    f();
                    before = ran;
                    other.wait();
                });
                return before;
            },
            false);
    };
    CHECK_FALSE(others_ran([] { sleep(0ns); }));
    CHECK_FALSE(others_ran([] { sleep(-1ns); }));
    CHECK_FALSE(others_ran([] { sleep(nanoseconds::min()); }));
    CHECK_FALSE(others_ran([] { sleep(std::chrono::hours::min()); }));
    CHECK_FALSE(others_ran([] { sleep_until(clock::now()); }));
    CHECK_FALSE(others_ran([] { sleep_until(time_point::min()); }));
    sleep(0ns);  // on a thread
    sleep(nanoseconds::min());
    sleep_until(time_point::min());
}

TEST_CASE("TIME-1 sleep(0) leaves the goroutine as it was", "[time]") {
    // The world is stopped again and again: whoever is in the wrong state does not come back.
    const int rounds = scaled(100, 10);
    run_on(4, [&] {
        wait_group flips;
        flips.go([&] {
            for (int i = 0; i < rounds; ++i) gomaxprocs(i % 2 == 0 ? 2 : 4);
        });
        for (int i = 0; i < rounds; ++i) {
            sleep(0ns);
            const auto c = make_chan<bool>(1);
            c.send(true);
            (void)c.recv();
        }
        flips.wait();
    });
}

TEST_CASE("TIME-1 a goroutine that sleeps holds up no other", "[time]") {
    long turns = 0;
    run_on(1, [&] {
        std::atomic<bool> stop{false};
        wait_group other;
        other.go([&] {
            for (; !stop; ++turns) gosched();
        });
        sleep(5ms);
        stop = true;
        other.wait();
    });
    CHECK(turns > 0);
}

TEST_CASE("TIME-1 a goroutine that is tied to its thread sleeps", "[time]") {
    findings ok;
    run_on(2, [&] {
        wait_group all;
        for (int i = 0; i < 4; ++i) {
            all.go([&] {
                lock_os_thread();
                const int thread = thread_id();
                for (int n = 0; n < 5; ++n) ok(sleeps(1ms));
                ok(thread_id() == thread);
                unlock_os_thread();
            });
        }
        all.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-1 threads sleep, beside goroutines and without", "[time]") {
    findings ok;
    const auto threads = [&] {
        std::vector<std::jthread> all;
        for (int i = 1; i <= 4; ++i) {
            all.emplace_back([&ok, i] {
                for (int n = 0; n < 5; ++n) ok(sleeps(i * 500us));
            });
        }
    };
    threads();
    run_on(2, [&] {
        wait_group all;
        for (int i = 0; i < 20; ++i) all.go([&] { ok(sleeps(3ms)); });
        blocking(threads);
        all.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-1 sleep inside run on several threads", "[time]") {
    findings ok;
    const procs_scope procs(2);
    std::vector<std::jthread> all;
    for (int i = 1; i <= 4; ++i) {
        all.emplace_back([&ok, i] {
            for (int n = 0; n < 5; ++n) run([&] { ok(sleeps(i * 500us)); });
        });
    }
    all.clear();
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-1 a signal does not end a thread's sleep", "[time]") {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    struct sigaction before {};
    ::sigaction(SIGUSR1, &action, &before);
    findings ok;
    std::atomic<bool> ended{false};
    std::thread sleeper([&] {
        ok(sleeps(10ms));
        const setting set;
        ok(after(10ms).recv() >= set.before() + 10ms);
        ended = true;
    });
    while (!ended) {
        ::pthread_kill(sleeper.native_handle(), SIGUSR1);
        std::this_thread::yield();
    }
    sleeper.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    CHECK(ok.text() == "");
}

TEST_CASE("child: sleep inside blocking", "[.child]") {
    run([] { blocking([] { sleep(1ms); }); });
}
TEST_CASE("child: sleep on the system stack", "[.child]") {
    run([] { on_system_stack([] { sleep(1ms); }); });
}
TEST_CASE("TIME-1 sleep is a blocking operation: fatal where none may be", "[time]") {
    auto r = run_case_in_subprocess("child: sleep inside blocking");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: blocking operation inside vole::blocking"));
    r = run_case_in_subprocess("child: sleep on the system stack");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: blocking operation on the system stack"));
}

TEST_CASE("child: sleeps for ever", "[.child]") {
    static std::atomic<int> woken{0};
    findings ok;
    run([&] {
        const auto for_ever = [](auto f) {
            go([f] {
                f();
                ++woken;
            });
        };
        for_ever([] { sleep(nanoseconds::max()); });
        for_ever([] { sleep(nanoseconds::max() - 1ns); });
        for_ever([] { sleep(nanoseconds::max() / 2); });
        for_ever([] { sleep(std::chrono::hours::max()); });
        for_ever([] { sleep(std::chrono::duration<double>(1e300)); });
        for_ever([] { sleep(std::chrono::duration<unsigned long long, std::nano>(~0ULL)); });
        for_ever([] { sleep_until(time_point::max()); });
        for_ever([] { (void)after(nanoseconds::max()).recv(); });
        // All of them lie in a heap when these come and go.
        for (int i = 0; i < 10; ++i) {
            ok(sleeps(1ms));
            ok(after(1ms).recv().has_value());
            ok.equal(select(on_recv(after(nanoseconds::max())), on_recv(after(1ms))), 1U);
            ok.equal(select(on_recv(after(nanoseconds::max())), on_recv(after(nanoseconds::min()))),
                     1U);
        }
        ok.equal(woken.load(), 0);
        ok.equal(num_goroutine(), 9U);
    });
    CHECK(ok.text() == "");
}
TEST_CASE("TIME-2 a sleep whose end lies beyond all time goes on for ever", "[time]") {
    const auto r = run_case_in_subprocess("child: sleeps for ever");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("TIME-3 a traceback says sleep", "[time]") {
    bool shown = false;
    run_on(2, [&] {
        std::atomic<std::uint64_t> id{0};
        std::atomic<bool> stop{false};
        wait_group done;
        done.go([&] {
            id = goroutine_id();
            while (!stop) sleep(20ms);
        });
        wait_until([&] { return id != 0; });
        shown = eventually([&] { return state_of(id) == "sleep"; });
        stop = true;
        done.wait();
    });
    CHECK(shown);
}

#if defined(__GLIBC__) && !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
TEST_CASE("TIME-3 sleeping again takes no more memory", "[time]") {
    const int rounds = scaled(3000, 300);
    std::size_t before = 0;
    std::size_t after = 0;
    run_on(2, [&] {
        const auto all_sleep = [&](int n) {
            wait_group all;
            for (int i = 0; i < 4; ++i) {
                all.go([n] {
                    for (int round = 0; round < n; ++round) sleep(10us);
                });
            }
            all.wait();
        };
        all_sleep(100);
        before = ::mallinfo2().uordblks;
        all_sleep(rounds);
        after = ::mallinfo2().uordblks;
    });
    CHECK(after < before + 64 * 1024);
}
#endif

TEST_CASE("TIME-4 many sleep until one instant: all wake, none before it", "[time]") {
    for (const int procs : {1, 4}) {
        const int n = scaled(2000, 100);
        std::atomic<int> woken{0};
        std::atomic<int> early{0};
        run_on(procs, [&] {
            const time_point at = clock::now() + 20ms;
            wait_group all;
            for (int i = 0; i < n; ++i) {
                all.go([&] {
                    sleep_until(at);
                    if (clock::now() < at) ++early;
                    ++woken;
                });
            }
            all.wait();
        });
        CHECK(woken == n);
        CHECK(early == 0);
    }
}

TEST_CASE("TIME-5 sleep_until", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        sleep_until(time_point::min());
        sleep_until(clock::now() - 1h);
        sleep_until(clock::now());
        const time_point at = clock::now() + 2ms;
        sleep_until(at);
        ok(clock::now() >= at);
        // A time point of another resolution.
        const auto coarse = std::chrono::time_point_cast<std::chrono::milliseconds>(at) + 3ms;
        sleep_until(coarse);
        ok(clock::now() >= coarse);
        sleep_until(at);  // by now over
        time_point next = clock::now();
        for (int i = 0; i < 5; ++i) {
            next += 1ms;
            sleep_until(next);
            ok(clock::now() >= next);
        }
    });
    CHECK(wrong == "");
}

}  // namespace vole::test
