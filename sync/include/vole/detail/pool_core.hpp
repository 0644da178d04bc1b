// A pool without knowing what is in it: pointers, and how they are destroyed. See sync/src/pool.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>
#include <vole/detail/proc_slots.hpp>

namespace vole::inline v0::detail {

class pool_core {
  public:
    using destroyer = void (*)(void*) noexcept;

    constexpr pool_core() noexcept = default;
    /// Emptied before, by clear().
    ~pool_core();
    pool_core(const pool_core&) = delete;
    pool_core& operator=(const pool_core&) = delete;

    /// Null: there is nothing.
    void* get() noexcept;
    /// False: there is no memory to keep it.
    bool put(void* item) noexcept;
    void shrink(destroyer destroy) noexcept;
    /// Nobody else uses the pool.
    void clear(destroyer destroy) noexcept;

  private:
    struct ring;
    struct shard;
    struct aged;
    class turn;

    enum : std::uint32_t { mode_unknown, mode_plain, mode_fenced, mode_shrinking };

    template <class F>
    void each_shard(F f) const noexcept;
    void* get_behind() noexcept;
    bool put_behind(void* item) noexcept;
    void prepare() noexcept;
    void begin(shard& s) noexcept;
    void begin_slow(shard& s) noexcept;
    void find_out() noexcept;
    void* steal() noexcept;
    void* take_aged() noexcept;
    void collect(aged& to) noexcept;

    atomic<std::uint32_t> mode_{mode_unknown};
    atomic<bool> has_aged_{false};
    aged* aged_ = nullptr;  // under the lock
    proc_slots slots_;
    atomic<shard*> shared_{nullptr};  // of those without a P
};

}  // namespace vole::inline v0::detail
