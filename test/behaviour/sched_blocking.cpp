// Code that blocks its thread, code that needs another stack, goroutines tied to a thread.
// Cites SCHED-34, SCHED-35, SCHED-37, SCHED-52 to SCHED-54.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>
#include <vector>

using namespace vole::test;

namespace {

long tid() { return ::syscall(SYS_gettid); }

/// A gate of the operating system: waiting at it blocks the thread, unknown to the runtime.
class os_gate {
  public:
    void wait() {
        std::unique_lock lock(m_);
        opened_.wait(lock, [this] { return open_; });
    }
    void open() {
        const std::lock_guard lock(m_);
        open_ = true;
        opened_.notify_all();
    }

  private:
    std::mutex m_;
    std::condition_variable opened_;
    bool open_ = false;
};

// A compiler may keep the address of errno over a switch that it does not see as one: HAZARDS.md.
[[gnu::noinline]] int errno_now() { return errno; }
}  // namespace

TEST_CASE("SCHED-34 blocking hands the P over at once", "[sched][blocking]") {
    const procs_scope guard(1);
    bool others_ran = false;
    const auto before = vole::read_stats().handoffs;
    vole::run([&] {
        os_gate gate;
        vole::wait_group done;
        // More blocked at once than there are Ps; only a goroutine can open the gate.
        for (int i = 0; i < 5; ++i) done.go([&] { vole::blocking([&] { gate.wait(); }); });
        done.go([&] {
            for (int i = 0; i < 10; ++i) vole::gosched();
            others_ran = true;
            gate.open();
        });
        done.wait();
    });
    CHECK(others_ran);
    CHECK(vole::read_stats().handoffs > before);
}

TEST_CASE("SCHED-35 result, exception and errno of what blocked are intact", "[sched][blocking]") {
    std::string text;
    std::string what;
    int error = 0;
    int kept = 0;
    int target = 5;
    bool same = false;
    vole::run([&] {
        text = vole::blocking([] { return std::string("result"); });
        const auto p = vole::blocking([] { return std::make_unique<int>(3); });
        same = *p == 3;
        int& ref = vole::blocking([&]() -> int& { return target; });
        same = same && &ref == &target;
        try {
            vole::blocking([] { throw std::logic_error("from inside"); });
        } catch (const std::logic_error& e) {
            what = e.what();
        }
        vole::blocking([] { errno = ENOTTY; });
        error = errno_now();
        // Also when the P is gone at the end, and another thread's errno was used in between.
        const procs_scope guard(1);
        std::atomic<bool> spinning{false};
        std::atomic<bool> stop{false};
        vole::wait_group done;
        done.go([&] {
            while (!stop) {
                errno = 1;
                spinning = true;
                vole::gosched();
            }
        });
        vole::blocking([&] {
            while (!spinning) std::this_thread::yield();
            errno = ENOEXEC;
        });
        kept = errno_now();
        stop = true;
        done.wait();
    });
    CHECK(text == "result");
    CHECK(same);
    CHECK(what == "from inside");
    CHECK(error == ENOTTY);
    CHECK(kept == ENOEXEC);
}

TEST_CASE("SCHED-35 nested blocking, and blocking on an ordinary thread", "[sched][blocking]") {
    const int nested = vole::run(
        [] { return vole::blocking([] { return 1 + vole::blocking([] { return 2; }); }); });
    CHECK(nested == 3);
    CHECK(vole::blocking([] { return 4; }) == 4);
    CHECK_THROWS_AS(vole::blocking([]() -> int { throw 1; }), int);
}

TEST_CASE("SCHED-35 many goroutines in and out of blocking while others compute",
          "[sched][blocking]") {
    const procs_scope guard(2);
    const int rounds = scaled(200);
    std::atomic<long> sum{0};
    vole::run([&] {
        vole::wait_group done;
        for (int g = 0; g < 30; ++g) {
            done.go([&, g] {
                for (int i = 0; i < rounds; ++i) {
                    sum += vole::blocking([&] {
                        if ((i + g) % 5 == 0) std::this_thread::yield();
                        return 1;
                    });
                    if (i % 7 == 0) vole::gosched();
                }
            });
        }
        done.wait();
    });
    CHECK(sum == 30L * rounds);
    CHECK(only_left(0));
}

TEST_CASE("SCHED-37 threads that blocked are used again", "[sched][blocking]") {
    const procs_scope guard(2);
    const auto burst = [] {
        vole::run([] {
            os_gate gate;
            std::atomic<int> inside{0};
            vole::wait_group done;
            for (int i = 0; i < 20; ++i) {
                done.go([&] {
                    vole::blocking([&] {
                        ++inside;
                        gate.wait();
                    });
                });
            }
            wait_until([&] { return inside == 20; });
            gate.open();
            done.wait();
        });
    };
    burst();
    const auto first = vole::read_stats().threads_created;
    for (int i = 0; i < 20; ++i) burst();
    CHECK(vole::read_stats().threads_created < first + 20);
}

TEST_CASE("on_system_stack runs f on the thread's own stack", "[sched][system_stack]") {
    bool elsewhere = false;
    unsigned touched = 0;
    std::string text;
    std::string what;
    int target = 1;
    bool same = false;
    bool back = false;
    vole::run([&] {
        char here = 0;
        const auto mine = reinterpret_cast<std::uintptr_t>(&here);
        vole::on_system_stack([&] {
            char there = 0;
            const auto other = reinterpret_cast<std::uintptr_t>(&there);
            elsewhere = other > mine ? other - mine > 256 * 1024 : mine - other > 256 * 1024;
        });
        // More than a goroutine has.
        touched = vole::on_system_stack([] {
            volatile char block[1 << 20];
            unsigned n = 0;
            for (std::size_t i = 0; i < sizeof block; i += 4096) block[i] = 1;
            for (std::size_t i = 0; i < sizeof block; i += 4096)
                n += static_cast<unsigned>(block[i]);
            return n;
        });
        text = vole::on_system_stack([] { return std::string(1000, 's'); });
        int& ref = vole::on_system_stack([&]() -> int& { return target; });
        same = &ref == &target;
        try {
            vole::on_system_stack([] { throw std::runtime_error("across stacks"); });
        } catch (const std::runtime_error& e) {
            what = e.what();
        }
        // The goroutine can still be switched.
        vole::gosched();
        back = true;
    });
    CHECK(elsewhere);
    CHECK(touched == 256);
    CHECK(text.size() == 1000);
    CHECK(same);
    CHECK(what == "across stacks");
    CHECK(back);
    CHECK(vole::on_system_stack([] { return 8; }) == 8);  // on an ordinary thread
    CHECK_THROWS_AS(vole::on_system_stack([]() -> int { throw 1; }), int);
}

TEST_CASE("on_system_stack many times, from many goroutines", "[sched][system_stack]") {
    const procs_scope guard(2);
    std::atomic<int> caught{0};
    vole::run([&] {
        vole::wait_group done;
        for (int g = 0; g < 20; ++g) {
            done.go([&] {
                for (int i = 0; i < 200; ++i) {
                    try {
                        const int n = vole::on_system_stack([i]() -> int {
                            if (i % 2 == 0) throw i;
                            return i;
                        });
                        if (n != i) return;
                    } catch (const int n) {
                        caught += n == i;
                    }
                    if (i % 9 == 0) vole::gosched();
                }
            });
        }
        done.wait();
    });
    CHECK(caught == 20 * 100);
}

TEST_CASE("SCHED-52 a tied goroutine stays on its thread, and nobody else uses it",
          "[sched][lock_thread]") {
    const procs_scope guard(3);
    bool stayed = true;
    std::atomic<bool> intruded{false};
    vole::run([&] {
        std::atomic<long> owned{0};
        std::atomic<bool> stop{false};
        vole::wait_group done;
        done.go([&] {
            vole::lock_os_thread();
            owned = tid();
            auto c = vole::make_chan<int>();
            for (int i = 0; i < 300; ++i) {
                if (tid() != owned) stayed = false;
                switch (i % 3) {
                    case 0: vole::gosched(); break;
                    case 1:
                        vole::go([&] { c.send(1); });
                        (void)c.recv();
                        break;
                    default: vole::blocking([] { std::this_thread::yield(); });
                }
            }
            owned = 0;
            stop = true;
            vole::unlock_os_thread();
        });
        for (int i = 0; i < 6; ++i) {
            done.go([&] {
                while (!stop) {
                    const long mine = tid();
                    if (mine == owned) intruded = true;
                    vole::gosched();
                }
            });
        }
        done.wait();
    });
    CHECK(stayed);
    CHECK_FALSE(intruded);
}

TEST_CASE("SCHED-52 locks nest; unlock without lock does nothing", "[sched][lock_thread]") {
    const procs_scope guard(2);
    bool still_tied = true;
    bool shared_again = false;
    vole::run([&] {
        vole::unlock_os_thread();
        std::atomic<bool> stop{false};
        vole::wait_group done;
        for (int i = 0; i < 4; ++i) {
            done.go([&] {
                while (!stop) vole::gosched();
            });
        }
        vole::lock_os_thread();
        vole::lock_os_thread();
        vole::unlock_os_thread();
        const long mine = tid();
        for (int i = 0; i < 200; ++i) {
            vole::gosched();
            still_tied = still_tied && tid() == mine;
        }
        vole::unlock_os_thread();
        vole::unlock_os_thread();  // one too many
        // What main starts runs on main's thread again.
        std::atomic<bool> seen{false};
        shared_again = wait_until([&] {
            done.go([&] {
                if (tid() == mine) seen = true;
            });
            vole::gosched();
            return seen.load();
        });
        stop = true;
        done.wait();
    });
    CHECK(still_tied);
    CHECK(shared_again);
    vole::lock_os_thread();  // no effect on an ordinary thread
    vole::unlock_os_thread();
    vole::unlock_os_thread();
}

TEST_CASE("SCHED-54 a goroutine that ends tied takes its thread with it", "[sched][lock_thread]") {
    const procs_scope guard(2);
    std::vector<long> dead;
    bool gone = true;
    std::atomic<bool> reused{false};
    vole::run([&] {
        for (int i = 0; i < 10; ++i) {
            long id = 0;
            vole::wait_group done;
            done.go([&] {
                vole::lock_os_thread();
                id = tid();
                if (i % 2 == 1) vole::goexit();
            });
            done.wait();
            const std::string path = "/proc/self/task/" + std::to_string(id);
            if (!wait_until([&] { return ::access(path.c_str(), F_OK) != 0; })) gone = false;
            dead.push_back(id);
        }
        // The others still run, on other threads.
        vole::wait_group done;
        for (int i = 0; i < 50; ++i) {
            done.go([&] {
                for (const long id : dead) {
                    if (id == tid()) reused = true;
                }
            });
        }
        done.wait();
    });
    CHECK(gone);
    CHECK_FALSE(reused);
    CHECK(std::set<long>(dead.begin(), dead.end()).size() >= 1);
}

TEST_CASE("SCHED-54 threads do not inherit the state of a tied one", "[sched][lock_thread]") {
    // A tied goroutine changes something of its own thread; threads that are made meanwhile must not
    // have it. The signal mask is such a thing, which each new thread copies from its creator.
    const procs_scope guard(2);
    std::atomic<int> leaked{0};
    vole::run([&] {
        vole::wait_group done;
        done.go([&] {
            vole::lock_os_thread();
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGWINCH);
            ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
            os_gate gate;
            std::atomic<int> inside{0};
            vole::wait_group blocked;
            for (int i = 0; i < 30; ++i) {
                blocked.go([&] {
                    vole::blocking([&] {
                        sigset_t mine;
                        ::pthread_sigmask(SIG_SETMASK, nullptr, &mine);
                        leaked += sigismember(&mine, SIGWINCH);
                        ++inside;
                        gate.wait();
                    });
                });
            }
            // Here the tied thread itself hands over its P, and has to get threads for it.
            vole::blocking([&] {
                while (inside < 30) std::this_thread::yield();
            });
            gate.open();
            blocked.wait();
            // It ends tied: its thread, with the mask, is gone.
        });
        done.wait();
    });
    CHECK(leaked == 0);
}

TEST_CASE("SCHED-53 tied goroutines make progress by yielding and blocking",
          "[sched][lock_thread]") {
    for (const int procs : {1, 2}) {
        const procs_scope guard(procs);
        std::atomic<int> ended{0};
        bool main_ended = false;
        vole::run([&] {
            auto c = vole::make_chan<int>();
            vole::wait_group done;
            for (int g = 0; g < 4; ++g) {
                done.go([&] {
                    vole::lock_os_thread();
                    for (int i = 0; i < 50; ++i) {
                        vole::gosched();
                        c.send(i);
                    }
                    vole::unlock_os_thread();
                    ++ended;
                });
            }
            vole::lock_os_thread();  // main too
            for (int i = 0; i < 200; ++i) (void)c.recv();
            done.wait();
            vole::unlock_os_thread();
            main_ended = true;
        });
        CHECK(ended == 4);
        CHECK(main_ended);
    }
}
