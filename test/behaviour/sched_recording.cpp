// Recording what goroutines and Ps do. Cites SCHED-74, TRC-6 (its invariants), TRC-7, TRC-8.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "test/support/recorded.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <thread>

using namespace vole::test;

namespace {

void accept(const vole::trace::result& r, bool complete = true) {
    INFO(to_text(r));
    CHECK(r.good());
    CHECK(r.checked > 0);
    if (!complete) return;
    CHECK(r.runs == 1);
    CHECK(r.checked == r.given_out);
}

void talk(int rounds) {
    auto c = vole::make_chan<int>();
    vole::wait_group all;
    for (int i = 0; i < 4; ++i) {
        all.go([&] {
            for (int k = 0; k < rounds; ++k) c.send(k);
        });
    }
    for (int k = 0; k < 4 * rounds; ++k) c.recv();
    all.wait();
}

}  // namespace

TEST_CASE("TRC-6 recording: all that a small program does", "[recording]") {
    for (const int procs : {1, 2, 4}) {
        recorded tape;
        REQUIRE(tape.is_on());
        run_on(procs, [] {
            talk(50);
            vole::gosched();
            vole::blocking([] { std::this_thread::yield(); });
            vole::lock_os_thread();
            vole::gosched();
            vole::unlock_os_thread();
        });
        accept(tape.finish());
    }
}

TEST_CASE("TRC-6 recording: what is overwritten is missing, the rest is right", "[recording]") {
    recorded tape(256);
    REQUIRE(tape.is_on());
    run_on(2, [] { talk(2000); });
    const auto r = tape.finish();
    accept(r, false);
    CHECK(r.checked < r.given_out);
}

TEST_CASE("TRC-6 recording: Ps come and go, threads start and wake goroutines", "[recording]") {
    recorded tape;
    REQUIRE(tape.is_on());
    run_on(2, [] {
        auto c = vole::make_chan<int>();
        std::thread other([&] {
            for (int i = 0; i < 200; ++i) {
                c.send(i);
                vole::go([] { vole::gosched(); });
            }
        });
        for (int i = 0; i < 200; ++i) {
            c.recv();
            if (i % 20 == 0) vole::gomaxprocs(1 + i / 20 % 5);
        }
        vole::blocking([&] { other.join(); });
    });
    accept(tape.finish());
}

TEST_CASE("TRC-6 recording: goroutines that are stopped, or lose their P", "[recording]") {
    recorded tape;
    REQUIRE(tape.is_on());
    run_on(1, [] {
        std::atomic<bool> stop{false};
        vole::wait_group all;
        for (int i = 0; i < 2; ++i) {
            all.go([&] {
                while (!stop) {
                }
            });
        }
        all.go([&] {
            // Unannounced: sysmon takes the P.
            std::this_thread::sleep_for(std::chrono::milliseconds(30));
            stop = true;
        });
        all.wait();
    });
    accept(tape.finish());
}

TEST_CASE("TRC-7 recording: one at a time, again and again", "[recording]") {
    for (int i = 0; i < 20; ++i) {
        recorded tape(1024);
        REQUIRE(tape.is_on());
        CHECK_FALSE(recorded().is_on());
        run_on(2, [] { talk(5); });
        accept(tape.finish());
    }
    CHECK_FALSE(vole::detail::stop_recording());
}

TEST_CASE("TRC-7 recording: not from a goroutine, not while something runs", "[recording]") {
    std::atomic<bool> stop{false};
    bool inside = true;
    run_on(1, [&] { inside = vole::detail::start_recording(); });
    CHECK_FALSE(inside);
    run_on(2, [&] {
        vole::go([&] {
            while (!stop) vole::gosched();
        });
        bool outside = true;
        std::thread([&] { outside = vole::detail::start_recording(); }).join();
        stop = true;
        inside = outside;
    });
    CHECK_FALSE(inside);
    recorded tape;  // and afterwards as ever
    CHECK(tape.is_on());
}

TEST_CASE("TRC-8 recording: stopped while goroutines run on", "[recording]") {
    std::atomic<bool> stop{false};
    recorded tape(1024);
    REQUIRE(tape.is_on());
    std::thread program([&] {
        run_on(2, [&] {
            vole::wait_group all;
            for (int i = 0; i < 4; ++i) {
                all.go([&] {
                    while (!stop) vole::gosched();
                });
            }
            all.wait();
        });
    });
    while (vole::num_goroutine() < 4) std::this_thread::yield();
    accept(tape.finish(), false);
    stop = true;
    program.join();
}
