// What tests may do with a rw_mutex that others may not.
#pragma once

#include <vole/rw_mutex.hpp>

#include "runtime/internal/membarrier.hpp"

namespace vole::inline v0::detail {

struct rw_mutex_probe {
    /// By one who holds it for reading: as after thousands of readers. Nothing happens if that cannot be now, or if the
    /// kernel has no membarrier.
    static void spread(rw_mutex& m) noexcept {
        if (can_fence_all_threads() && m.make_slots()) m.spread_to_all();
    }
    /// The same, to the caller's P alone.
    static void spread_at_home(rw_mutex& m) noexcept {
        if (can_fence_all_threads() && m.make_slots()) m.spread_at_home();
    }
    static bool is_spread(const rw_mutex& m) noexcept {
        return (m.state_.load(memory_order_relaxed) & rw_mutex::spread) != 0;
    }
    static bool has_home(const rw_mutex& m) noexcept {
        return (m.state_.load(memory_order_relaxed) & rw_mutex::homed) != 0;
    }
    /// Nobody has it, waits, or is expected.
    static bool is_free(const rw_mutex& m) noexcept {
        return m.state_.load(memory_order_relaxed) == 0 && m.admitted_ == 0 && m.leaving_ == 0;
    }
    static constexpr std::uint64_t after = rw_mutex::spread_after;
    static constexpr std::uint64_t look = rw_mutex::look_after;
};

}  // namespace vole::inline v0::detail

namespace vole::test {

/// The lock is free. Afterwards readers are counted on each P, if that is possible here.
inline void spread_readers(rw_mutex& m) {
    m.lock_shared();
    detail::rw_mutex_probe::spread(m);
    m.unlock_shared();
}
/// Those of the caller's P are.
inline void home_readers(rw_mutex& m) {
    m.lock_shared();
    detail::rw_mutex_probe::spread_at_home(m);
    m.unlock_shared();
}

}  // namespace vole::test
