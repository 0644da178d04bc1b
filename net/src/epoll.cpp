// epoll behind the poller: every descriptor is registered once, edge-triggered, for both directions, until it is closed.
//
// The eventfd that wakes is level-triggered, and read by the one who waits only: whoever just looks leaves it to him. So
// that ten wake-ups cost one system call, `woken` says that it has been written and not been read yet.
//
// Stack: any. No locks.
#include <cerrno>
#include <ctime>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vole/detail/atomic.hpp>

#include "net/src/back_end.hpp"
#include "net/src/io_object.hpp"
#include "net/src/os.hpp"
#include "net/src/sys.hpp"

namespace vole::inline v0::detail {

namespace {

constinit int epoll_fd = -1;
constinit int wake_fd = -1;
constinit atomic<bool> woken{false};
constinit atomic<bool> coarse{false};  // no epoll_pwait2: whole milliseconds only

constexpr std::uint64_t wake_token = 0;  // no descriptor has it
constexpr int batch = 128;

int tell(int epoll, int what, int fd, epoll_event* event) noexcept {
    return may_fail<fallible::poll_add>(::epoll_ctl, epoll, what, fd, event);
}

int open_epoll() noexcept {
    const int e = may_fail<fallible::poll_create>(::epoll_create1, EPOLL_CLOEXEC);
    if (e < 0) return errno;
    const int w = may_fail<fallible::poll_wake_create>(::eventfd, 0U, EFD_NONBLOCK | EFD_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = wake_token;
    if (w < 0 || tell(e, EPOLL_CTL_ADD, w, &event) != 0) {
        const int error = errno;
        if (w >= 0) os::close(w);
        os::close(e);
        return error;
    }
    epoll_fd = e;
    wake_fd = w;
    return 0;
}

int add(int fd, std::uint64_t token) noexcept {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
    event.data.u64 = token;
    return tell(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void remove(int fd) noexcept {
    epoll_event unused{};
    tell(epoll_fd, EPOLL_CTL_DEL, fd, &unused);
}

// Limits of less than a millisecond are worth a newer call: 1 ms is what the old one would round them up to.
int wait_fine(epoll_event* events, int most, std::int64_t ns) noexcept {
#if defined(SYS_epoll_pwait2)
    const timespec limit{ns / 1'000'000'000, ns % 1'000'000'000};
    const auto n = may_fail<fallible::poll_wait>(::syscall, SYS_epoll_pwait2, epoll_fd, events,
                                                 most, &limit, nullptr, 0);
    if (n >= 0 || errno == EINTR) return n < 0 ? 0 : static_cast<int>(n);
    coarse.store(true, memory_order_relaxed);
#else
    (void)events, (void)most, (void)ns;
    coarse.store(true, memory_order_relaxed);
#endif
    return -1;
}

int wait_events(epoll_event* events, int most, std::int64_t ns) noexcept {
    if (ns > 0 && !coarse.load(memory_order_relaxed)) {
        const int n = wait_fine(events, most, ns);
        if (n >= 0) return n;
    }
    constexpr std::int64_t ms = 1'000'000;
    constexpr std::int64_t longest_ms = 1'000'000'000;
    int limit = static_cast<int>(ns);
    if (ns < 0) limit = -1;
    if (ns > 0) limit = static_cast<int>(ns / ms >= longest_ms ? longest_ms : (ns + ms - 1) / ms);
    // Not by libc: a cancellation point.
    const auto n = may_fail<fallible::poll_wait>(::syscall, SYS_epoll_pwait, epoll_fd, events, most,
                                                 limit, nullptr, 0);
    return n < 0 ? 0 : static_cast<int>(n);  // a signal: whoever waits looks at the time again
}

io_event translate(const epoll_event& e) noexcept {
    const auto has = [&](auto... bits) {
        return (e.events & static_cast<unsigned>((bits | ...))) != 0;
    };
    io_event event{e.data.u64, 0, e.events == EPOLLERR,
                   has(EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLPRI)};
    if (has(EPOLLIN, EPOLLPRI, EPOLLRDHUP, EPOLLHUP, EPOLLERR)) event.ready |= dir_read;
    if (has(EPOLLOUT, EPOLLHUP, EPOLLERR)) event.ready |= dir_write;
    return event;
}

void take_wake() noexcept {
    std::uint64_t count = 0;
    sys::read(wake_fd, &count, sizeof count);
    // After the read: who finds it false writes again. acquire: who found it true has written before what he wakes
    // the reader for, and that is looked at next.
    woken.exchange(false, memory_order_acq_rel);
}

int wait(std::int64_t ns, io_event* out, int most) noexcept {
    epoll_event events[batch];
    const int saved = errno;
    const int n = wait_events(events, most < batch ? most : batch, ns);
    int taken = 0;
    for (int i = 0; i < n; ++i) {
        if (events[i].data.u64 != wake_token) {
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
    const std::uint64_t one = 1;
    while (sys::write(wake_fd, &one, sizeof one) == -EINTR) {
    }
}

}  // namespace

constinit const poll_back_end epoll_back_end{open_epoll, add, remove, wait, wake};

}  // namespace vole::detail
