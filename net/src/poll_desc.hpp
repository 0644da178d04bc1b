// One descriptor in the poller: who waits for it, until when, and whether it is about to be closed.
//
// For each direction a word, `waiter`, which is a binary semaphore:
//   nobody   nobody waits, and nothing has happened
//   ready    it has become ready, and nobody has used that yet
//   a G      it waits
// Operations try first, and wait when the kernel says EAGAIN:
//   prepare()     takes back `ready`, then
//   the system call: what becomes ready from now on sets `ready` again, so no edge is lost (NET-5);
//   wait_ready()  consumes `ready`, or parks. Being woken for nothing is harmless: the call is tried again.
// One operation of a direction at a time: fd_lock.hpp sees to that.
//
// Who parks against who says that it is over (closing, a deadline; both in `info`):
//   waiter: waiter = G, once it is parked (by compare-and-swap: `ready` keeps it from that); look at info, and if it is over
//           take the G out again
//   setter: info |= ...; look at waiter, and take the G out
// seq_cst, all four: one of the two sees the other, and one of them takes it. The poller takes it out by the same
// compare-and-swap, and need not look at info.
// test/model/poll_desc.pml tries all orders.
//
// Memory is never given back, but used again: `info` has a tag, which the kernel's event brings along, so that one that
// comes late for a descriptor that has been closed is not taken for another's (NET-8).
//
// Deadlines. `deadline` is what counts; an alarm that goes off looks at it. So that an older setting cannot overwrite a
// newer one in the alarm, who has set it looks again whether `settings` is still his.
//
// Lock: mu, rank poll. Stack: goroutine or thread, inside the runtime; on_event and expire: g0.
#pragma once

#include <cstdint>

#include "net/src/io_object.hpp"
#include "runtime/internal/g_list.hpp"
#include "runtime/internal/lock.hpp"

namespace vole::inline v0::detail {

struct io_event;
struct io_alarm;

enum class io_dir : std::uint8_t { read, write };
inline constexpr unsigned mask_of(io_dir d) noexcept {
    return d == io_dir::read ? dir_read : dir_write;
}

enum class io_status : std::uint8_t { ready, closed, timeout, not_pollable };

struct alignas(64) poll_desc {
    static constexpr std::int64_t none = 0;
    static constexpr std::int64_t passed = -1;

    // info: flags, and the tag above them.
    static constexpr std::uint32_t closing = 1;
    static constexpr std::uint32_t expired[2] = {2, 4};  // by direction
    static constexpr std::uint32_t scan_error = 8;
    static constexpr std::uint32_t uncertain = 16;  // see io_event
    static constexpr unsigned tag_shift = 16;

    atomic<std::uintptr_t> waiter[2];
    atomic<std::uint32_t> info{0};
    lock mu{lock_rank::poll};
    std::uint32_t settings[2] VOLE_GUARDED_BY(mu) = {};
    std::int64_t deadline[2] VOLE_GUARDED_BY(mu) = {};  // by timer_now(), or none or passed
    io_alarm* alarm_of[2] VOLE_GUARDED_BY(mu) = {};     // made with the first deadline
    poll_desc* next_free = nullptr;

    /// Whether a short read has shown that there is nothing more, as far as the poller knows.
    bool short_read_is_all() const noexcept {
        // acquire: pairs with on_event, which sets it before `ready`.
        return (info.load(memory_order_acquire) & uncertain) == 0;
    }
};

/// Registers fd. 0, or an errno. Throws what starting the runtime throws.
int open_poll_desc(int fd, poll_desc** out);
/// After evict, when nobody uses it; before fd is closed.
void close_poll_desc(poll_desc* d, int fd) noexcept;

/// Before a system call. ready: go on.
io_status prepare(poll_desc* d, io_dir dir) noexcept;
/// After one that gave EAGAIN. ready: try again.
io_status wait_ready(poll_desc* d, io_dir dir);
/// It is being closed: who waits, and who is about to, gets io_status::closed.
void evict(poll_desc* d) noexcept;
/// `when`: by timer_now(), none or passed; `directions`: dir_read, dir_write. Throws std::bad_alloc: then nothing has
/// happened, or the time is set, but may be noticed late only by the next operation.
void set_deadlines(poll_desc* d, unsigned directions, std::int64_t when);

/// Counted up before the kernel is told of one, and read after it has named some: what the memory model knows of the way
/// through the kernel. Without it, who gets the event would not be known to see what the one who made it has written.
extern atomic<std::uint32_t> descs_made;

/// What the poller's events call.
std::uint64_t token_of(const poll_desc* d) noexcept;
void prefetch_desc(const io_event& e) noexcept;
void prefetch_waiter(const io_event& e) noexcept;
/// Gives how many waits have ended.
std::uint32_t on_event(const io_event& e, g_list& runnable) noexcept;

}  // namespace vole::detail
