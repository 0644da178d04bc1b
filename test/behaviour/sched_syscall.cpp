// System calls that are usually short: the runtime's own way to make one (runtime/src/sched/syscall.cpp).
// Cites SCHED-33, SCHED-35, SCHED-38, SCHED-75.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "runtime/src/sched/sched.hpp"
#include "test/behaviour/sched_support.hpp"

#include <atomic>
#include <thread>

using namespace vole::test;

namespace {

using vole::detail::enter_syscall;
using vole::detail::leave_syscall;

[[gnu::noinline]] const vole::detail::P* proc() { return vole::detail::current_m()->p; }

std::uint64_t retakes() { return vole::detail::sched.retakes.load(); }

// In a system call, so without the runtime; the thread gives its CPU away.
template <class Pred>
void await_in_call(Pred pred, const char* what) {
    const auto end = std::chrono::steady_clock::now() + patience();
    while (!pred()) {
        std::this_thread::yield();
        if (std::chrono::steady_clock::now() > end) give_up(what, here());
    }
}

}  // namespace

TEST_CASE("SCHED-33 a system call that is short keeps its P", "[sched][syscall]") {
    // Nothing else to run, and another P that is idle: sysmon lets it be for 10 ms. It may have been asleep for as long.
    run_on(2, [] {
        const bool kept = [] {
            for (int i = 0; i < 1000; ++i) {
                const auto* before = proc();
                const std::uint64_t taken = retakes();
                enter_syscall();
                leave_syscall();
                if (retakes() == taken && proc() == before) return true;
            }
            return false;
        }();
        CHECK(kept);
    });
}

TEST_CASE("SCHED-33 a system call that lasts loses its P to those who wait", "[sched][syscall]") {
    run_on(1, [] {
        std::atomic<bool> ran{false};
        const std::uint64_t taken = retakes();
        vole::go([&] { ran = true; });
        enter_syscall();
        await_in_call([&] { return ran.load(); }, "the other goroutine to run");
        leave_syscall();
        CHECK(retakes() > taken);
        CHECK(proc() != nullptr);
    });
}

TEST_CASE("SCHED-33 it does so in the end without anybody who waits", "[sched][syscall]") {
    run_on(2, [] {
        const std::uint64_t taken = retakes();
        enter_syscall();
        await_in_call([&] { return retakes() > taken; }, "sysmon to take the P");
        leave_syscall();
        CHECK(proc() != nullptr);
    });
}

TEST_CASE("SCHED-35 who comes back and finds no P waits for one", "[sched][syscall]") {
    run_on(1, [] {
        std::atomic<bool> ran{false};
        std::atomic<bool> back{false};
        vole::wait_group all;
        all.go([&] {
            ran = true;
            // It has the only P now, and keeps it until the other is in the queue behind it.
            while (vole::detail::sched.global_size.load() == 0 && !back) {
            }
        });
        enter_syscall();
        await_in_call([&] { return ran.load(); }, "the other goroutine to run");
        leave_syscall();
        back = true;
        CHECK(proc() != nullptr);
        all.wait();
    });
}

TEST_CASE("SCHED-38 after a system call a goroutine can be preempted", "[sched][syscall]") {
    run_on(1, [] {
        std::atomic<bool> ran{false};
        enter_syscall();
        leave_syscall();
        vole::go([&] { ran = true; });
        const auto end = std::chrono::steady_clock::now() + patience();
        while (!ran && std::chrono::steady_clock::now() < end) {
        }
        CHECK(ran);
    });
}

TEST_CASE("SCHED-75 the world stops while a system call lasts", "[sched][syscall]") {
    run_on(2, [] {
        std::atomic<bool> stopped{false};
        enter_syscall();
        std::thread other([&] {
            vole::gomaxprocs(3);
            vole::gomaxprocs(1);
            stopped = true;
        });
        await_in_call([&] { return stopped.load(); }, "the world to be stopped");
        leave_syscall();
        other.join();
        CHECK(proc() != nullptr);
    });
}

TEST_CASE("SCHED-33 many goroutines in and out of system calls while the number of Ps changes",
          "[sched][syscall]") {
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [procs] {
            constexpr int goroutines = 20;
            const int rounds = stress_scaled(2000, 50);
            std::atomic<long> done{0};
            vole::wait_group all;
            for (int g = 0; g < goroutines; ++g) {
                all.go([&, g] {
                    for (int i = 0; i < rounds; ++i) {
                        enter_syscall();
                        // Most calls are over before sysmon's next round; some are nanosleep, and last.
                        if ((i + g) % 64 == 0)
                            std::this_thread::sleep_for(std::chrono::microseconds(200));
                        leave_syscall();
                        ++done;
                        if (i % 8 == g % 8) vole::gosched();
                    }
                });
            }
            all.go([procs] {
                for (int i = 0; i < 10; ++i) vole::gomaxprocs(i % 2 == 0 ? procs + 1 : procs);
            });
            all.wait();
            CHECK(done == long{goroutines} * rounds);
        });
    }
}
