// kqueue behind the poller: macOS and the BSDs. As epoll.cpp: every descriptor is registered once, by edges (EV_CLEAR), a
// filter for each direction, until it is closed.
//
// No real kernel has run this yet. The tests do, over an emulation of kevent(2) on Linux (test/net/kevent_emulation.hpp),
// which VOLE_KEVENT_HEADER names; so only what that emulation knows is used.
//
// A pipe wakes, not EVFILT_USER: not all of them have that, and write(2) may be called in signal handlers. Its filter is
// level-triggered, and read by the one who waits only, as in epoll.cpp. `woken`: it has been written and not been read yet.
//
// Stack: any. No locks.
#if defined(VOLE_KEVENT_HEADER)
#include VOLE_KEVENT_HEADER
#else
#include <sys/event.h>
#endif

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vole/detail/atomic.hpp>

#include "net/src/back_end.hpp"
#include "net/src/io_object.hpp"
#include "net/src/os.hpp"

namespace vole::inline v0::detail {

namespace {

constinit int queue = -1;
constinit int wake_read = -1;
constinit int wake_write = -1;
constinit atomic<bool> woken{false};

constexpr std::uint64_t wake_token = 0;  // no descriptor has it
constexpr int batch = 128;

struct kevent change(int fd, int filter, int flags, std::uint64_t token) noexcept {
    struct kevent k {};
    EV_SET(&k, static_cast<std::uintptr_t>(fd), filter, flags, 0, 0,
           reinterpret_cast<void*>(static_cast<std::uintptr_t>(token)));
    return k;
}

// 0, or an errno.
int apply(const struct kevent* changes, int n) noexcept {
    for (;;) {
        if (kevent(queue, changes, n, nullptr, 0, nullptr) >= 0) return 0;
        if (errno != EINTR) return errno;
    }
}

void close_all() noexcept {
    for (int* fd : {&queue, &wake_read, &wake_write}) {
        if (*fd >= 0) os::close(*fd);
        *fd = -1;
    }
}

bool set_flags(int fd) noexcept {
    return os::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
           os::fcntl(fd, F_SETFL, os::fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}

// pipe2() and kqueue1() are not everywhere: a child that is forked between the calls inherits the pipe, which does no
// harm. A kqueue is not inherited.
int open_queue() noexcept {
    int ends[2];
    queue = kqueue();
    if (queue < 0) return errno;
    int error = os::fcntl(queue, F_SETFD, FD_CLOEXEC) != 0 || os::pipe(ends) != 0 ? errno : 0;
    if (error == 0) {
        wake_read = ends[0];
        wake_write = ends[1];
        if (!set_flags(wake_read) || !set_flags(wake_write)) error = errno;
    }
    if (error == 0) {
        const struct kevent k = change(wake_read, EVFILT_READ, EV_ADD, wake_token);
        error = apply(&k, 1);
    }
    if (error != 0) close_all();
    return error;
}

int add(int fd, std::uint64_t token) noexcept {
    // Files and directories would be registered, but what kqueue says of a file is where its end is.
    struct stat s {};
    if (os::fstat(fd, &s) != 0) return errno;
    if (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)) return EPERM;
    for (const int filter : {EVFILT_READ, EVFILT_WRITE}) {
        const struct kevent k = change(fd, filter, EV_ADD | EV_CLEAR, token);
        const int error = apply(&k, 1);
        if (error == 0) continue;
        if (filter == EVFILT_WRITE) {
            const struct kevent undo = change(fd, EVFILT_READ, EV_DELETE, 0);
            apply(&undo, 1);
        }
        return error == EINVAL ? EPERM : error;  // a device that knows no such filter
    }
    return 0;
}

void remove(int fd) noexcept {
    for (const int filter : {EVFILT_READ, EVFILT_WRITE}) {
        const struct kevent k = change(fd, filter, EV_DELETE, 0);
        apply(&k, 1);
    }
}

// A read that comes out short has not always emptied the socket: it ends at urgent data, which not every kernel has an
// event for, and at the end of the stream, which comes in the same edge as the data before. So it is uncertain as soon
// as there is something to read: a reader tries once more than with epoll.
io_event translate(const struct kevent& k) noexcept {
    io_event e{reinterpret_cast<std::uintptr_t>(k.udata), 0, (k.flags & EV_ERROR) != 0, true};
    if (e.error) {
        e.ready = dir_read | dir_write;
    } else if (k.filter == EVFILT_READ) {
        e.ready = dir_read;
    } else if (k.filter == EVFILT_WRITE) {
        e.ready = dir_write;
        e.uncertain = false;
        // Nobody reads any more: a connection that was reset, or refused. The reader is to hear of it as well, as with
        // epoll.
        if ((k.flags & EV_EOF) != 0) {
            e.ready |= dir_read;
            e.uncertain = true;
        }
    }
    return e;
}

void take_wake() noexcept {
    char bytes[16];
    while (os::read(wake_read, bytes, sizeof bytes) < 0 && errno == EINTR) {
    }
    // After the read: see epoll.cpp.
    woken.exchange(false, memory_order_acq_rel);
}

int wait_events(struct kevent* out, int most, std::int64_t ns) noexcept {
    constexpr std::int64_t second = 1'000'000'000;
    constexpr std::int64_t longest = 86'400 * second;  // some kernels refuse more than so many days
    const std::int64_t limited = std::min(ns, longest);
    const timespec limit{static_cast<time_t>(limited / second),
                         static_cast<long>(limited % second)};
    return kevent(queue, nullptr, 0, out, most, ns < 0 ? nullptr : &limit);
}

int wait(std::int64_t ns, io_event* out, int most) noexcept {
    struct kevent events[batch];
    const int saved = errno;
    // A signal: whoever waits looks at the time again.
    const int n = std::max(wait_events(events, std::min(most, batch), ns), 0);
    int taken = 0;
    for (int i = 0; i < n; ++i) {
        if (reinterpret_cast<std::uintptr_t>(events[i].udata) != wake_token) {
            out[taken++] = translate(events[i]);
        } else if (ns != 0) {
            take_wake();
        }
    }
    errno = saved;
    return taken;
}

void wake() noexcept {
    if (woken.exchange(true, memory_order_acq_rel)) return;
    const int saved = errno;
    const char byte = 0;
    while (os::write(wake_write, &byte, 1) < 0 && errno == EINTR) {
    }
    errno = saved;
}

}  // namespace

constinit const poll_back_end kqueue_back_end{open_queue, add, remove, wait, wake};

}  // namespace vole::detail
