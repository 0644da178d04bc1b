// The kernel's side of the poller: what epoll and kqueue have in common, and a fake one for tests.
//
// Events are edges: one is reported when a direction becomes ready, and need not be again before it was seen not to be.
// So who waits tries first (poll_desc.hpp).
//
// Stack: any; the functions allocate nothing. wait() is called by one thread at a time with a limit other than 0, and by
// one more with 0.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {

struct io_event {
    std::uint64_t token;
    unsigned ready;  // dir_read, dir_write
    bool error;      // nothing but an error: the descriptor cannot be polled (NET-4)
    bool
        uncertain;  // end of stream, urgent data: a short read does not mean that all has been read
};

struct poll_back_end {
    /// 0, or an errno. Once, before all others.
    int (*open)() noexcept;
    /// Both directions, until remove. 0, or an errno: EPERM for what cannot be polled.
    int (*add)(int fd, std::uint64_t token) noexcept;
    /// Before the descriptor is closed: a duplicate of it may live on.
    void (*remove)(int fd) noexcept;
    /// Waits for `wait_ns` (0: not at all; negative: without limit), a wake() or events; may return early. Gives how many
    /// events there are, at most `most`.
    int (*wait)(std::int64_t wait_ns, io_event* out, int most) noexcept;
    /// Makes the one who waits return, or the next. Several before that are one. Also in signal handlers.
    void (*wake)() noexcept;
};

extern const poll_back_end epoll_back_end;   // Linux
extern const poll_back_end kqueue_back_end;  // macOS, BSD; on Linux in a test only

/// The one in use. Set before the first descriptor, by tests.
void set_poll_back_end(const poll_back_end* b) noexcept;
const poll_back_end& current_back_end() noexcept;

/// Makes sure that the runtime polls. An error: the back end could not be opened, and it may be tried again. Throws what
/// starting the runtime throws.
int ensure_poller();

}  // namespace vole::detail
