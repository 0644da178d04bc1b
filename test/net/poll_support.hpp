// What the tests of the poller's core share: descriptors to which nothing happens, events made by hand, connections without
// listeners and names.
//
// Everything here may be called on any goroutine or ordinary thread, outside of the runtime.
#pragma once

#include <vole/net/conn.hpp>
#include <vole/net/file.hpp>

#include "net/src/back_end.hpp"
#include "net/src/poll_desc.hpp"
#include "net/src/socket.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/netpoll.hpp"
#include "runtime/src/sched/sched.hpp"
#include "test/net/socket_support.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace vole::test {

namespace inner = vole::detail;
using inner::io_dir;

inline constexpr io_dir both_directions[] = {io_dir::read, io_dir::write};

inline std::string text_of(inner::io_status s) {
    switch (s) {
        case inner::io_status::ready: return "ready";
        case inner::io_status::closed: return "closed";
        case inner::io_status::timeout: return "timeout";
        case inner::io_status::not_pollable: return "not pollable";
    }
    return "nonsense";
}

/// Nobody waits. A wait that an event has ended is taken from the count a moment after its goroutine goes on.
inline bool nobody_waits(place where = here()) {
    return wait_until([] { return inner::io_waiters() == 0; }, "all waits to be over", where);
}

// ---- one descriptor -----------------------------------------------------------------------------

inline std::string try_first(inner::poll_desc* d, io_dir dir) {
    const inner::runtime_entry entry;
    return text_of(inner::prepare(d, dir));
}
inline std::string await_event(inner::poll_desc* d, io_dir dir) {
    const inner::runtime_entry entry;
    return text_of(inner::wait_ready(d, dir));
}
inline void end_waits(inner::poll_desc* d) {
    const inner::runtime_entry entry;
    inner::evict(d);
}
inline void set_limits(inner::poll_desc* d, unsigned directions, std::int64_t when) {
    const inner::runtime_entry entry;
    inner::set_deadlines(d, directions, when);
}
inline std::int64_t in_ns(clock::duration d) { return inner::timer_now() + d.count(); }

inline std::uintptr_t waiter_of(const inner::poll_desc* d, io_dir dir) {
    return d->waiter[static_cast<std::size_t>(dir)].load(inner::memory_order_acquire);
}
inline bool is_parked(const inner::poll_desc* d, io_dir dir) { return waiter_of(d, dir) > 1; }
inline void await_parked(const inner::poll_desc* d, io_dir dir, place where = here()) {
    wait_until([&] { return is_parked(d, dir); }, "somebody to wait for a descriptor", where);
}

/// As the poller does it. Gives how many waits it has ended.
inline std::uint32_t deliver(const inner::io_event& e) {
    const inner::runtime_pin pin;
    inner::g_list found;
    const std::uint32_t ended = inner::on_event(e, found);
    if (ended != 0) inner::io_waits_end(ended);
    if (found.size != 0) {
        {
            const inner::lock_guard held(inner::sched.mu);
            inner::global_put_list(found);
        }
        inner::wake();
    }
    return ended;
}
inline std::uint32_t deliver(const inner::poll_desc* d, unsigned directions) {
    return deliver({inner::token_of(d), directions, false, false});
}

/// The reading end of a pipe that nobody writes to: the kernel reports nothing about it, in either direction.
class quiet_desc {
  public:
    quiet_desc() {
        if (::pipe2(ends_, O_NONBLOCK | O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        open();
    }
    ~quiet_desc() {
        close();
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    quiet_desc(const quiet_desc&) = delete;
    quiet_desc& operator=(const quiet_desc&) = delete;

    void open() {
        const inner::runtime_entry entry;
        if (inner::open_poll_desc(ends_[0], &d_) != 0) throw std::runtime_error("open_poll_desc");
    }
    void close() {
        const inner::runtime_entry entry;
        inner::evict(d_);
        inner::close_poll_desc(d_, ends_[0]);
    }
    /// The same memory, if nobody else opens one meanwhile.
    void reopen() {
        close();
        open();
    }
    inner::poll_desc* get() const { return d_; }
    operator inner::poll_desc*() const { return d_; }

  private:
    int ends_[2] = {-1, -1};
    inner::poll_desc* d_ = nullptr;
};

/// A goroutine that waits once, and what that gave.
class waiting_goroutine {
  public:
    waiting_goroutine(inner::poll_desc* d, io_dir dir) : d_(d), dir_(dir) {
        done_.go([this] {
            result_ = await_event(d_, dir_);
            over_ = true;
        });
    }
    ~waiting_goroutine() { done_.wait(); }
    waiting_goroutine(const waiting_goroutine&) = delete;
    waiting_goroutine& operator=(const waiting_goroutine&) = delete;

    waiting_goroutine& parked(place where = here()) {
        await_parked(d_, dir_, where);
        return *this;
    }
    bool waits() const {
        return stays([&] { return !over_; }, 100);
    }
    std::string get() {
        done_.wait();
        return result_;
    }

  private:
    inner::poll_desc* d_;
    io_dir dir_;
    wait_group done_;
    std::atomic<bool> over_{false};
    std::string result_;
};

// ---- connections --------------------------------------------------------------------------------

/// Ends that the kernel has connected, without the poller; not blocking.
inline std::pair<int, int> tcp_fds() {
    const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* address = reinterpret_cast<sockaddr*>(&at);
    const int a = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listening, address, size) != 0 || ::listen(listening, 1) != 0 ||
        ::getsockname(listening, address, &size) != 0 || ::connect(a, address, size) != 0) {
        throw std::runtime_error("a connection to ourselves");
    }
    const int b = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ::close(listening);
    ::fcntl(a, F_SETFL, ::fcntl(a, F_GETFL) | O_NONBLOCK);
    return {a, b};
}

inline two_conns tcp_conns() {
    const auto [a, b] = tcp_fds();
    two_conns both;
    both.a = net::adopt_conn(a);
    both.b = net::adopt_conn(b);
    return both;
}

// ---- the process --------------------------------------------------------------------------------

/// What this process has open, as /proc names it.
inline std::vector<std::pair<int, std::string>> open_files() {
    std::vector<std::pair<int, std::string>> files;
    DIR* dir = ::opendir("/proc/self/fd");
    if (dir == nullptr) throw std::runtime_error("/proc/self/fd");
    while (const dirent* e = ::readdir(dir)) {
        if (e->d_name[0] == '.') continue;
        char link[256];
        const ssize_t n = ::readlinkat(::dirfd(dir), e->d_name, link, sizeof link);
        const int fd = std::atoi(e->d_name);
        if (n > 0 && fd != ::dirfd(dir)) {
            files.emplace_back(fd, std::string(link, static_cast<std::size_t>(n)));
        }
    }
    ::closedir(dir);
    return files;
}
/// How many of them are sockets and ends of pipes: other files the runtime opens as it goes.
inline int open_count() {
    int n = 0;
    for (const auto& [fd, name] : open_files()) {
        n += name.starts_with("socket:") || name.starts_with("pipe:") ? 1 : 0;
    }
    return n;
}

/// Waits until the keeper is in the poller.
inline void await_keeper_polls(place where = here()) {
    wait_until([] { return inner::sched.keeper_polls.load(inner::memory_order_seq_cst); },
               "a thread to wait in the poller", where);
}

}  // namespace vole::test
