// Ordinary threads that use the library, and when a deadlock must not be reported.
// Cites SCHED-57, SCHED-58, SCHED-60, SCHED-76, SYNC-97. Deadlocks that are reported: test/death.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"

#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace vole::test;

namespace {

std::ptrdiff_t threads_of_process() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
}

}  // namespace

TEST_CASE("SCHED-76 threads and goroutines talk through channels", "[sched][thread]") {
    const int count = scaled(500);
    long sum = 0;
    vole::run([&] {
        auto requests = vole::make_chan<int>();
        auto answers = vole::make_chan<int>();
        vole::go([&] {
            for (;;) {
                const auto r = requests.recv();
                if (!r) break;
                answers.send(*r * 2);
            }
            answers.close();
        });
        std::thread client([&] {
            for (int i = 0; i < count; ++i) {
                requests.send(i);
                sum += answers.recv().value_or(-1);
            }
            requests.close();
        });
        vole::blocking([&] { client.join(); });
        (void)answers.recv();
    });
    CHECK(sum == static_cast<long>(count) * (count - 1));
    CHECK(only_left(0));
}

TEST_CASE("SCHED-76 two threads and no goroutine", "[sched][thread]") {
    auto ping = vole::make_chan<int>();
    auto pong = vole::make_chan<int>();
    std::thread other([&] {
        for (;;) {
            const auto n = ping.recv();
            if (!n) break;
            pong.send(*n + 1);
        }
    });
    int n = 0;
    for (int i = 0; i < 1000; ++i) {
        ping.send(n);
        n = pong.recv().value_or(-1);
    }
    ping.close();
    other.join();
    CHECK(n == 1000);
    CHECK(vole::num_goroutine() == 0);
}

TEST_CASE("SCHED-76 short-lived threads leave nothing behind", "[sched][thread]") {
    const int count = 1000;
    std::atomic<long> sum{0};
    std::ptrdiff_t before = 0;
    std::ptrdiff_t after = 0;
    std::uint64_t created_before = 0;
    vole::run([&] {
        auto in = vole::make_chan<int>();
        vole::wait_group done;
        done.go([&] {
            for (;;) {
                const auto v = in.recv();
                if (!v) break;
                sum += *v;
            }
        });
        before = threads_of_process();
        created_before = vole::read_stats().threads_created;
        for (int i = 0; i < count; ++i) {
            std::thread t([&, i] { in.send(i); });
            vole::blocking([&] { t.join(); });
        }
        in.close();
        done.wait();
        after = threads_of_process();
    });
    CHECK(sum == 1000L * 999 / 2);
    CHECK(after <= before + 8);
    CHECK(vole::read_stats().threads_created <= created_before + 8);
    CHECK(only_left(0));
}

TEST_CASE("SCHED-76 a thread_local's destructor may use the library", "[sched][thread]") {
    auto c = vole::make_chan<int>(2);
    struct at_exit {
        std::function<void()> f;
        ~at_exit() {
            if (f) f();
        }
    };
    std::thread([&] {
        static thread_local at_exit last;
        last.f = [&] {
            c.send(1);
            vole::go([&] { c.send(2); });
        };
    }).join();
    const int first = c.recv().value_or(-1);
    const int second = c.recv().value_or(-1);
    CHECK(first == 1);
    CHECK(second == 2);
    CHECK(only_left(0));
}

TEST_CASE("SCHED-76 operations of the scheduler from an ordinary thread", "[sched][thread]") {
    std::size_t count = 99;
    std::uint64_t id = 99;
    std::thread([&] {
        vole::gosched();
        count = vole::num_goroutine();
        id = vole::goroutine_id();
        vole::lock_os_thread();
        vole::unlock_os_thread();
        (void)vole::read_stats();
        (void)traceback();
    }).join();
    CHECK(count == 0);
    CHECK(id == 0);
}

TEST_CASE("SYNC-97 threads and goroutines wait in one queue", "[sched][thread]") {
    const procs_scope guard(2);
    std::atomic<int> got{0};
    vole::run([&] {
        auto c = vole::make_chan<int>();
        vole::wait_group done;
        std::vector<std::thread> threads;
        for (int i = 0; i < 5; ++i) {
            done.go([&] { got += c.recv().has_value(); });
            threads.emplace_back([&] { got += c.recv().has_value(); });
        }
        for (int i = 0; i < 10; ++i) c.send(i);
        done.wait();
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
    });
    CHECK(got == 10);
}

TEST_CASE("SCHED-57 no deadlock while blocking(f) runs", "[sched][deadlock]") {
    bool ended = false;
    vole::run([&] {
        auto c = vole::make_chan<int>();
        vole::go([&] {
            vole::blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); });
            c.send(1);
        });
        (void)c.recv();
        ended = true;
    });
    CHECK(ended);
}

TEST_CASE("SCHED-57 no deadlock while an external waker exists", "[sched][deadlock]") {
    bool ended = false;
    auto c = vole::make_chan<int>();
    std::thread outsider;
    {
        const vole::external_waker waker;
        vole::run([&] {
            std::atomic<bool> waiting{false};
            outsider = std::thread([&] {
                wait_until([&] { return waiting.load(); });
                std::this_thread::sleep_for(std::chrono::milliseconds(50));
                c.send(1);
            });
            waiting = true;
            (void)c.recv();
            ended = true;
        });
    }
    outsider.join();
    CHECK(ended);
}

TEST_CASE("SCHED-57 no deadlock where detection is off", "[sched][deadlock]") {
    auto c = vole::make_chan<int>();
    std::atomic<bool> waiting{false};
    std::thread outsider([&] {
        wait_until([&] { return waiting.load(); });
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        c.send(1);
    });
    vole::options opts;
    opts.deadlock_detection = false;
    const int got = vole::run(opts, [&] {
        waiting = true;
        return c.recv().value_or(-1);
    });
    outsider.join();
    CHECK(got == 1);
}

TEST_CASE("SCHED-57 no deadlock is reported while no run waits", "[sched][deadlock]") {
    auto c = vole::make_chan<int>();
    std::atomic<int> ended{0};
    for (int i = 0; i < 3; ++i) {
        vole::go([&] { ended += c.recv().has_value(); });
    }
    wait_until([&] { return c.len() == 0 && vole::read_stats().idle_procs > 0; });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // gives a false report its chance
    for (int i = 0; i < 3; ++i) c.send(i);
    CHECK(wait_until([&] { return ended == 3; }));
    CHECK(only_left(0));
}

TEST_CASE("SCHED-58 no false report when all but one block, again and again", "[sched][deadlock]") {
    const procs_scope guard(4);
    const int rounds = scaled(2000);
    int ended = 0;
    vole::run([&] {
        auto c = vole::make_chan<int>();
        for (int i = 0; i < rounds; ++i) {
            // For a moment main waits and nothing runs but what comes back from blocking().
            vole::go([&, i] {
                vole::blocking([] {});
                c.send(i);
            });
            ended += c.recv().has_value();
        }
    });
    CHECK(ended == rounds);
    CHECK(only_left(0));
}

TEST_CASE("SCHED-58 no false report while threads are made and runs end", "[sched][deadlock]") {
    const procs_scope guard(4);
    const int rounds = scaled(300);
    int ended = 0;
    for (int i = 0; i < rounds; ++i) {
        ended += vole::run([&] {
            auto c = vole::make_chan<int>();
            vole::go([c]() mutable {
                vole::lock_os_thread();  // its thread dies with it
                c.send(1);
            });
            return c.recv().value_or(0);
        });
    }
    CHECK(ended == rounds);
    CHECK(only_left(0));
}
