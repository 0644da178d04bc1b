// In the place of the runtime's own: a lock of the model.
#pragma once

#include <cstdint>

#include "runtime/internal/thread_safety.hpp"
#include "test/explore/weak/blocking.hpp"

namespace vole::inline v0::detail {

enum class lock_rank : std::uint8_t { none, sema, timer, chan, poll, timer_heap, sched, gslab };

class VOLE_CAPABILITY("lock") lock {
  public:
    explicit constexpr lock(lock_rank) noexcept {}
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;
    void acquire() noexcept VOLE_ACQUIRE() { weak_memory::lock(this); }
    bool try_acquire() noexcept VOLE_TRY_ACQUIRE(true) { return weak_memory::try_lock(this); }
    void release() noexcept VOLE_RELEASE() { weak_memory::unlock(this); }

  private:
    [[maybe_unused]] char unused_ = 0;
};

class VOLE_SCOPED_CAPABILITY lock_guard {
  public:
    explicit lock_guard(lock& l) noexcept VOLE_ACQUIRE(l) : l_(l) { l_.acquire(); }
    ~lock_guard() VOLE_RELEASE() { l_.release(); }
    lock_guard(const lock_guard&) = delete;
    lock_guard& operator=(const lock_guard&) = delete;

  private:
    lock& l_;
};

}  // namespace vole::detail
