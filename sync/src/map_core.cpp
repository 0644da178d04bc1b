// See map_core.hpp.
#include <vole/detail/map_core.hpp>

#include <cstddef>
#include <cstdlib>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

map_core::place map_core::seek(map_link* from, std::uint64_t order, retired_chain& out) noexcept {
    for (;;) {
        place p{from, link_in(from->next.load(memory_order_acquire)), 0};
        while (p.at != nullptr && p.at->order < order) {
            const std::uintptr_t next = p.at->next.load(memory_order_acquire);
            if (!is_dead(next)) {
                p.before = p.at;
                ++p.steps;
            } else if (!unlink(p.before, p.at, next, out)) {
                break;
            }
            p.at = link_in(next);
        }
        if (p.at == nullptr || p.at->order >= order) return p;
    }
}

// Bucket t is not in the list. One of those who ask for it puts it in; the others take the one before meanwhile,
// from where the way is longer.
map_link* map_core::put_in(std::uint64_t t, unsigned bits, retired_chain& out) noexcept {
    map_link* from = &root_;
    for (std::uint64_t before = t & (t - 1); before != 0; before &= before - 1) {
        bucket* b = at(before, bits);
        if (b->state.load(memory_order_acquire) != in_list) continue;
        from = b;
        break;
    }
    bucket* b = at(t, bits);
    std::uint32_t expected = absent;
    if (!b->state.compare_exchange_strong(expected, being_put, memory_order_acquire,
                                          memory_order_relaxed)) {
        return from;
    }
    b->order = t << (64 - bits);
    for (;;) {
        const place p = seek(from, b->order, out);
        b->next.store(next_word(p.at), memory_order_relaxed);
        std::uintptr_t next = next_word(p.at);
        // release: who finds it in the list finds its order.
        if (p.before->next.compare_exchange_strong(next, next_word(b), memory_order_acq_rel,
                                                   memory_order_relaxed)) {
            break;
        }
    }
    b->state.store(in_list, memory_order_release);
    return b;
}

void map_core::grow_for(std::int64_t entries) noexcept {
    unsigned bits = bits_.load(memory_order_acquire);
    if (bits == most_bits || entries <= std::int64_t{1} << bits) return;
    const unsigned more = bits == 0 ? first_bits : bits + 1;
    for (unsigned level = bits + 1; level <= more; ++level) {
        if (levels_[level].load(memory_order_acquire) != nullptr) continue;
        // Zeros are what a new bucket consists of; large levels come as untouched pages.
        static_assert(absent == 0);
        void* memory = nullptr;
        deep([&] { memory = os::calloc(std::size_t{1} << (level - 1), sizeof(bucket)); });
        if (memory == nullptr) return;
        bucket* none = nullptr;
        if (!levels_[level].compare_exchange_strong(none, static_cast<bucket*>(memory),
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            deep([&] { std::free(memory); });
        }
    }
    // release: who sees so many bits finds the levels.
    bits_.compare_exchange_strong(bits, more, memory_order_acq_rel, memory_order_relaxed);
}

map_core::~map_core() {
    for (auto& level : levels_) {
        deep([&] { std::free(level.load(memory_order_relaxed)); });
    }
}

}  // namespace vole::inline v0::detail
