// Where a goroutine whose schedules are explored may have to let others go first: before each operation that others
// can tell apart (<vole/explore.hpp>). A load and a branch where nothing is explored.
#pragma once

#include <cstdint>

#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

/// How many explorations are under way.
extern atomic<std::uint32_t> explorations;

/// What an operation does with its object. Two that only read may change places.
enum class touch : std::uint8_t { reads, writes };

/// `what`: a literal, for people.
void explore_here(const char* what, const void* object, touch how) noexcept;

/// At the top of an operation, with no lock held, outside of the runtime. Goroutine or thread.
inline void explore_point(const char* what, const void* object,
                          touch how = touch::writes) noexcept {
    // relaxed: who is explored has seen it begin.
    if (explorations.load(memory_order_relaxed) != 0) [[unlikely]]
        explore_here(what, object, how);
}

/// What a wait is timed by that changes who is served first: real time, but virtual where chance must not decide.
std::int64_t explored_time() noexcept;

}  // namespace vole::detail
