// What a sync_map holds: a key, its value, and the link that says whether they count.
//
// Values that are words (trivially copyable, eight bytes at most: numbers, pointers, indices) lie right before the link's
// `next` and change in place, together with it, as one pair of words: so a value changes only while its entry is live, and
// who takes the entry out knows which value was its last. Once it is dead, neither word changes any more. A new
// value costs no memory then, and nothing that grace would have to keep.
//
// All others never change: a new value is a new entry in the place of the old one.
//
// Who reads a word, and finds its link live before or after that, has seen the value of a moment in between at which
// the entry was live: what does not change after the death is what was there until the death.
//
// Stack: any, also a small one. Locks: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <vole/atomic_pair.hpp>
#include <vole/config.hpp>
#include <vole/detail/map_core.hpp>

namespace vole::inline v0::detail {

template <class V>
inline constexpr bool changes_in_place = std::is_trivially_copyable_v<V> &&
                                         sizeof(V) <= sizeof(std::uint64_t);

struct map_word {
    atomic<std::uint64_t> word{0};
};

/// Both kinds have look(), which says what the value is now; value_of() what has been seen, as V or by reference;
/// and end(), which makes the entry dead if it is still what was seen of it.
template <class K, class V>
struct alignas(16) word_entry : map_word, map_entry {
    template <class Key>
    word_entry(Key&& k, const V& v) : key(std::forward<Key>(k)) {
        word.store(to_word(v), memory_order_relaxed);
    }

    /// acquire: pairs with set() of whoever stored it.
    std::uint64_t look() const noexcept { return word.load(memory_order_acquire); }
    static V value_of(std::uint64_t seen) noexcept { return from_word<V>(seen); }

    /// False: one of the two words has changed.
    bool set(std::uint64_t seen, std::uintptr_t seen_next, const V& to) noexcept {
        return change(seen, seen_next, to_word(to), seen_next);
    }
    bool end(std::uint64_t seen, std::uintptr_t seen_next) noexcept {
        return change(seen, seen_next, seen, seen_next | 1);
    }

    const K key;

  private:
    bool change(std::uint64_t seen, std::uintptr_t seen_next, std::uint64_t to,
                std::uintptr_t to_next) noexcept {
        std::uint64_t expected[2] = {seen, seen_next};
#if defined(VOLE_TSAN)
        // It does not see what assembly does.
        __tsan_release(&word);
        __tsan_release(&next);
#endif
        return vole_exchange_pair(&word, expected, to, to_next) != 0;
    }
};

template <class K, class V>
struct fixed_entry : map_entry {
    template <class Key>
    fixed_entry(Key&& k, V&& v) : key(std::forward<Key>(k)), value(std::move(v)) {}

    const V* look() const noexcept { return std::addressof(value); }
    static const V& value_of(const V* seen) noexcept { return *seen; }

    bool end(const V*, std::uintptr_t seen_next) noexcept {
        // release: who finds it dead is behind whatever its end followed.
        return next.compare_exchange_strong(seen_next, seen_next | 1, memory_order_acq_rel,
                                            memory_order_relaxed);
    }

    const K key;
    const V value;
};

template <class K, class V>
using map_entry_of = std::conditional_t<changes_in_place<V>, word_entry<K, V>, fixed_entry<K, V>>;

using any_word_entry = word_entry<char, char>;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"  // of a base: both compilers know it
static_assert(offsetof(any_word_entry, word) == 0 && offsetof(any_word_entry, next) == 8);
#pragma GCC diagnostic pop

}  // namespace vole::inline v0::detail
