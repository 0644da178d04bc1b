// The clock, and how durations of all kinds become nanoseconds. Cites TIME-33 to TIME-35.
// What threads see of it: test/unit/time_clock.cpp; a calendar that is set: wall.cpp.
#include "test/time/time_support.hpp"

#include <cstdint>
#include <ctime>
#include <limits>
#include <ratio>
#include <thread>
#include <type_traits>
#include <vector>

namespace vole::test {
namespace {

static_assert(std::chrono::is_clock_v<clock>);
static_assert(clock::is_steady);
static_assert(std::is_same_v<clock::duration, nanoseconds>);
static_assert(sizeof(clock::rep) == 8);
static_assert(noexcept(clock::now()) && noexcept(clock::wall()));

using detail::to_ns;
template <class R, class P = std::ratio<1>>
using duration = std::chrono::duration<R, P>;
constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t shortest = std::numeric_limits<std::int64_t>::min();

// Exact where it can be.
static_assert(to_ns(0s) == 0);
static_assert(to_ns(1h) == 3'600'000'000'000);
static_assert(to_ns(-1ms) == -1'000'000);
static_assert(to_ns(nanoseconds::max()) == longest);
static_assert(to_ns(nanoseconds::min()) == shortest);
static_assert(to_ns(nanoseconds::max() - 1ns) == longest - 1);
static_assert(to_ns(std::chrono::microseconds(longest / 1000)) == longest / 1000 * 1000);
static_assert(to_ns(duration<int, std::ratio<86400>>(365)) == 365 * 86'400'000'000'000);
static_assert(to_ns(duration<unsigned char, std::milli>(255)) == 255'000'000);
static_assert(to_ns(duration<std::uint64_t, std::nano>(longest)) == longest);

// Up: a sleep is never shorter than asked for.
static_assert(to_ns(duration<std::int64_t, std::pico>(1)) == 1);
static_assert(to_ns(duration<std::int64_t, std::pico>(1000)) == 1);
static_assert(to_ns(duration<std::int64_t, std::pico>(1001)) == 2);
static_assert(to_ns(duration<std::int64_t, std::pico>(-1)) == 0);
static_assert(to_ns(duration<std::int64_t, std::pico>(-1001)) == -1);
static_assert(to_ns(duration<double, std::nano>(0.25)) == 1);
static_assert(to_ns(duration<double, std::nano>(-0.25)) == 0);
static_assert(to_ns(duration<double>(1.5)) == 1'500'000'000);
static_assert(to_ns(duration<int, std::ratio<1, 3>>(1)) == 333'333'334);

// As long or short as there is, if it does not fit.
static_assert(to_ns(std::chrono::hours::max()) == longest);
static_assert(to_ns(std::chrono::hours::min()) == shortest);
static_assert(to_ns(std::chrono::microseconds(longest / 1000 + 1)) == longest);
static_assert(to_ns(std::chrono::microseconds(shortest / 1000 - 1)) == shortest);
static_assert(to_ns(duration<std::uint64_t, std::nano>(std::uint64_t{1} << 63)) == longest);
static_assert(to_ns(duration<std::uint64_t, std::nano>(~std::uint64_t{0})) == longest);
static_assert(to_ns(duration<double>(1e300)) == longest);
static_assert(to_ns(duration<double>(-1e300)) == shortest);
static_assert(to_ns(duration<double>(std::numeric_limits<double>::infinity())) == longest);
static_assert(to_ns(duration<double>(-std::numeric_limits<double>::infinity())) == shortest);
static_assert(to_ns(duration<float>(1e30F)) == longest);

time_point raw_now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + nanoseconds(t.tv_nsec));
}

// Read before main has begun, and before there is a runtime.
const time_point at_start = clock::now();
const auto wall_at_start = clock::wall();

}  // namespace

TEST_CASE("TIME-33 it may be read before main begins", "[time]") {
    CHECK(at_start.time_since_epoch() != 0ns);
    CHECK(clock::now() >= at_start);
    CHECK(wall_at_start.time_since_epoch() > 0ns);
}

TEST_CASE("TIME-33 the wall clock tells the calendar's time", "[time]") {
    using std::chrono::system_clock;
    const std::string wrong = everywhere([](findings& ok) {
        // Somebody may set it meanwhile, a little.
        const auto before = system_clock::now() - 1min;
        const auto now = clock::wall();
        ok(now >= before && now <= system_clock::now() + 1min);
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-34 it goes as fast as the system's monotonic clock", "[time]") {
    const std::string wrong = everywhere([](findings& ok) {
        for (int i = 0; i < 5; ++i) {
            const auto raw_a = raw_now();
            const auto a = clock::now();
            const auto raw_b = raw_now();
            pass(500us);
            const auto raw_c = raw_now();
            const auto b = clock::now();
            const auto raw_d = raw_now();
            ok(b - a >= raw_c - raw_b);
            ok(b - a <= raw_d - raw_a);
        }
    });
    CHECK(wrong == "");
}

TEST_CASE("TIME-34 it does not run backwards for a goroutine that moves between threads",
          "[time]") {
    const int turns = scaled(5000, 200);
    std::atomic<int> backwards{0};
    std::atomic<bool> moved{false};
    run_on(4, [&] {
        wait_group all;
        for (int i = 0; i < 16; ++i) {
            all.go([&] {
                const int home = thread_id();
                time_point last = clock::now();
                for (int n = 0; n < turns; ++n) {
                    gosched();
                    const time_point now = clock::now();
                    if (now < last) ++backwards;
                    last = now;
                    if (n % 64 == 0 && thread_id() != home) moved = true;
                }
            });
        }
        all.wait();
    });
    CHECK(backwards == 0);
    if (!moved) WARN("no goroutine was seen on another thread");
}

TEST_CASE("TIME-34 it may be read anywhere", "[time]") {
    findings ok;
    run_on(2, [&] {
        const auto before = clock::now();
        const auto outside = blocking([] { return clock::now(); });
        const auto on_thread = on_system_stack([] { return clock::now(); });
        ok(before <= outside && outside <= on_thread && on_thread <= clock::now());
        ok(blocking([] { return clock::wall(); }) > wall_at_start - 1min);
        lock_os_thread();
        ok(on_thread <= clock::now());
        unlock_os_thread();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("TIME-35 it tells readings apart that are less than a millisecond apart", "[time]") {
    nanoseconds least = 1h;
    for (int i = 0; i < 1000; ++i) {
        const auto a = clock::now();
        auto b = clock::now();
        while (b == a) b = clock::now();
        least = std::min(least, b - a);
    }
    CHECK(least < 1ms);
}

TEST_CASE("TIME-35 floating durations: no number is nothing, near the longest nothing wraps round",
          "[time]") {
    // At run time, so that a compiler that forgives overflow in constants does not hide one here. The
    // largest numbers of each kind below 2^63 nanoseconds, in seconds and in nanoseconds.
    volatile double no_number = std::numeric_limits<double>::quiet_NaN();
    CHECK(to_ns(duration<double>(no_number)) == 0);
    volatile float s = 9223371776.0F;
    CHECK(to_ns(duration<float>(s)) > longest / 2);
    CHECK(to_ns(duration<float>(-s)) < shortest / 2);
    volatile double t = 9223372036.8547744;
    CHECK(to_ns(duration<double>(t)) > longest / 2);
    CHECK(to_ns(duration<double>(-t)) < shortest / 2);
    volatile double ns = 9223372036854774784.0;
    CHECK(to_ns(duration<double, std::nano>(ns)) > longest / 2);
    volatile float hours = 2562047.75F;
    CHECK(to_ns(duration<float, std::ratio<3600>>(hours)) > longest / 2);
    for (double x = 9.2233720e9; x < 9.2233721e9; x += 0.37) {
        if (to_ns(duration<double>(x)) < longest / 2) FAIL("wrapped round at " << x);
    }
}

}  // namespace vole::test
