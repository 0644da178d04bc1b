// Two words that change together: for a pointer with a tag that counts its changes, a pair of indices, a
// 128-bit number. Lock-free on every processor that Vole knows, and without any compiler flag.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <vole/config.hpp>
#include <vole/detail/explore_point.hpp>

#if defined(VOLE_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

extern "C" {
// Assembly routines of the port; their contract: arch/include/vole/arch/pair.hpp.
void vole_load_pair(void* object, std::uint64_t* to) noexcept;
int vole_exchange_pair(void* object, std::uint64_t* expected, std::uint64_t first,
                       std::uint64_t second) noexcept;
}

namespace vole::inline v0 {

namespace detail {

/// What may be half of a pair. Halves are compared as the bytes that they are, so each value must have
/// but one form: no padding, no floating point.
template <class T>
concept word_like = std::is_trivially_copyable_v<T> &&
                    std::has_unique_object_representations_v<T> &&
                    sizeof(T) <= sizeof(std::uint64_t);

template <class T>
struct bytes_of {
    unsigned char bytes[sizeof(T)];
};

// Bytes that a half does not have are zero.
template <class T>
constexpr std::uint64_t to_word(const T& value) noexcept {
    if constexpr (std::is_pointer_v<T>) {
        // A constant pointer to something has no bits yet when the program is compiled; null has.
        return value == nullptr ? 0 : reinterpret_cast<std::uintptr_t>(value);
    } else {
        const auto from = std::bit_cast<bytes_of<T>>(value);
        bytes_of<std::uint64_t> to{};
        for (std::size_t i = 0; i < sizeof(T); ++i) to.bytes[i] = from.bytes[i];
        return std::bit_cast<std::uint64_t>(to);
    }
}

template <class T>
T from_word(std::uint64_t word) noexcept {
    const auto from = std::bit_cast<bytes_of<std::uint64_t>>(word);
    bytes_of<T> to;
    for (std::size_t i = 0; i < sizeof(T); ++i) to.bytes[i] = from.bytes[i];
    return std::bit_cast<T>(to);
}

}  // namespace detail

/// An atomic pair of values of up to eight bytes each. All operations are sequentially consistent and may
/// be used anywhere, also in signal handlers. Happens-before: an operation that writes -> each that sees what
/// it wrote; one that compares writes only if it returns true.
///
/// Values are compared as bytes (SYNC-76): types with padding, and floating point, are rejected. A pair must
/// lie in memory that can be written, whatever is done with it: some processors load by an exchange.
template <class A, class B>
class alignas(16) atomic_pair {
    static_assert(
        detail::word_like<A> && detail::word_like<B>,
        "vole::atomic_pair: halves are trivially copyable, at most 8 bytes, without padding: "
        "std::has_unique_object_representations_v");

  public:
    struct value_type {
        A first;
        B second;
        friend constexpr bool operator==(const value_type&, const value_type&) = default;
    };
    static constexpr bool is_always_lock_free = true;

    constexpr atomic_pair() noexcept : atomic_pair(A{}, B{}) {}
    constexpr atomic_pair(A first, B second) noexcept
        : words_{detail::to_word(first), detail::to_word(second)} {}
    constexpr explicit atomic_pair(value_type value) noexcept
        : atomic_pair(value.first, value.second) {}
    atomic_pair(const atomic_pair&) = delete;
    atomic_pair& operator=(const atomic_pair&) = delete;

    /// Both halves as they were at one moment.
    value_type load() const noexcept {
        detail::explore_point("load", this, detail::touch::reads);
        std::uint64_t seen[2];
        vole_load_pair(words_, seen);
#if defined(VOLE_TSAN)
        __tsan_acquire(words_);
#endif
        return value_of(seen);
    }

    void store(value_type desired) noexcept { (void)exchange(desired); }

    /// Gives what was there before.
    value_type exchange(value_type desired) noexcept {
        detail::explore_point("exchange", this);
        const std::uint64_t first = detail::to_word(desired.first);
        const std::uint64_t second = detail::to_word(desired.second);
        std::uint64_t seen[2];
        vole_load_pair(words_, seen);
        while (!try_exchange(seen, first, second)) {
        }
        return value_of(seen);
    }

    /// If both halves are as expected, they become the desired ones. Else `expected` becomes what they were
    /// at one moment. Never false without reason, so it needs no loop of its own.
    bool compare_exchange(value_type& expected, value_type desired) noexcept {
        detail::explore_point("compare_exchange", this);
        std::uint64_t seen[2] = {detail::to_word(expected.first), detail::to_word(expected.second)};
        if (try_exchange(seen, detail::to_word(desired.first), detail::to_word(desired.second))) {
            return true;
        }
        expected = value_of(seen);
        return false;
    }

  private:
    static value_type value_of(const std::uint64_t (&words)[2]) noexcept {
        return {detail::from_word<A>(words[0]), detail::from_word<B>(words[1])};
    }

    bool try_exchange(std::uint64_t (&expected)[2], std::uint64_t first,
                      std::uint64_t second) noexcept {
#if defined(VOLE_TSAN)
        // It does not see what assembly does. A failed exchange counts as a write, too: more order than there is.
        __tsan_release(words_);
        const bool done = vole_exchange_pair(words_, expected, first, second) != 0;
        __tsan_acquire(words_);
        return done;
#else
        return vole_exchange_pair(words_, expected, first, second) != 0;
#endif
    }

    // mutable: so that the compiler puts no constant pair into memory that is only read.
    mutable std::uint64_t words_[2];
};

/// 128 bits; `first` is the lower half.
using uint128 = atomic_pair<std::uint64_t, std::uint64_t>;

}  // namespace vole
