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

void note::wake() noexcept {
    word_.store(1, memory_order_release);
    futex_wake(&word_, 1);
}

void note::sleep() noexcept {
    while (word_.load(memory_order_acquire) == 0) futex_wait(&word_, 0);
}

bool note::sleep_for(std::int64_t timeout_ns) noexcept {
    if (word_.load(memory_order_acquire) == 0) futex_wait(&word_, 0, timeout_ns);
    return word_.load(memory_order_acquire) != 0;
}

std::int64_t nanotime() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace vole::detail
