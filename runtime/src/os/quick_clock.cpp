// See quick_clock.hpp.
#include "runtime/internal/quick_clock.hpp"
#include "runtime/internal/os.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

#include "runtime/internal/futex.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::int64_t good_for_ns =
    20'000;  // 500 ppm of it, the most that a clock is slewed: 10 ns
constexpr std::int64_t first_baseline_ns = 20'000'000;
constexpr std::int64_t baseline_ns = 1'000'000'000;
constexpr std::int64_t longest_reading_ns = 64;
constexpr std::int64_t slack_ns = 10;  // rather late than early

constinit atomic<std::uint64_t> known_rate{0};

struct sample {
    std::uint64_t ticks;
    std::int64_t ns;
    bool exact;  // nothing came in between
};

// The ticks in the middle of the reading: right to within some 10 ns.
sample take_sample(std::uint64_t rate) noexcept {
    const std::uint64_t before = arch::this_port::ticks();
    const std::int64_t ns = nanotime();
    const std::uint64_t took = arch::this_port::ticks() - before;
    return {before + took / 2, ns, rate == 0 || (took * rate >> 32) < longest_reading_ns};
}

// Asked on amd64 only: arm64's counter is too coarse to tell how long a reading took, and the kernel's clock is as cheap.
[[maybe_unused]] bool kernel_trusts_ticks() noexcept {
    const int fd = os::open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                            O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    char text[64] = {};
    const ssize_t n = os::read(fd, text, sizeof(text) - 1);
    os::close(fd);
    if (n <= 0) return false;
    const std::string_view name(text, std::strcspn(text, "\n"));
    return name == "tsc";
}

}  // namespace

std::int64_t quick_clock::read() noexcept {
    const std::uint64_t rate = known_rate.load(memory_order_relaxed);
    if (rate == 0) return nanotime();
    const sample s = take_sample(rate);
    ns_ = s.ns + slack_ns;
    ticks_ = s.ticks;
    rate_ = rate;
    good_for_ = s.exact ? (static_cast<std::uint64_t>(good_for_ns) << 32) / rate : 0;
    return ns_;
}

void quick_clock::calibrate() noexcept {
    static constinit sample first{};
    static constinit bool asked = false;
    static constinit bool trusted = false;
    static constinit std::int64_t next = 0;
    if (!asked) {
        asked = true;
#if defined(__x86_64__)
        trusted = kernel_trusts_ticks();
#endif
    }
    if (!trusted) return;
    const std::uint64_t rate = known_rate.load(memory_order_relaxed);
    const sample s = take_sample(rate);
    if (!s.exact) return;
    if (first.ns == 0) {
        first = s;
        next = s.ns + first_baseline_ns;
        return;
    }
    if (s.ns < next) return;
    next = s.ns + baseline_ns;
    if (s.ticks <= first.ticks) return;
    const double rate_now =
        static_cast<double>(s.ns - first.ns) / static_cast<double>(s.ticks - first.ticks);
    known_rate.store(static_cast<std::uint64_t>(rate_now * 0x1p32), memory_order_relaxed);
    first = s;  // how fast the system's clock goes may change
}

}  // namespace vole::detail
