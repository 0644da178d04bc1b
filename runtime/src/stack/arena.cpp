// See arena.hpp.
#include "runtime/src/stack/arena.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "runtime/internal/os.hpp"

#if !defined(MADV_GUARD_INSTALL)
#define MADV_GUARD_INSTALL 102
#endif

namespace vole::inline v0::detail {

namespace {

constexpr std::uint32_t trim_batch = 256;
constexpr std::size_t slot_limit = 256 * 1024;  // the largest slots there are
constexpr int reserve_flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

void* map(std::size_t bytes, int protection) noexcept {
    const int saved = errno;
    void* p = os::mmap(nullptr, bytes, protection, reserve_flags, -1, 0);
    errno = saved;
    return p == MAP_FAILED ? nullptr : p;
}

bool advise(void* p, std::size_t bytes, int advice) noexcept {
    const int saved = errno;
    const bool ok = os::madvise(p, bytes, advice) == 0;
    errno = saved;
    return ok;
}

// Under RLIMIT_AS a region takes an eighth of the limit at most: the rest belongs to the program.
std::uint32_t slots_that_fit(std::uint32_t wanted, std::size_t slot_bytes) noexcept {
    rlimit limit{};
    if (os::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
    const auto fit = limit.rlim_cur / 8 / slot_bytes;
    // Whole pages.
    return static_cast<std::uint32_t>(std::clamp<rlim_t>(fit & ~rlim_t{1}, 2, wanted));
}

}  // namespace

bool stack_arena::add_region() noexcept {
    if (region_count_ == max_regions) return false;
    for (std::uint32_t slots = slots_that_fit(region_slots, slot_bytes_); slots > 1;
         slots = slots / 4 * 2) {
        const std::size_t bytes = slots * slot_bytes_;
        auto* base = static_cast<char*>(map(bytes, PROT_NONE));
        if (base == nullptr) continue;
        auto* free_slots =
            static_cast<std::uint32_t*>(map(slots * sizeof(std::uint32_t), PROT_READ | PROT_WRITE));
        if (free_slots == nullptr) {
            os::munmap(base, bytes);
            continue;
        }
        // Without this a touched stack may cost a huge page instead of a small one.
        advise(base, bytes, MADV_NOHUGEPAGE);
        // gdb's gcore writes reserved memory out, gigabytes of zeros.
        advise(base, bytes, MADV_DONTDUMP);
        regions_[region_count_++] = region{base, slots, 0, 0, 0, 0, 0, 0, free_slots};
        reserved_.fetch_add(bytes, memory_order_relaxed);
        return true;
    }
    return false;
}

bool stack_arena::ensure(std::uint64_t slots) noexcept {
    if (committed_.load(memory_order_acquire) >= slots) return true;
    lock_guard held(lock_);
    while (committed_.load(memory_order_relaxed) < slots) {
        if (region_count_ == 0 ||
            regions_[region_count_ - 1].committed == regions_[region_count_ - 1].slots) {
            if (!add_region()) return false;
        }
        region& r = regions_[region_count_ - 1];
        const std::uint32_t n = std::min(commit_slots, r.slots - r.committed);
        char* const fresh = r.base + r.committed * slot_bytes_;
        const int saved = errno;
        const int failed = os::mprotect(fresh, n * slot_bytes_, PROT_READ | PROT_WRITE);
        errno = saved;
        if (failed != 0) return false;
        advise(fresh, n * slot_bytes_, MADV_DODUMP);
        r.committed += n;
        // release: whoever sees the count may use the slots.
        committed_.fetch_add(n, memory_order_release);
    }
    return true;
}

void stack_arena::install_guard(char* lo) noexcept {
    if (guard_bytes_ == 0) return;
    guard_kind kind = guards_.load(memory_order_relaxed);
    if (kind == guard_kind::madvise) {
        if (advise(lo, guard_bytes_, MADV_GUARD_INSTALL)) return;
        kind = guard_kind::mprotect;  // an older kernel
        guards_.store(kind, memory_order_relaxed);
    }
    if (kind == guard_kind::mprotect) {
        const bool within = mprotected_.fetch_add(1, memory_order_relaxed) < mprotect_budget;
        if (within && os::mprotect(lo, guard_bytes_, PROT_NONE) == 0) return;
        guards_.store(guard_kind::canary, memory_order_relaxed);
    }
    // The canary needs no page of its own here: it is written by the first goroutine that runs.
}

// From the end: the last given is the warmest. `keep` entries stay.
std::uint32_t stack_arena::take_free(region& r, char** out, std::uint32_t n,
                                     std::uint32_t keep) noexcept {
    std::uint32_t got = 0;
    while (got < n && r.free > keep) out[got++] = r.base + r.free_slots[--r.free] * slot_bytes_;
    r.cold = std::min(r.cold, r.free);
    r.low = std::min(r.low, r.free);
    return got;
}

bool stack_arena::grow() noexcept { return ensure(committed_.load(memory_order_relaxed) + 1); }

std::uint32_t stack_arena::take(char** out, std::uint32_t n) noexcept {
    std::uint32_t got = 0;
    std::uint32_t first_fresh = 0;
    {
        lock_guard held(lock_);
        const std::span regions(regions_, region_count_);
        for (region& r : regions) got += take_free(r, out + got, n - got, r.cold);
        for (region& r : regions) got += take_free(r, out + got, n - got, 0);
        first_fresh = got;
        for (region& r : regions) {
            while (got < n && r.fresh < r.committed) out[got++] = r.base + r.fresh++ * slot_bytes_;
        }
    }
    for (std::uint32_t i = first_fresh; i < got; ++i) install_guard(out[i]);
    in_use_.fetch_add(got, memory_order_relaxed);
    return got;
}

void stack_arena::give(char* const* slots, std::uint32_t n) noexcept {
    in_use_.fetch_sub(n, memory_order_relaxed);
    lock_guard held(lock_);
    for (std::uint32_t k = 0; k < n; ++k) {
        for (region& r : std::span(regions_, region_count_)) {
            if (slots[k] < r.base || slots[k] >= r.base + r.slots * slot_bytes_) continue;
            r.free_slots[r.free++] = static_cast<std::uint32_t>(
                static_cast<std::size_t>(slots[k] - r.base) / slot_bytes_);
            ++r.given;
            break;
        }
    }
}

// ---- giving pages back ------------------------------------------------------------------------

// The oldest warm ones leave the list while their pages go: nobody may take them meanwhile. The order
// of the others is kept, by moving at most 256 KiB.
std::uint32_t stack_arena::take_warm(region& r, std::uint32_t* out, std::uint32_t n) noexcept {
    n = std::min(n, r.free - r.cold);
    std::uint32_t* oldest = r.free_slots + r.cold;
    std::copy(oldest, oldest + n, out);
    std::copy(oldest + n, r.free_slots + r.free, oldest);
    r.free -= n;
    return n;
}

void stack_arena::put_oldest(region& r, const std::uint32_t* slots, std::uint32_t n) noexcept {
    std::uint32_t* oldest = r.free_slots + r.cold;
    std::copy_backward(oldest, r.free_slots + r.free, r.free_slots + r.free + n);
    std::copy(slots, slots + n, oldest);
    r.free += n;
}

// Whole slots, half of those that were free all the time.
void stack_arena::trim_idle(region& r) noexcept {
    std::uint32_t left = 0;
    {
        lock_guard held(lock_);
        const std::uint32_t idle = std::min(r.low, r.free);
        if (idle > r.cold + hot_limit) left = (idle - r.cold - hot_limit + 1) / 2;
    }
    while (left > 0) {
        std::uint32_t slots[trim_batch];
        std::uint32_t n = 0;
        {
            lock_guard held(lock_);
            n = take_warm(r, slots, std::min(left, trim_batch));
        }
        if (n == 0) return;
        for (std::uint32_t k = 0; k < n; ++k) {
            advise(r.base + slots[k] * slot_bytes_ + guard_bytes_, slot_bytes_ - guard_bytes_,
                   MADV_DONTNEED);
        }
        lock_guard held(lock_);
        put_oldest(r, slots, n);
        r.cold += n;
        left -= n;
    }
}

// Of those that came back last, what lies deeper than most stacks go. They go to the other end of the
// warm ones, so that each has its turn; those that are in use now have theirs another time.
void stack_arena::trim_deep(region& r) noexcept {
    constexpr std::size_t usual = 32 * 1024;
    constexpr std::size_t page = 4096;
    if (slot_bytes_ < 4 * usual) return;
    std::uint32_t left = 0;
    {
        lock_guard held(lock_);
        left = std::min({r.given, r.free - r.cold, 2 * hot_limit});
        r.given = 0;
    }
    const std::size_t deep = slot_bytes_ - guard_bytes_ - usual;
    while (left > 0) {
        std::uint32_t slots[trim_batch];
        std::uint32_t n = 0;
        {
            lock_guard held(lock_);
            while (n < std::min(left, trim_batch) && r.free > r.cold) {
                slots[n++] = r.free_slots[--r.free];
            }
        }
        if (n == 0) return;
        for (std::uint32_t k = 0; k < n; ++k) {
            unsigned char in_memory[slot_limit / page];
            char* from = r.base + slots[k] * slot_bytes_ + guard_bytes_;
            if (os::mincore(from, deep, in_memory) != 0) continue;
            if (std::any_of(in_memory, in_memory + deep / page,
                            [](unsigned char b) { return (b & 1) != 0; })) {
                advise(from, deep, MADV_DONTNEED);
            }
        }
        lock_guard held(lock_);
        put_oldest(r, slots, n);
        left -= n;
    }
}

bool stack_arena::trim() noexcept {
    constexpr std::size_t page = 4096;
    if (slot_bytes_ < page) return false;  // others live in the same page
    bool more = false;
    std::uint32_t count = 0;
    {
        lock_guard held(lock_);
        count = region_count_;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
        region* r = nullptr;
        {
            lock_guard held(lock_);
            r = &regions_[i];
            more = more || r->free > r->cold + hot_limit;
        }
        trim_idle(*r);
        trim_deep(*r);
        lock_guard held(lock_);
        r->low = r->free;
    }
    return more;
}

char* stack_arena::map_custom(std::size_t bytes) noexcept {
    auto* lo = static_cast<char*>(map(bytes, PROT_READ | PROT_WRITE));
    if (lo == nullptr) return nullptr;
    advise(lo, bytes, MADV_NOHUGEPAGE);
    // No canary for these: without a guard there is no mapping.
    const int saved = errno;
    const bool guarded = advise(lo, guard_bytes_, MADV_GUARD_INSTALL) ||
                         os::mprotect(lo, guard_bytes_, PROT_NONE) == 0;
    errno = saved;
    if (!guarded) {
        os::munmap(lo, bytes);
        return nullptr;
    }
    reserved_.fetch_add(bytes, memory_order_relaxed);
    custom_.fetch_add(bytes, memory_order_relaxed);
    return lo;
}

void stack_arena::unmap_custom(char* lo, std::size_t bytes) noexcept {
    const int saved = errno;
    os::munmap(lo, bytes);
    errno = saved;
    reserved_.fetch_sub(bytes, memory_order_relaxed);
    custom_.fetch_sub(bytes, memory_order_relaxed);
}

}  // namespace vole::detail
