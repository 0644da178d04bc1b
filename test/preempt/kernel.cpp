// Goroutines that block in the kernel where nobody announced it: their P goes to others, no signal is sent,
// no call fails or returns early, and they find their way back.
#include <catch2/catch.hpp>

#include "test/preempt/preempt_support.hpp"

#include <condition_variable>
#include <cstdio>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <set>
#include <shared_mutex>
#include <string>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <vector>

namespace vole::test {

namespace {

using clock = std::chrono::steady_clock;

void compute_ms(int ms) {
    const auto end = clock::now() + std::chrono::milliseconds(ms);
    while (clock::now() < end) {
    }
}

struct pipe_pair {
    int in = -1;
    int out = -1;
    pipe_pair() {
        int fds[2];
        if (::pipe2(fds, O_CLOEXEC) == 0) {
            in = fds[0];
            out = fds[1];
        }
    }
    ~pipe_pair() {
        ::close(in);
        ::close(out);
    }
    pipe_pair(const pipe_pair&) = delete;
    pipe_pair& operator=(const pipe_pair&) = delete;
    bool wait_for_byte() const {
        char c = 0;
        return ::read(in, &c, 1) == 1;
    }
    void send_byte() const {
        const char c = 1;
        REQUIRE(::write(out, &c, 1) == 1);
    }
};

std::uint64_t detached() {
    const auto c = counts();
    return c.detached_blocked + c.detached_running;
}

// On one P: `blocks` runs in a goroutine; others go on meanwhile, and what they need for that is that its
// P was taken. Gives what it returned.
template <class F>
bool others_go_on_beside(F blocks) {
    bool result = false;
    const auto before = counts();
    run_on(1, [&] {
        std::atomic<bool> done{false};
        std::atomic<long> progress{0};
        wait_group all;
        all.go([&] {
            result = blocks();
            done = true;
        });
        all.go([&] {
            while (!done) {
                ++progress;
                gosched();
            }
        });
        all.wait();
        CHECK(progress > 0);
    });
    const auto after = counts();
    // By either reason: on a busy machine it may have lost it before it came to block.
    CHECK(after.detached_blocked + after.detached_running >
          before.detached_blocked + before.detached_running);
    CHECK(after.interrupted_calls == before.interrupted_calls);
    CHECK(after.returns == after.detached_blocked + after.detached_running);
    return result;
}

// Neither early nor with an error.
template <class F>
bool sleeps_for(std::chrono::milliseconds least, F call) {
    const auto start = clock::now();
    const bool ok = call();
    return ok && clock::now() - start >= least;
}

}  // namespace

TEST_CASE("PRE-25 sleeping calls neither return early nor hold up others") {
    using namespace std::chrono_literals;
    SECTION("sleep") {
        CHECK(others_go_on_beside([] { return sleeps_for(1s, [] { return ::sleep(1) == 0; }); }));
    }
    SECTION("nanosleep") {
        CHECK(others_go_on_beside([] {
            return sleeps_for(100ms, [] {
                const timespec t{0, 100'000'000};
                return ::nanosleep(&t, nullptr) == 0;
            });
        }));
    }
    SECTION("poll") {
        CHECK(others_go_on_beside(
            [] { return sleeps_for(99ms, [] { return ::poll(nullptr, 0, 100) == 0; }); }));
    }
    SECTION("epoll_wait") {
        CHECK(others_go_on_beside([] {
            const int fd = ::epoll_create1(EPOLL_CLOEXEC);
            epoll_event event{};
            const bool ok = sleeps_for(99ms, [&] { return ::epoll_wait(fd, &event, 1, 100) == 0; });
            ::close(fd);
            return ok;
        }));
    }
    SECTION("select") {
        CHECK(others_go_on_beside([] {
            return sleeps_for(99ms, [] {
                timeval t{0, 100'000};
                return ::select(0, nullptr, nullptr, nullptr, &t) == 0;
            });
        }));
    }
}

TEST_CASE("PRE-25 calls that wait for something do not hold up who brings it") {
    SECTION("read on an empty pipe") {
        const pipe_pair pipe;
        run_on(1, [&] {
            wait_group all;
            bool got = false;
            all.go([&] { got = pipe.wait_for_byte(); });
            gosched();  // comes back when the P has been taken from the reader
            compute_ms(30);
            pipe.send_byte();
            all.wait();
            CHECK(got);
        });
    }
    SECTION("a contended flock") {
        char name[] = "/tmp/vole-flock-XXXXXX";
        const int first = ::mkstemp(name);
        const int second = ::open(name, O_RDWR | O_CLOEXEC);
        ::unlink(name);
        REQUIRE(::flock(first, LOCK_EX) == 0);
        run_on(1, [&] {
            wait_group all;
            int result = -1;
            all.go([&] { result = ::flock(second, LOCK_EX); });
            gosched();
            ::flock(first, LOCK_UN);
            all.wait();
            CHECK(result == 0);
        });
        ::close(first);
        ::close(second);
    }
    SECTION("std::condition_variable") {
        std::mutex mu;
        std::condition_variable changed;
        bool flag = false;
        run_on(1, [&] {
            wait_group all;
            all.go([&] {
                std::unique_lock held(mu);
                changed.wait(held, [&] { return flag; });
            });
            gosched();
            {
                const std::lock_guard held(mu);
                flag = true;
            }
            changed.notify_one();
            all.wait();
        });
        CHECK(flag);
    }
    SECTION("a child's output") {
        CHECK(others_go_on_beside([] {
            std::FILE* child = ::popen("sleep 0.2; echo done", "r");
            char text[16] = {};
            const bool got = std::fgets(text, sizeof(text), child) != nullptr;
            return ::pclose(child) == 0 && got && std::string(text) == "done\n";
        }));
    }
}

TEST_CASE("a lock of the C++ library whose holder is preempted: holder and waiter both finish") {
    std::mutex plain;
    std::shared_mutex shared;
    for (const int procs : {1, 2}) {
        std::atomic<int> finished{0};
        run_on(procs, [&] {
            wait_group all;
            for (int i = 0; i < 2; ++i) {
                all.go([&] {
                    const std::lock_guard held(plain);
                    compute_ms(50);
                    ++finished;
                });
                all.go([&] {
                    const std::unique_lock held(shared);
                    compute_ms(50);
                    ++finished;
                });
            }
            all.wait();
        });
        CHECK(finished == 4);
    }
}

TEST_CASE("many goroutines blocked at once") {
    constexpr int n = 30;
    std::vector<pipe_pair> pipes(n);
    std::atomic<int> got{0};
    const std::uint64_t before = detached();
    run_on(2, [&] {
        wait_group all;
        for (const pipe_pair& p : pipes) {
            all.go([&] { got += p.wait_for_byte() ? 1 : 0; });
        }
        // Two hold the Ps until they lose them; so do the next two, and so on. The last ones may keep
        // theirs: nobody waits for them.
        wait_until([&] { return detached() - before >= n - 2; }, "nearly all to be detached");
        for (const pipe_pair& p : pipes) p.send_byte();
        all.wait();
    });
    CHECK(got == n);
}

TEST_CASE("PRE-51 short calls, then a loop without calls") {
    run_on(1, [] {
        for (const long us : {10L, 100L, 1000L}) {
            std::atomic<bool> stop{false};
            wait_group all;
            all.go([&] {
                for (int i = 0; i < 20; ++i) {
                    const timespec t{0, us * 1000};
                    ::nanosleep(&t, nullptr);
                }
                while (!stop.load(std::memory_order_relaxed)) {
                }
            });
            gosched();
            stop = true;
            all.wait();
        }
    });
}

TEST_CASE("what a goroutine does first when it comes back without a P") {
    const pipe_pair pipe;
    enum action { end, park, start, unlock, announce, on_large_stack, tied };
    for (const action what : {end, park, start, unlock, announce, on_large_stack, tied}) {
        INFO("action " << static_cast<int>(what));
        const auto detached_before = detached();
        std::atomic<int> steps{0};
        run_on(1, [&] {
            auto c = make_chan<int>();
            vole::mutex mu;
            wait_group all;
            all.go([&] {
                if (what == tied) lock_os_thread();
                if (what == unlock) mu.lock();
                const int thread = thread_id();
                bool got = false;
                if (what == on_large_stack) {
                    on_system_stack([&] { got = pipe.wait_for_byte(); });
                } else {
                    got = pipe.wait_for_byte();
                }
                steps += got ? 1 : 0;
                switch (what) {
                    case end: break;
                    case park: c.send(1); break;
                    case start: all.go([&] { ++steps; }); break;
                    case unlock: mu.unlock(); break;
                    case announce: blocking([&] { ++steps; }); break;
                    case on_large_stack: gosched(); break;
                    case tied:
                        gosched();
                        steps += thread_id() == thread ? 1 : 0;
                        unlock_os_thread();
                        break;
                }
            });
            if (what == park) all.go([&] { steps += c.recv().value_or(0); });
            if (what == unlock) {
                all.go([&] {
                    const std::lock_guard held(mu);
                    ++steps;
                });
            }
            // Not "because it blocks": on a busy machine it may have lost it before it came to do so.
            wait_until([&] { return detached() > detached_before; }, "the reader to lose its P");
            pipe.send_byte();
            all.wait();
        });
        CHECK(steps == (what == end || what == on_large_stack ? 1 : 2));
        CHECK(counts().returns == detached());
    }
}

TEST_CASE("PRE-41 the world stops although goroutines block, loop, or block all signals") {
    const pipe_pair pipe;
    std::atomic<bool> stop{false};
    run_on(2, [&] {
        wait_group all;
        all.go([&] { pipe.wait_for_byte(); });
        all.go([&] {
            while (!stop.load(std::memory_order_relaxed)) {
            }
        });
        all.go([&] {
            sigset_t everything;
            sigset_t before;
            sigfillset(&everything);
            pthread_sigmask(SIG_SETMASK, &everything, &before);
            while (!stop.load(std::memory_order_relaxed)) {
            }
            pthread_sigmask(SIG_SETMASK, &before, nullptr);
        });
        for (int i = 0; i < 6; ++i) gomaxprocs(1 + i % 3);
        stop = true;
        pipe.send_byte();
        all.wait();
    });
    CHECK(stop);
}

TEST_CASE("a loop in library code that no signal may stop loses its P") {
    const auto before = counts();
    std::atomic<bool> stop{false};
    long lines = 0;
    run_on(1, [&] {
        wait_group all;
        all.go([&] {
            char text[2000];
            while (!stop.load(std::memory_order_relaxed)) {
                std::snprintf(text, sizeof(text), "%1900.1000f", 1.5);  // a thousand digits
                ++lines;
            }
        });
        all.go([&] {
            wait_until([&] {
                return counts().detached_running + counts().freezes >
                       before.detached_running + before.freezes;
            });
            stop = true;
        });
        all.wait();
    });
    CHECK(lines > 0);
    CHECK(counts().interrupted_calls == before.interrupted_calls);
}

TEST_CASE("PRE-55 calls that block all the time never see EINTR") {
    const auto before = counts();
    std::atomic<int> failed{0};
    run_on(2, [&] {
        const storm around(storm::kind::gentle);
        std::atomic<bool> stop{false};
        wait_group all;
        for (int i = 0; i < 6; ++i) {
            all.go([&, i] {
                const int n = scaled(200);
                for (int k = 0; k < n; ++k) {
                    compute_ms(i % 3);
                    const timespec t{0, 300'000};
                    if (::nanosleep(&t, nullptr) != 0) ++failed;
                    if (::poll(nullptr, 0, 1) != 0) ++failed;
                    if (k % 16 == 0) gosched();
                }
                stop = true;
            });
        }
        all.go([&] {
            while (!stop.load(std::memory_order_relaxed)) {
            }
        });
        all.wait();
    });
    CHECK(failed == 0);
    CHECK(counts().interrupted_calls == before.interrupted_calls);
}

}  // namespace vole::test
