// See cpus.hpp. Locks: none. Stack: any with 8 KiB to spare.
#include "runtime/src/os/cpus.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <sched.h>
#include <system_error>
#include <unistd.h>

#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

int affinity_count() noexcept {
    // The kernel refuses a mask that is smaller than its own, whose size nobody knows beforehand: 1,024
    // CPUs nearly always do, the last step holds 65,536. The C library clears what the kernel leaves.
    constexpr std::size_t words = 1024;
    std::array<unsigned long, words> mask;
    for (std::size_t used = 16; used <= words; used *= 8) {
        const std::size_t bytes = used * sizeof(unsigned long);
        if (os::sched_getaffinity(0, bytes, reinterpret_cast<cpu_set_t*>(mask.data())) == 0) {
            int count = 0;
            for (std::size_t i = 0; i < used; ++i) {
                count += std::popcount(mask[i]);
            }
            return std::max(count, 1);
        }
    }
    // Refused by a sandbox, perhaps.
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : static_cast<int>(std::min<long>(online, max_procs_limit));
}

int default_procs(double quota_or_negative, int affinity) noexcept {
    const int cpus = std::clamp(affinity, 1, max_procs_limit);
    // The second comparison keeps huge values (and NaN) away from the conversion to int.
    if (quota_or_negative < 0 || !(quota_or_negative < static_cast<double>(cpus))) {
        return cpus;
    }
    const int whole = static_cast<int>(std::ceil(quota_or_negative));
    return std::min(cpus, std::max(2, whole));
}

int parse_maxprocs(const char* text) noexcept {
    if (text == nullptr) {
        return 0;
    }
    int value = 0;
    const char* const last = text + std::strlen(text);
    const auto [end, error] = std::from_chars(text, last, value);
    if (error != std::errc{} || end != last || value < 1 || value > max_procs_limit) {
        return 0;
    }
    return value;
}

}  // namespace vole::detail
