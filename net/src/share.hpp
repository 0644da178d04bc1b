// How much time each of several addresses gets. Apart, so that tests need not wait for seconds.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <vole/time.hpp>

namespace vole::inline v0::detail {

inline constexpr clock::duration least_share = std::chrono::seconds(2);

/// For the first of n addresses, of what is left for all of them: an equal part, but not less than is sensible.
constexpr clock::duration share_of(clock::duration left, std::size_t n) noexcept {
    return std::max(left / static_cast<std::int64_t>(n), std::min(left, least_share));
}

}  // namespace vole::detail
