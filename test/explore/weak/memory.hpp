// What C++ memory orders allow beyond one order of all operations: stale loads and stores that others see late. Each atomic is
// the list of all values it ever had; each thread has a view, which of them it must have seen; a load may give any that is
// not older than that, and which one is the explorer's decision. Threads are goroutines of an explored bubble.
//
//   view          for each atomic the oldest value that may still be read
//   message       a value, and the view of who stored it with release (else of its last release fence)
//   acquire load  takes over the view of the message; a relaxed one does so at the next acquire fence
//   seq_cst       a fence, or an operation: exchanges its view with one that all seq_cst operations share
//   fence_all     membarrier: as if each thread had passed a seq_cst fence
//   plain         memory that is no atomic: to read or write it without having seen the last write is a race, and fails
//
// Limits. A store is put behind all others of its atomic at once (the standard lets two unordered ones be seen in another
// order than they were made), and loads are not made before stores that come earlier in their thread (which no compiler or processor does to atomics that
// depend on each other): so what is found can happen, but not all that can is found. seq_cst operations are taken as
// fences with their operation, which is a little more than the standard promises, and what x86 and ARMv8 do. A thread does not read the
// same stale value of an atomic more than twice in a row: values arrive.
//
// Not in namespace vole: units under test are compiled with that one's inner name changed (units.hpp).
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace weak_memory {

using word = std::uint64_t;
using order = std::memory_order;

/// What is changed to see whether a unit needs it. All are relaxed, or left out, everywhere.
enum class without { nothing, release, acquire, sequential, fence_all };

/// One schedule's memory. One at a time; made and destroyed by the bubble's main goroutine.
class world {
  public:
    explicit world(without what);
    ~world();
    world(const world&) = delete;
    world& operator=(const world&) = delete;
    /// The caller has seen everything: it has waited for all threads but those of spawn(), which this waits for.
    void join_all();
    /// A goroutine that is started sees what its parent has seen.
    static word view_for_child();
    static void begin_child(word from);
};

/// Something else may have been there before.
void begin_cell(const void* cell) noexcept;
word load(const void* cell, word initial, order o);
void store(void* cell, word initial, word value, order o);
word exchange(void* cell, word initial, word value, order o);
bool compare_exchange(void* cell, word initial, word& expected, word desired, order success,
                      order failure);
/// f(old) is the new value.
word update(void* cell, word initial, word (*f)(word old, word by), word by, order o);
void fence(order o);
void fence_all();

/// Memory that is no atomic.
class plain {
  public:
    plain() noexcept { begin_cell(this); }
    plain(const plain&) = delete;
    plain& operator=(const plain&) = delete;
    void write(word value);
    word read() const;

  private:
    word race_checked(bool writes, word value) const;
    [[maybe_unused]] char cell_ = 0;  // its address is what counts
};

template <class T>
word to_word(T value) noexcept {
    word w = 0;
    std::memcpy(&w, &value, sizeof value);
    return w;
}
template <class T>
T from_word(word w) noexcept {
    T value;
    std::memcpy(static_cast<void*>(&value), &w, sizeof value);
    return value;
}

/// In the place of std::atomic.
template <class T>
class atomic {
    static_assert(sizeof(T) <= sizeof(word) && std::is_trivially_copyable_v<T>);

  public:
    constexpr atomic() noexcept : atomic(T()) {}
    constexpr atomic(T value) noexcept : initial_(value) {  // NOLINT: as std::atomic
        if (!std::is_constant_evaluated()) begin_cell(this);
    }
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;

    T load(order o) const noexcept {
        return weak_memory::from_word<T>(
            weak_memory::load(this, weak_memory::to_word(initial_), o));
    }
    void store(T value, order o) noexcept {
        weak_memory::store(this, weak_memory::to_word(initial_), weak_memory::to_word(value), o);
    }
    T exchange(T value, order o) noexcept {
        return weak_memory::from_word<T>(weak_memory::exchange(this, weak_memory::to_word(initial_),
                                                               weak_memory::to_word(value), o));
    }
    bool compare_exchange_strong(T& expected, T desired, order success, order failure) noexcept {
        word seen = weak_memory::to_word(expected);
        const bool done =
            weak_memory::compare_exchange(this, weak_memory::to_word(initial_), seen,
                                          weak_memory::to_word(desired), success, failure);
        expected = weak_memory::from_word<T>(seen);
        return done;
    }
    bool compare_exchange_weak(T& expected, T desired, order success, order failure) noexcept {
        return compare_exchange_strong(expected, desired, success, failure);
    }
    T fetch_add(T by, order o) noexcept requires std::is_integral_v<T> {
        return updated(by, o, [](word old, word n) {
            return weak_memory::to_word(
                static_cast<T>(weak_memory::from_word<T>(old) + weak_memory::from_word<T>(n)));
        });
    }
    T fetch_sub(T by, order o) noexcept requires std::is_integral_v<T> {
        return updated(by, o, [](word old, word n) {
            return weak_memory::to_word(
                static_cast<T>(weak_memory::from_word<T>(old) - weak_memory::from_word<T>(n)));
        });
    }
    T fetch_or(T by, order o) noexcept requires std::is_integral_v<T> {
        return updated(by, o, [](word old, word n) { return old | n; });
    }
    T fetch_and(T by, order o) noexcept requires std::is_integral_v<T> {
        return updated(by, o, [](word old, word n) { return old & n; });
    }
    T fetch_xor(T by, order o) noexcept requires std::is_integral_v<T> {
        return updated(by, o, [](word old, word n) { return old ^ n; });
    }

  private:
    T updated(T by, order o, word (*f)(word, word)) noexcept {
        return weak_memory::from_word<T>(weak_memory::update(this, weak_memory::to_word(initial_),
                                                             f, weak_memory::to_word(by), o));
    }
    T initial_;
};

}  // namespace weak_memory
