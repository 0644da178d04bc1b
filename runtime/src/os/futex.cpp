// See futex.hpp.
#include "runtime/internal/futex.hpp"
#include "runtime/internal/may_fail.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace vole::inline v0::detail {

void futex_wait(const atomic<std::uint32_t>* word, std::uint32_t expected,
                std::int64_t timeout_ns) noexcept {
    const int saved = errno;
    timespec limit{};
    if (timeout_ns >= 0) {
        limit.tv_sec = timeout_ns / 1'000'000'000;
        limit.tv_nsec = timeout_ns % 1'000'000'000;
    }
    may_fail<fallible::futex_wait>(::syscall, SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                                   timeout_ns >= 0 ? &limit : nullptr, nullptr, 0);
    errno = saved;
}

void futex_wake(const atomic<std::uint32_t>* word, int count) noexcept {
    const int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
    errno = saved;
}

std::int64_t nanotime() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace vole::detail
