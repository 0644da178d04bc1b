// Which bubble the caller belongs to (<vole/synctest.hpp>), at the price of a branch where there are none.
#pragma once

#include <cstdint>

#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

/// How many bubbles there are.
extern atomic<std::uint32_t> bubbles;

std::uint32_t find_bubble_id() noexcept;

/// 0: none.
inline std::uint32_t current_bubble_id() noexcept {
    // relaxed: who is in a bubble has seen it begin.
    if (bubbles.load(memory_order_relaxed) == 0) [[likely]]
        return 0;
    return find_bubble_id();
}

}  // namespace vole::detail
