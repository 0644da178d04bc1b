// An arena: slots of one size, of address space whose pages arrive on first touch.
//
// It reserves regions of PROT_NONE address space and makes them accessible slot by slot range
// (contiguous, so the kernel keeps two mappings a region, however many slots). The lowest bytes of a
// slot may be a guard: MADV_GUARD_INSTALL where the kernel has it (no mapping each), else mprotect
// up to a budget of mappings, else none, and then a canary is checked when the goroutine ends.
//
// The promise that lets a G be made without a stack: `ensure(n)` has made n slots accessible, with
// n >= Gs + what all P caches can hold; so whoever needs a slot finds one in a cache or here.
//
// Freed slots keep their pages: giving one back at once costs a system call, an interrupt on every
// other core that runs this program (32 % of a tree of a million goroutines on two), and a page
// fault at the next use. sysmon trims instead: what nobody needed for an interval goes, half of it
// each time (MADV_DONTNEED, which keeps guards); of what stays, the pages that only a deep stack
// touches.
//
// Lock: `arena` (its own); system calls are made outside it, except mprotect in ensure, once per
// 256 slots. Stack: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/internal/lock.hpp"

namespace vole::inline v0::detail {

enum class guard_kind : std::uint8_t { madvise, mprotect, canary };

class stack_arena {
  public:
    constexpr stack_arena(std::size_t slot, std::size_t guard) noexcept
        : slot_bytes_(slot), guard_bytes_(guard), lock_(lock_rank::arena) {}

    /// Makes at least `slots` slots accessible in all. False: no memory or address space.
    bool ensure(std::uint64_t slots) noexcept VOLE_EXCLUDES(lock_);

    /// Makes some more accessible. False: no memory or address space.
    bool grow() noexcept VOLE_EXCLUDES(lock_);

    /// Up to n slots (their lowest addresses), at least one if ensure's promise holds.
    std::uint32_t take(char** out, std::uint32_t n) noexcept VOLE_EXCLUDES(lock_);
    void give(char* const* slots, std::uint32_t n) noexcept VOLE_EXCLUDES(lock_);

    /// sysmon, at intervals: gives pages of slots that were free all the time since the last call
    /// back to the system, half of them. False: there is nothing left to give back.
    bool trim() noexcept VOLE_EXCLUDES(lock_);

    /// A mapping of its own with the same guard, of any size. Null: no memory.
    char* map_custom(std::size_t bytes) noexcept;
    void unmap_custom(char* lo, std::size_t bytes) noexcept;

    guard_kind guards() const noexcept { return guards_.load(memory_order_relaxed); }
    std::size_t slot_size() const noexcept { return slot_bytes_; }
    std::uint64_t custom_bytes() const noexcept { return custom_.load(memory_order_relaxed); }
    std::uint64_t committed() const noexcept { return committed_.load(memory_order_relaxed); }
    std::uint64_t in_use() const noexcept { return in_use_.load(memory_order_relaxed); }
    std::uint64_t reserved_bytes() const noexcept { return reserved_.load(memory_order_relaxed); }

  private:
    struct region {
        char* base;
        std::uint32_t slots;      // in all
        std::uint32_t committed;  // accessible
        std::uint32_t fresh;      // handed out at least once
        std::uint32_t free;       // entries in free_slots, the last given at the end
        std::uint32_t cold;       // of these, the first ones: without pages
        std::uint32_t low;        // least `free` since the last trim
        std::uint32_t given;      // slots since then
        std::uint32_t* free_slots;
    };
    static constexpr std::uint32_t region_slots = 1u << 16;
    static constexpr std::uint32_t max_regions = 256;
    static constexpr std::uint32_t commit_slots = 256;
    static constexpr std::uint32_t hot_limit = 1024;  // warm slots a trim leaves
    static constexpr std::uint32_t mprotect_budget = 12'000;

    bool add_region() noexcept VOLE_REQUIRES(lock_);
    void install_guard(char* lo) noexcept;
    std::uint32_t take_free(region& r, char** out, std::uint32_t n, std::uint32_t keep) noexcept
        VOLE_REQUIRES(lock_);
    std::uint32_t take_warm(region& r, std::uint32_t* out, std::uint32_t n) noexcept
        VOLE_REQUIRES(lock_);
    void trim_idle(region& r) noexcept VOLE_EXCLUDES(lock_);
    void trim_deep(region& r) noexcept VOLE_EXCLUDES(lock_);
    void put_oldest(region& r, const std::uint32_t* slots, std::uint32_t n) noexcept
        VOLE_REQUIRES(lock_);

    const std::size_t slot_bytes_;
    const std::size_t guard_bytes_;
    lock lock_;
    atomic<guard_kind> guards_{guard_kind::madvise};
    atomic<std::uint64_t> committed_{0};
    atomic<std::uint64_t> in_use_{0};
    atomic<std::uint64_t> reserved_{0};
    atomic<std::uint64_t> custom_{0};
    atomic<std::uint32_t> mprotected_{0};
    std::uint32_t region_count_ VOLE_GUARDED_BY(lock_) = 0;
    region regions_[max_regions] VOLE_GUARDED_BY(lock_) = {};
};

}  // namespace vole::detail
