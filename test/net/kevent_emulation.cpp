// See kevent_emulation.hpp.
//
// epoll knows a descriptor once, kqueue a filter for each direction: `filters` says which of them are there. Closing the
// descriptor takes them out of a real kqueue; here the next EV_ADD for its number finds that epoll has forgotten it.
//
// epoll's edges are of the descriptor, kqueue's of a filter: so what epoll reports for one direction may come again with
// an event of the other. A kqueue may report more than there is as well, so that is allowed for.
//
// Lock: mu, for the table; nothing that waits is called under it. Stack: any.
#include "test/net/kevent_emulation.hpp"

#include "runtime/internal/entry.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>
#include <mutex>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace {

struct filter {
    bool on = false;
    bool clear = false;
    void* udata = nullptr;
};
struct filters {
    filter read, write;
};

std::mutex mu;
// By queue and descriptor. Never destroyed: a thread may be in the poller when main returns.
auto& table = *new std::map<std::pair<int, int>, filters>;

// What epoll is to know. 0, or an errno.
int tell_epoll(int kq, int fd, const filters& f) noexcept {
    epoll_event e{};
    e.data.fd = fd;
    if (f.read.on) e.events |= EPOLLIN | EPOLLRDHUP;
    if (f.write.on) e.events |= EPOLLOUT;
    if ((f.read.on && f.read.clear) || (f.write.on && f.write.clear)) e.events |= EPOLLET;
    if (!f.read.on && !f.write.on) {
        return epoll_ctl(kq, EPOLL_CTL_DEL, fd, &e) == 0 ? 0 : errno;
    }
    if (epoll_ctl(kq, EPOLL_CTL_MOD, fd, &e) == 0) return 0;
    if (errno != ENOENT) return errno;
    return epoll_ctl(kq, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : errno;
}

int apply(int kq, const struct kevent& change) noexcept {
    const vole::detail::runtime_pin pin;
    const std::lock_guard held(mu);
    const int fd = static_cast<int>(change.ident);
    const auto key = std::pair(kq, fd);
    filters next = table.contains(key) ? table[key] : filters{};
    filter* f = change.filter == EVFILT_READ    ? &next.read
                : change.filter == EVFILT_WRITE ? &next.write
                                                : nullptr;
    if (f == nullptr) return EINVAL;
    if ((change.flags & EV_DELETE) != 0) {
        if (!f->on) return ENOENT;
        *f = {};
    } else {
        *f = {true, (change.flags & EV_CLEAR) != 0, change.udata};
    }
    const int error = tell_epoll(kq, fd, next);
    if (error != 0 && (change.flags & EV_DELETE) == 0) return error;
    if (next.read.on || next.write.on) {
        table[key] = next;
    } else {
        table.erase(key);
    }
    return error;
}

int translate(const filters& f, int fd, unsigned events, struct kevent* out) noexcept {
    int n = 0;
    const auto give = [&](const filter& of, int number, bool end) {
        const int flags = EV_ADD | (of.clear ? EV_CLEAR : 0) | (end ? EV_EOF : 0);
        EV_SET(&out[n++], static_cast<std::uintptr_t>(fd), number, flags, 0, 0, of.udata);
    };
    const bool gone = (events & (EPOLLHUP | EPOLLERR)) != 0;
    const bool read_end = gone || (events & EPOLLRDHUP) != 0;
    if (f.read.on && (read_end || (events & EPOLLIN) != 0)) {
        give(f.read, EVFILT_READ, read_end);
    }
    if (f.write.on && (gone || (events & EPOLLOUT) != 0)) give(f.write, EVFILT_WRITE, gone);
    return n;
}

int wait_for_events(int kq, epoll_event* out, int most, const timespec* limit) noexcept {
#if defined(SYS_epoll_pwait2)
    const auto n = syscall(SYS_epoll_pwait2, kq, out, most, limit, nullptr, 0);
    if (n >= 0 || errno != ENOSYS) return static_cast<int>(n);
#endif
    std::int64_t ms = -1;
    if (limit != nullptr) {
        ms = static_cast<std::int64_t>(limit->tv_sec) * 1000 +
             (static_cast<std::int64_t>(limit->tv_nsec) + 999'999) / 1'000'000;
    }
    return epoll_wait(kq, out, most, static_cast<int>(std::min<std::int64_t>(ms, INT_MAX)));
}

}  // namespace

int kqueue() noexcept { return epoll_create1(0); }

int kevent(int kq, const struct kevent* changes, int nchanges, struct kevent* events, int nevents,
           const timespec* limit) noexcept {
    int n = 0;
    for (int i = 0; i < nchanges; ++i) {
        const int error = apply(kq, changes[i]);
        if (error == 0) continue;
        if (n == nevents) {
            errno = error;
            return -1;
        }
        events[n] = changes[i];
        events[n].flags = EV_ERROR;
        events[n++].data = error;
    }
    if (nevents == 0 || n != 0) return n;

    // Each may become two.
    constexpr int most = 64;
    epoll_event found[most];
    if (nevents == 1) {
        errno = EINVAL;
        return -1;
    }
    const int count = wait_for_events(kq, found, std::min(nevents / 2, most), limit);
    if (count < 0) return -1;
    const vole::detail::runtime_pin pin;
    const std::lock_guard held(mu);
    for (int i = 0; i < count; ++i) {
        const int fd = found[i].data.fd;
        const auto at = table.find({kq, fd});
        if (at == table.end()) continue;  // deleted meanwhile
        n += translate(at->second, fd, found[i].events, &events[n]);
    }
    return n;
}
