// Grace: memory that others may still be reading is given back when the last of them is out.
//
// A *section* is a stretch in which its goroutine or thread may hold pointers to what it found. Whoever takes
// something out of reach hands it in at the end of its own section, and gets back what nobody can hold any
// more: to be destroyed by the caller, with nothing held. How it works, and why: sync/src/grace.cpp.
#pragma once

#include <cstdint>

#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>
#include <vole/detail/proc_slots.hpp>

namespace vole::inline v0::detail {

/// What can be handed in.
struct retired {
    retired* next_retired = nullptr;
};

/// A chain of them, joined to others in constant time.
struct retired_chain {
    retired* first = nullptr;
    retired* last = nullptr;
    std::uint32_t size = 0;

    bool empty() const noexcept { return first == nullptr; }
    void push(retired* r) noexcept {
        r->next_retired = first;
        first = r;
        if (last == nullptr) last = r;
        ++size;
    }
    /// There must be one.
    retired* pop() noexcept {
        retired* r = first;
        first = r->next_retired;
        if (first == nullptr) last = nullptr;
        --size;
        return r;
    }
    void append(retired_chain& other) noexcept {
        if (other.empty()) return;
        other.last->next_retired = first;
        first = other.first;
        if (last == nullptr) last = other.last;
        size += other.size;
        other = {};
    }
};

class grace {
  public:
    /// Prompt: what is handed in comes back as soon as no section is left that could know of it. Else some
    /// hundred are kept for each P: for what has no destructor that anybody could miss.
    explicit constexpr grace(bool prompt) noexcept : prompt_(prompt) {}
    /// No section is left, and take_all() has been called.
    ~grace();
    grace(const grace&) = delete;
    grace& operator=(const grace&) = delete;

    /// Sections nest, last for any time, and may be left on another thread. Any stack; may not wait, but for what others
    /// do in some nanoseconds. Gives what leave() wants back.
    unsigned enter() noexcept;
    /// `given` was put out of reach, and `added` things were put within (or taken out) in the section. What comes back
    /// is the caller's to destroy.
    [[nodiscard]] retired* leave(unsigned turn, retired_chain& given, std::int64_t added) noexcept;
    [[nodiscard]] retired* leave(unsigned turn) noexcept;

    /// The sum of all `added`: exact if nobody else is about.
    std::int64_t count() const noexcept;
    /// No section is left.
    retired* take_all() noexcept;

  private:
    struct slot;

    unsigned enter_slow() noexcept;
    bool leave_here(slot* here, unsigned turn) noexcept;
    bool concerns(unsigned turn) const noexcept;
    bool is_out(unsigned turn) const noexcept;
    bool guard_sections() noexcept;
    void advance(retired_chain& free) noexcept;
    retired_chain settle(retired_chain& given) noexcept;
    static void trade(slot& here, retired_chain& given, retired_chain& free) noexcept;
    bool put_by(retired_chain& free) noexcept;
    void ease() noexcept;

    // Read by everybody at each section, written seldom. The bits: grace.cpp.
    alignas(64) atomic<std::uint32_t> mode_{2};
    bool prompt_;
    proc_slots slots_;

    // Of those without a P. By read-modify-writes.
    alignas(64) atomic<std::uint64_t> in_[2] = {};
    atomic<std::uint64_t> out_[2] = {};
    atomic<std::int64_t> count_{0};

    // Under the lock.
    retired_chain waiting_;   // handed in since the last turn
    retired_chain draining_;  // before it
};

}  // namespace vole::inline v0::detail
