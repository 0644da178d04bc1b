// The part of <vole/detail/object_cache.hpp> that lies in a P.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/detail/atomic.hpp>
#include <vole/detail/object_cache.hpp>

namespace vole::inline v0::detail {

struct P;

// Sizes of classes: 24, 40, 56 ... glibc's malloc gives what is 8 above a multiple of 16 without waste.
inline constexpr std::size_t object_step = 16;
inline constexpr std::size_t object_slack = 8;
inline constexpr std::size_t object_classes = most_cached_bytes / object_step;

/// Free objects of one class. Touched by the P's owner only; others read the count.
struct object_magazine {
    static constexpr std::uint32_t limit = 32;
    atomic<std::uint32_t> count{0};  // relaxed
    void* objects[limit];

    std::uint32_t size() const noexcept { return count.load(memory_order_relaxed); }
    void* pop() noexcept {
        const std::uint32_t left = size() - 1;
        count.store(left, memory_order_relaxed);
        return objects[left];
    }
    void push(void* object) noexcept {
        const std::uint32_t n = size();
        objects[n] = object;
        count.store(n + 1, memory_order_relaxed);
    }
};

/// g0, by the P's owner or with the world stopped: gives all of them away.
void drain_objects(P* p) noexcept;
std::uint64_t objects_taken_without_p() noexcept;
/// What caches and depot hold. Any stack; a guess while others take and give.
std::uint64_t object_cache_bytes() noexcept;

}  // namespace vole::detail
