// A slot for each P, by its index: made when a goroutine first comes with that P, never moved, gone with the
// object that it belongs to. So the number of Ps may change at any time: a P that is gone leaves its slot
// behind, to be found by for_each_slot(), and one that comes back finds it again (SYNC-65).
//
// Who has the P is the only one that writes its slot, as long as it is inside the runtime: each P is handed
// over with release and acquire, so that plain loads and stores do where others would need a
// read-modify-write. What others may read of it is atomic all the same.
//
// Slot types are aligned to a cache line, valid when value-initialised, and have trivial destructors.
//
// Locks: none. Stack: any.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>

#include <vole/detail/proc_slots.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

inline constexpr std::uint32_t first_chunk_slots = 4;

/// Where the slot of a P is.
struct proc_place {
    unsigned chunk;
    std::uint32_t at;     // in that chunk
    std::uint32_t slots;  // that it has

    explicit constexpr proc_place(std::uint32_t proc) noexcept
        : chunk(0), at(proc), slots(first_chunk_slots) {
        if (proc < first_chunk_slots) return;
        slots = std::bit_floor(proc);
        at = proc - slots;
        chunk = static_cast<unsigned>(std::bit_width(slots / first_chunk_slots));
    }
};
static_assert(proc_place(4095).chunk + 1 == proc_slots::chunks);

/// Null: not made yet, or `proc` is no_proc. Inside the runtime.
template <class Slot>
[[gnu::always_inline]] inline Slot* slot_of(const proc_slots& s, std::uint32_t proc) noexcept {
    if (proc == no_proc) return nullptr;
    const proc_place place(proc);
    // acquire: pairs with the compare-and-swap that made it.
    auto* first = static_cast<Slot*>(s.chunk[place.chunk].load(memory_order_acquire));
    return first != nullptr ? first + place.at : nullptr;
}

/// Makes the slot of the P that the caller has. Without memory, or a P, it does not. Outside the runtime.
template <class Slot>
void make_slot(proc_slots& s) noexcept {
    static_assert(std::is_trivially_destructible_v<Slot> && alignof(Slot) <= 64);
    std::uint32_t proc = no_proc;
    {
        const runtime_pin pin;
        proc = current_proc();
    }
    if (proc == no_proc || slot_of<Slot>(s, proc) != nullptr) return;
    const proc_place place(proc);
    void* memory = nullptr;
    deep([&] { memory = os::aligned_alloc(64, place.slots * sizeof(Slot)); });
    if (memory == nullptr) return;
    auto* first = static_cast<Slot*>(memory);
    for (std::uint32_t i = 0; i < place.slots; ++i) ::new (static_cast<void*>(first + i)) Slot();
    // First the bit: who sees the chunk, and counts in its slot, is found by whoever looks at the bits.
    s.begun.fetch_or(std::uint32_t{1} << place.chunk, memory_order_seq_cst);
    void* none = nullptr;
    // acq_rel: who finds the chunk finds its slots.
    if (!s.chunk[place.chunk].compare_exchange_strong(none, memory, memory_order_acq_rel,
                                                      memory_order_relaxed)) {
        deep([&] { std::free(memory); });
    }
}

/// f(slot) for each that there is, also those of Ps that are gone.
template <class Slot, class F>
void for_each_slot(const proc_slots& s, F f) {
    for (std::uint32_t left = s.begun.load(memory_order_acquire); left != 0; left &= left - 1) {
        const auto k = static_cast<unsigned>(std::countr_zero(left));
        auto* first = static_cast<Slot*>(s.chunk[k].load(memory_order_acquire));
        if (first == nullptr) continue;
        const std::uint32_t n = first_chunk_slots << (k == 0 ? 0 : k - 1);
        for (std::uint32_t i = 0; i < n; ++i) f(first[i]);
    }
}

inline void free_slots(proc_slots& s) noexcept {
    for (auto& chunk : s.chunk) {
        deep([&] { std::free(chunk.exchange(nullptr, memory_order_relaxed)); });
    }
}

}  // namespace vole::inline v0::detail
