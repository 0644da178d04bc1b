// See heap.hpp.
#include "time/src/heap.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <vole/detail/timer_core.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

constexpr std::size_t arity = 4;
constexpr std::size_t least_capacity = 64;
constexpr std::size_t worth_a_sweep = 256;

// entries_ begins three places behind a cache line's start, so that the four children of a node share one.
constexpr std::size_t shift = arity - 1;
constexpr std::size_t line = 64;
constexpr std::size_t huge_page = std::size_t{2} << 20;

// A large one on huge pages, if there are any: a tenth of what it costs to set a million timers went into the
// faults of its pages.
deadline* allocate(std::size_t capacity) noexcept {
    void* memory = nullptr;
    const std::size_t wanted = (capacity + shift) * sizeof(deadline);
    const std::size_t unit = wanted < huge_page ? line : huge_page;
    const std::size_t bytes = (wanted + unit - 1) / unit * unit;
    deep([&] {
        memory = os::aligned_alloc(unit, bytes);
        if (memory != nullptr && unit == huge_page) os::madvise(memory, bytes, MADV_HUGEPAGE);
    });
    return memory != nullptr ? static_cast<deadline*>(memory) + shift : nullptr;
}

void deallocate(deadline* entries) noexcept {
    if (entries != nullptr) deep([entries] { std::free(entries - shift); });
}

}  // namespace

timer_heap::~timer_heap() { deallocate(entries_); }

// ---- room -------------------------------------------------------------------------------------

void timer_heap::lock_with_room() VOLE_NO_TS {
    mu.acquire();
    while (!has_room()) {
        const std::size_t wanted = std::max(least_capacity, 2 * capacity_);
        mu.release();
        deadline* larger = allocate(wanted);
        if (larger == nullptr) throw_bad_alloc();
        mu.acquire();
        if (capacity_ < wanted) {
            if (size_ != 0) std::memcpy(larger, entries_, size_ * sizeof(deadline));
            std::swap(larger, entries_);
            capacity_ = wanted;
        }
        if (larger != nullptr) {
            mu.release();
            deallocate(larger);
            mu.acquire();
        }
    }
}

// ---- order ------------------------------------------------------------------------------------

void timer_heap::sift_up(std::size_t hole, deadline d) noexcept {
    while (hole != 0) {
        const std::size_t parent = (hole - 1) / arity;
        if (entries_[parent].when <= d.when) break;
        entries_[hole] = entries_[parent];
        hole = parent;
    }
    entries_[hole] = d;
}

void timer_heap::sift_down(std::size_t hole, deadline d) noexcept {
    for (;;) {
        const std::size_t child = hole * arity + 1;
        if (child >= size_) break;
        std::size_t least = child;
        const std::size_t end = std::min(child + arity, size_);
        for (std::size_t i = child + 1; i < end; ++i) {
            if (entries_[i].when < entries_[least].when) least = i;
        }
        if (entries_[least].when >= d.when) break;
        entries_[hole] = entries_[least];
        hole = least;
    }
    entries_[hole] = d;
}

void timer_heap::publish() noexcept {
    about_.store(size_, memory_order_relaxed);
    if (proc_ != no_proc) set_first_timer(proc_, first());
}

bool timer_heap::push(deadline d) noexcept {
    const std::int64_t before = first();
    sift_up(size_++, d);
    if (d.when >= before) {
        about_.store(size_, memory_order_relaxed);
        return false;
    }
    publish();
    return true;
}

void timer_heap::remove_first() noexcept {
    const deadline last = entries_[--size_];
    if (size_ != 0) sift_down(0, last);
}

std::size_t timer_heap::take_due(std::int64_t now, deadline* out, std::size_t most) noexcept {
    std::size_t n = 0;
    while (n < most && size_ != 0 && entries_[0].when <= now) {
        out[n++] = entries_[0];
        remove_first();
    }
    owed_ += n;
    if (n != 0) publish();
    // Who has slept for long is in no cache. One of them is going to be next.
    if (size_ != 0)
        __builtin_prefetch(reinterpret_cast<const void*>(entries_[0].who & ~std::uintptr_t{1}));
    return n;
}

// ---- the dead ---------------------------------------------------------------------------------

bool timer_heap::is_alive(const deadline& d) noexcept {
    return d.sleeper() != nullptr || d.timer()->armed.load(memory_order_relaxed) == d.when;
}

std::int64_t timer_heap::first_alive() noexcept {
    for (;;) {
        timer_core* dead[16];
        std::size_t n = 0;
        std::int64_t when = 0;
        {
            const lock_guard held(mu);
            while (n < std::size(dead) && size_ != 0 && !is_alive(entries_[0])) {
                dead[n++] = entries_[0].timer();
                remove_first();
            }
            if (n != 0) publish();
            when = first();
        }
        for (std::size_t i = 0; i < n; ++i) release_entry(dead[i]);
        if (n < std::size(dead)) return when;
    }
}

void timer_heap::add_dead() noexcept {
    const std::size_t dead = dead_.load(memory_order_relaxed) + 1;
    dead_.store(dead, memory_order_relaxed);
    if (dead >= worth_a_sweep && dead > about_.load(memory_order_relaxed) / 4) sweep();
}

// The living to the front, in order of a heap; gives their number.
std::size_t timer_heap::partition_dead() noexcept {
    const deadline* end = entries_ + size_;
    const deadline* alive = std::partition(entries_, entries_ + size_, is_alive);
    const auto dead = static_cast<std::size_t>(end - alive);
    size_ -= dead;
    for (std::size_t i = size_ / arity + 1; i-- > 0;) {
        if (i < size_) sift_down(i, entries_[i]);
    }
    publish();
    return dead;
}

// The dead lie behind the living for as long as it takes to swap the array for a fresh one: then their
// timers can be released without the lock.
void timer_heap::sweep() noexcept {
    std::size_t capacity = 0;
    {
        const lock_guard held(mu);
        if (dead_.load(memory_order_relaxed) < worth_a_sweep) return;
        dead_.store(0, memory_order_relaxed);
        capacity = capacity_;
    }
    deadline* fresh = allocate(capacity);
    if (fresh == nullptr) return;  // there is time
    deadline* old = nullptr;
    std::size_t alive = 0;
    std::size_t dead = 0;
    {
        const lock_guard held(mu);
        if (capacity_ == capacity) {
            dead = partition_dead();
            alive = size_;
            if (alive != 0) std::memcpy(fresh, entries_, alive * sizeof(deadline));
            old = entries_;
            entries_ = fresh;
            fresh = nullptr;
        }
    }
    for (std::size_t i = 0; i < dead; ++i) release_entry(old[alive + i].timer());
    deallocate(old);
    deallocate(fresh);
}

}  // namespace vole::detail
