// A segment: one stretch of stack, with its header at its top end.
//
// A goroutine's stack is a list of segments, oldest first; most have one. G::stack is the one in
// use. The frames of a newer segment were called from the older one's lowest frame:
//
//      first segment (hi)                  newer (hi)
//      +--------------------+              +--------------------+
//      | header  next ------+------------> | header  prev ...   |
//      | goexit's exception |              | copied arguments   |
//      | frames             |              | frames             |
//      | __morestack's  <---+-- entry_sp   |   (sp is here)     |
//      | guard - - - - - -  |              | guard - - - - - -  |
//      | red zone           |              | red zone           |
//      | guard pages        |              | guard pages        |
//      +--------------------+ (lo)         +--------------------+
//
// `guard` is what instrumented code compares with; the red zone below it is for callees that are
// not instrumented. Kinds of segments by size: the small ones (2 to 32 KiB) have a red zone that is
// enough for the runtime's own operations, so their foreign callees borrow a 64 KiB segment; all
// others have 16 KiB of red zone, which covers nearly all library code, and guard pages.
//
// Who may touch a header: the goroutine while it runs (its M, by assembly), whoever owns the free
// list it is in, and sysmon with the world stopped.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/arch/offsets.hpp>

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

struct M;
struct P;
struct dynamic_block;
struct coroutine_core;

enum class segment_kind : std::uint8_t {
    kib2,
    kib4,
    kib8,
    kib16,
    kib32,   // up to here: slabs, no guard pages
    kib64,   // the one that is borrowed
    slot,    // 256 KiB of address space: a goroutine's own by default
    mapped,  // any size, a mapping of its own
};
inline constexpr std::size_t slab_kinds = 5;
inline constexpr std::size_t arena_kinds = 7;  // all but mapped
inline constexpr std::size_t kind_bytes[arena_kinds] = {2048,  4096,  8192,      16384,
                                                        32768, 65536, 256 * 1024};

struct alignas(64) stack_segment {
    stack_segment* prev;  // the older one; null for the first
    stack_segment* next;  // a newer one that is kept, or the next in a free list
    char* guard;          // instrumented code does not go below
    char* foreign_guard;  // lowest stack pointer that may call uninstrumented code
    char* lo;             // lowest address, guard pages included
    union {
        char* entry_sp;        // on prev: __morestack's frame
        coroutine_core* coro;  // of a first segment: whose it is; null: a goroutine's
    };
    dynamic_block* dynamic;  // blocks that stand in for variable-length arrays
    std::uint32_t bytes;     // lo to the end
    segment_kind kind;
    std::uint8_t flags;    // VOLE_SEG_...
    std::uint16_t copies;  // of policy copying: how often this stack has moved

    char* hi() noexcept { return reinterpret_cast<char*>(this); }
    const char* hi() const noexcept { return reinterpret_cast<const char*>(this); }
    char* end() const noexcept { return lo + bytes; }
    bool contains(const void* p) const noexcept { return p >= lo && p < lo + bytes; }
};
static_assert(sizeof(stack_segment) == VOLE_SEG_BYTES_OF_HEADER);

inline constexpr std::size_t red_zone_bytes = 16 * 1024;
inline constexpr std::size_t guard_bytes = 16 * 1024;  // guard pages of slots and mappings
inline constexpr std::size_t spare_guard_bytes = 4 * 1024;
// What the runtime's own parking operations need below the guard of a small segment: tests sweep
// every one of them over every depth with canaries underneath.
#if defined(NDEBUG) && defined(__OPTIMIZE__)
inline constexpr std::size_t small_red_zone_bytes = 832;
#else
inline constexpr std::size_t small_red_zone_bytes = 960;
#endif
// TSan's functions, which it calls from everywhere, need more than that: under TSan there are no small
// segments, and who asks for one gets a mapping.
#if defined(VOLE_TSAN)
inline constexpr bool has_small_segments = false;
#else
inline constexpr bool has_small_segments = true;
#endif
inline constexpr std::size_t goexit_bytes = 64;  // below the header of a first segment

/// A stack may grow to this, all segments together.
inline constexpr std::size_t stack_limit = std::size_t{1} << 30;

inline constexpr std::size_t slot_bytes = kind_bytes[6];
inline constexpr std::uint64_t canary_word = 0x766f6c652d677264;  // lowest word above the guard

inline bool is_small(segment_kind k) noexcept { return k <= segment_kind::kib32; }
/// The smallest arena kind with at least `bytes`, up to kib64.
segment_kind kind_for(std::size_t bytes) noexcept;

/// Writes a header at the top of [lo, lo + bytes), and the canary of a slot without guard pages.
stack_segment* make_segment(char* lo, std::size_t bytes, segment_kind kind) noexcept;

/// Memory for a segment; null when there is none. Any stack; takes the arena's lock.
char* take_memory(P* p, segment_kind kind) noexcept;
void give_memory(P* p, char* lo, segment_kind kind) noexcept;
char* map_memory(std::size_t bytes) noexcept;
void unmap_memory(char* lo, std::size_t bytes) noexcept;
/// The same for what nobody may have again: never kept.
void unmap_for_good(char* lo, std::size_t bytes) noexcept;

void drain_stack_caches(P* p) noexcept;

/// Gives a segment that nobody runs on back to where it came from.
void free_segment(P* p, stack_segment* s) noexcept;
/// Frees newer segments that were kept behind s.
void free_newer_segments(P* p, stack_segment* s) noexcept;
/// And the blocks of dynamic size.
void free_newer(P* p, stack_segment* s) noexcept;

/// Puts more 64 KiB segments into the M's list. False: no memory.
bool refill_spare(M* m) noexcept;
/// g0: gives all but `keep` of them away.
void trim_spare(M* m, std::uint32_t keep) noexcept;

/// Pages of stacks that were not needed go back to the system. sysmon. False: nothing left.
bool trim_stacks() noexcept;

struct stack_totals {
    std::uint64_t slots, slots_in_use, bytes_reserved, bytes_in_use;
};
stack_totals read_stack_totals() noexcept;
/// False: no guard pages could be had, and canaries stand in, in the lowest word of a slot.
bool stacks_have_guards() noexcept;
inline std::uint64_t* canary_of(const stack_segment* s) noexcept {
    return reinterpret_cast<std::uint64_t*>(s->lo + guard_bytes);
}
inline bool canary_is_intact(const stack_segment* s) noexcept {
    return (s->flags & VOLE_SEG_CANARY) == 0 || *canary_of(s) == canary_word;
}
/// Promises slots for that many goroutines of the default policy. False: no memory.
bool promise_slots(std::uint64_t slots) noexcept;

}  // namespace vole::detail
