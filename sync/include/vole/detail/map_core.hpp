// What sync_map knows without knowing keys and values: one list, sorted, and ways into it.
//
// All entries are in a single list, in the order of their hashes ("order" below). A table of *buckets* leads into the
// list: bucket number t of 2^b is a link of the list itself, which stands before all entries whose
// order begins with the b bits of t. To double the table is to add links in between, each when it is first
// asked for; no entry ever moves. So readers need no lock and know no resizing. (Split-ordered lists, by Shalev
// and Shavit; with the upper bits of the hash, no bits need to be reversed.)
//
// Where bucket t lies: with z zeros at the end of t, it is the (t >> (z + 1))th of level b - z, so it stays where it
// is when b grows. Level n has 2^(n-1) buckets; level 0 is the root, before everything. The nearest bucket before t
// that a smaller table has, too, is t with its lowest bit cleared: it serves until t is in the list.
//
// Dead links. Bit 0 of a link's `next` says that it is dead, and from then on `next` does not change. Whoever
// writes finds dead links on his way and takes them out: a compare-and-swap in the link before, which fails if that
// is dead itself. Who succeeds hands it in to the grace (grace.hpp). Everybody is in a section of that grace
// meanwhile, so a link that somebody is at stays what it is, and leads on to all that are behind it and live:
// what was its successor when it died has not gone, or has a `next` of its own.
//
// Stack: any, also a small one. Locks: none.
#pragma once

#include <bit>
#include <cstdint>

#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>
#include <vole/detail/grace.hpp>
#include <vole/detail/object_cache.hpp>

namespace vole::inline v0::detail {

struct map_link {
    atomic<std::uintptr_t> next{0};
    std::uint64_t order = 0;  // lowest bit: an entry, not a bucket
};

inline map_link* link_in(std::uintptr_t next) noexcept {
    return reinterpret_cast<map_link*>(next & ~std::uintptr_t{1});
}
inline bool is_dead(std::uintptr_t next) noexcept { return (next & 1) != 0; }
inline std::uintptr_t next_word(const map_link* to) noexcept {
    return reinterpret_cast<std::uintptr_t>(to);
}

/// What keys and values are added to.
struct map_entry : map_link, retired, cached_object {};

/// Never all ones, which is the end of everything.
constexpr std::uint64_t order_of_hash(std::uint64_t hash) noexcept {
    // std::hash of an integer is that integer: its upper bits must come from all of it.
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15;
    return (hash & ~std::uint64_t{2}) | 1;
}

class map_core {
  public:
    constexpr map_core() noexcept = default;
    ~map_core();
    map_core(const map_core&) = delete;
    map_core& operator=(const map_core&) = delete;

    /// The first link of all.
    map_link* root() noexcept { return &root_; }

    /// A live link before all entries of this order: as near as there is one. In a section.
    map_link* start(std::uint64_t order, retired_chain& out) noexcept {
        const unsigned bits = bits_.load(memory_order_acquire);
        const std::uint64_t t = bits == 0 ? 0 : order >> (64 - bits);
        if (t == 0) return &root_;
        bucket* b = at(t, bits);
        if (b->state.load(memory_order_acquire) == in_list) [[likely]]
            return b;
        return put_in(t, bits, out);
    }

    struct place {
        map_link* before;  // live when it was seen
        map_link* at;      // its next
        unsigned steps;
    };
    /// The first link from `from` on that is not of a smaller order, with no dead ones before it. In a section.
    static place seek(map_link* from, std::uint64_t order, retired_chain& out) noexcept;

    /// Takes a dead link out from behind `before`. False: something has changed there.
    static bool unlink(map_link* before, map_link* dead, std::uintptr_t next,
                       retired_chain& out) noexcept {
        std::uintptr_t expected = next_word(dead);
        // release: who comes by here finds what is behind complete.
        if (!before->next.compare_exchange_strong(expected, next & ~std::uintptr_t{1},
                                                  memory_order_acq_rel, memory_order_acquire)) {
            return false;
        }
        out.push(static_cast<map_entry*>(dead));
        return true;
    }

    /// More entries than buckets, perhaps: adds buckets. Without memory it does not. Outside the runtime.
    void grow_for(std::int64_t entries) noexcept;

  private:
    enum : std::uint32_t { absent, being_put, in_list };
    struct bucket : map_link {
        atomic<std::uint32_t> state{absent};
    };
    static constexpr unsigned first_bits = 4;
    static constexpr unsigned most_bits = 40;

    bucket* at(std::uint64_t t, unsigned bits) const noexcept {
        const auto zeros = static_cast<unsigned>(std::countr_zero(t));
        return levels_[bits - zeros].load(memory_order_acquire) + (t >> zeros >> 1);
    }
    map_link* put_in(std::uint64_t t, unsigned bits, retired_chain& out) noexcept;

    map_link root_;
    atomic<unsigned> bits_{0};
    atomic<bucket*> levels_[most_bits + 1] = {};
};

}  // namespace vole::inline v0::detail
