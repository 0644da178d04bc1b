// Somebody sets the calendar back and forth while goroutines and threads wait: no deadline moves. Cites TIME-33.
//
// The machine's own clock is left alone: this program brings a clock_gettime of its own, which adds to
// CLOCK_REALTIME what the test says. Hence a program apart.
#include "test/time/time_support.hpp"

#include <ctime>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

std::atomic<std::int64_t> added_seconds{0};

}  // namespace

// Exported, so that shared libraries find it before the C library's.
extern "C" [[gnu::visibility("default")]] int clock_gettime(clockid_t id, timespec* t) noexcept {
    const long r = ::syscall(SYS_clock_gettime, id, t);
    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        t->tv_sec += static_cast<time_t>(added_seconds.load(std::memory_order_relaxed));
    }
    return static_cast<int>(r);
}

namespace vole::test {
namespace {

/// The calendar jumps by an hour and more, back and forth, a thousand times a second.
class jumps {
  public:
    jumps()
        : thread_([this] {
              for (int i = 0; !stop_; ++i) {
                  added_seconds = i % 2 == 0 ? -3600 * (1 + i % 7) : 3600 * (1 + i % 5);
                  const timespec nap{0, 1'000'000};
                  ::nanosleep(&nap, nullptr);
              }
              added_seconds = 0;
          }) {}
    ~jumps() {
        stop_ = true;
        thread_.join();
    }
    jumps(const jumps&) = delete;
    jumps& operator=(const jumps&) = delete;

  private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

/// One step, in the middle of what a test does; taken back at the end.
class step {
  public:
    explicit step(std::chrono::seconds by) { added_seconds = by.count(); }
    ~step() { added_seconds = 0; }
    step(const step&) = delete;
    step& operator=(const step&) = delete;
};

}  // namespace

TEST_CASE("TIME-33 the wall clock follows the calendar, the steady one does not", "[time][wall]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (const auto by : {-3600s, 3600s, -86'400s}) {
            const auto wall = clock::wall();
            const auto now = clock::now();
            const step s(by);
            const auto moved = clock::wall() - wall;
            const auto passed = clock::now() - now;
            // The real calendar may be corrected meanwhile, a little.
            ok(moved > by - 60s);
            ok(passed >= 0ns);
            ok(moved - passed < by + 60s);
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-33 sleeps end in time, not early and not an hour late", "[time][wall]") {
    for (const auto by : {-3600s, 3600s}) {
        const std::string wrong = everywhere([by](findings& ok) {
            std::atomic<int> ready{0};
            wait_group all;
            for (int i = 0; i < 20; ++i) {
                all.go([&, i] {
                    const auto before = clock::now();
                    ++ready;
                    sleep(10ms + i * 500us);
                    ok(clock::now() - before >= 10ms + i * 500us);
                    sleep_until(before + 25ms);
                    ok(clock::now() - before >= 25ms);
                });
            }
            wait_until([&] { return ready == 20; });
            const step s(by);
            const auto before = clock::now();
            sleep(5ms);
            ok(clock::now() - before >= 5ms);
            all.wait();
        });
        CHECK(wrong == "");
    }
}

TEST_CASE("TIME-33 timers, functions and tickers do not notice", "[time][wall]") {
    for (const auto by : {-3600s, 3600s}) {
        const std::string wrong = everywhere([by](findings& ok) {
            std::atomic<int> called{0};
            setting set;
            const timer read_later(3ms);
            const timer waited(5ms);
            timer moved(1h);
            timer far(30min);
            const ticker k(2ms);
            after_func(4ms, [&] { ++called; });
            timer far_call = after_func(30min, [&] { ++called; });
            set.end();
            const step s(by);
            ok(set.due(waited.c().recv(), 5ms));
            ok(set.due(taken(read_later.c()), 3ms));
            const auto first = k.c().recv();
            ok(set.due(first, 2ms));
            const auto next = k.c().recv();
            ok(next && *next > *first && (*next - *first) % 2ms == 0ns);
            setting again;
            ok(moved.reset(2ms));
            again.end();
            ok(again.due(moved.c().recv(), 2ms));
            wait_until([&] { return called == 1; }, "the function to be called");
            ok(far.c().try_recv().is_empty());
            ok(far.stop());
            ok(far_call.stop());
            ok.equal(called.load(), 1);
        });
        CHECK(wrong == "");
    }
}

TEST_CASE("TIME-33 a calendar that jumps all the time", "[time][wall]") {
    const jumps all_the_time;
    const std::string wrong = everywhere([](findings& ok) {
        wait_group all;
        const auto work = [&](int i) {
            const ticker k(1ms + i * 100us);
            time_point last = clock::now();
            for (int n = 0; n < 10; ++n) {
                const auto before = clock::now();
                ok(before >= last);
                sleep(i * 100us);
                ok(clock::now() - before >= i * 100us);
                last = clock::now();
                const auto v = k.c().recv();
                ok(v && *v <= clock::now());
                ok.equal(select(on_recv(after(1h)), on_recv(after(500us))), 1U);
            }
        };
        std::jthread thread([&] { work(3); });
        for (int i = 0; i < 10; ++i) all.go([&work, i] { work(i); });
        all.wait();
        blocking([&] { thread.join(); });
    });
    CHECK(wrong == "");
}

}  // namespace vole::test
