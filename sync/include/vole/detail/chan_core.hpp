// The type-free heart of channels: what the templates of <vole/chan.hpp> and <vole/select.hpp>
// call. Elements are plain bytes here.
//
// How a T becomes bytes: trivially copyable elements are their own bytes, copied under the channel's
// lock. Any other T travels in a box, a heap node whose address is the element: T's constructors
// and destructors run outside all locks, so they may throw, block, or use the same channel.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/detail/atomic.hpp>
#include <vole/detail/object_cache.hpp>

namespace vole::inline v0::detail {

/// The reference count is public, so that handles copy without a call.
struct chan_core {
    atomic<std::uint32_t> refs{1};
};

/// Links boxes that are given back to a channel.
struct box_base : cached_object {
    box_base* next = nullptr;
};

enum class try_status : std::uint8_t { done, not_ready, closed };

/// Throws runtime_error "makechan: size out of range", std::bad_alloc.
chan_core* chan_make(std::size_t elem_size, std::size_t elem_align, std::size_t capacity);
/// After the last reference is gone and the buffer is drained.
void chan_free(chan_core* c) noexcept;
/// For draining a channel nobody else refers to.
bool chan_take_left(chan_core* c, void* out) noexcept;

// A null c is the nil channel. send and close throw runtime_error as the language says.
void chan_send(chan_core* c, const void* elem);
bool chan_recv(chan_core* c, void* out);  // false: closed and drained
try_status chan_try_send(chan_core* c, const void* elem);
try_status chan_try_recv(chan_core* c, void* out) noexcept;
void chan_close(chan_core* c);
std::size_t chan_len(const chan_core* c) noexcept;
std::size_t chan_cap(const chan_core* c) noexcept;
/// Throws "send on closed channel" if c is closed now: before an element is moved from.
void chan_check_open(const chan_core* c);
/// Whether a send could not go ahead now; a snapshot.
bool chan_send_would_block(const chan_core* c) noexcept;
/// A boxed element that its receiver could not move out: the next receive gets it.
void chan_put_back(chan_core* c, box_base* box) noexcept;

// ---- select -----------------------------------------------------------------------------------

struct select_case {
    chan_core* c = nullptr;  // null: never ready
    void* elem = nullptr;    // to send from, or to receive into
    bool send = false;
    bool ok = false;  // out, receive: a value, not "closed"
};

inline constexpr std::size_t select_waiter_bytes = 80;
struct alignas(8) select_waiter {
    std::byte bytes[select_waiter_bytes];
};

inline constexpr std::size_t select_default = ~std::size_t{0};

/// Carries out one of n cases and gives its index, or select_default. The three arrays are scratch
/// space for n entries. Throws "send on closed channel".
std::size_t chan_select(select_case* cases, std::size_t n, bool has_default, select_waiter* waiters,
                        std::uint32_t* poll_order, std::uint32_t* lock_order);

}  // namespace vole::detail
