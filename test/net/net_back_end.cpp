// What the poller relies on in a back end, of each that there is: epoll, and kqueue over its emulation. Cites NET-1, NET-2,
// NET-4, NET-9, NET-10.
//
// In the program whose runtime uses neither of them, so that nobody else polls.
#include "test/net/poll_support.hpp"

#include "test/support/duel.hpp"

#include <csignal>
#include <fstream>
#include <map>
#include <memory>
#include <pthread.h>
#include <sys/ioctl.h>
#include <thread>

using namespace vole::test;
using inner::dir_read;
using inner::dir_write;

namespace {

constexpr unsigned dir_both = dir_read | dir_write;

struct back_end {
    const char* name;
    const inner::poll_back_end* of;
    bool tells_urgent;  // a short read is known to be all unless it says otherwise
    int wake_fd = -1;
};

// Opened with the first case.
std::vector<back_end>& back_ends() {
    static std::vector<back_end> all = [] {
        std::vector<back_end> list{{"epoll", &inner::epoll_back_end, true},
                                   {"kqueue", &inner::kqueue_back_end, false}};
        for (back_end& b : list) {
            const auto before = open_files();
            if (b.of->open() != 0) throw std::runtime_error("a back end cannot be opened");
            for (const auto& [number, name] : open_files()) {
                const int fd = number;
                const bool is_new = std::none_of(before.begin(), before.end(),
                                                 [fd](const auto& f) { return f.first == fd; });
                const bool wakes = name == "anon_inode:[eventfd]" || name.starts_with("pipe:");
                if (is_new && wakes && b.wake_fd < 0) b.wake_fd = fd;
            }
        }
        return list;
    }();
    return all;
}

// How much is there to be read of a wake-up.
std::uint64_t wakes_pending(const back_end& b) {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(b.wake_fd));
    for (std::string word; info >> word;) {
        std::uint64_t n = 0;
        if (word == "eventfd-count:" && info >> std::hex >> n) return n;
    }
    int n = -1;
    ::ioctl(b.wake_fd, FIONREAD, &n);
    return static_cast<std::uint64_t>(n);
}

// What a descriptor has become ready for.
struct seen {
    unsigned ready = 0;
    bool error = false;
    bool uncertain = false;
};

std::map<std::uint64_t, seen> take(const back_end& b, int most = 128, std::int64_t ns = 0) {
    std::vector<inner::io_event> events(static_cast<std::size_t>(most));
    const int n = b.of->wait(ns, events.data(), most);
    std::map<std::uint64_t, seen> all;
    for (int i = 0; i < n; ++i) {
        const auto& e = events[static_cast<std::size_t>(i)];
        seen& s = all[e.token];
        s.ready |= e.ready;
        s.error |= e.error;
        s.uncertain |= e.uncertain;
    }
    return all;
}

// Until nothing more comes.
seen settled(const back_end& b, std::uint64_t token) {
    seen all;
    for (;;) {
        auto events = take(b);
        if (events.empty()) return all;
        all.ready |= events[token].ready;
        all.error |= events[token].error;
        all.uncertain |= events[token].uncertain;
    }
}

// Both ends of a connection, the first of which is registered.
struct registered {
    registered(const back_end& to, std::pair<int, int> fds, std::uint64_t token)
        : b(to), fd(fds.first), peer(fds.second) {
        if (b.of->add(fd, token) != 0) throw std::runtime_error("add");
    }
    ~registered() {
        if (fd >= 0) {
            b.of->remove(fd);
            ::close(fd);
        }
        close_peer();
    }
    registered(const registered&) = delete;
    registered& operator=(const registered&) = delete;
    void close_peer() {
        if (peer >= 0) ::close(peer);
        peer = -1;
    }
    const back_end& b;
    int fd, peer;
};

std::pair<int, int> pipe_fds() {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    return {ends[0], ends[1]};
}

void send(int fd, const char* text, int flags = 0) {
    if (::send(fd, text, std::strlen(text), flags | MSG_NOSIGNAL) < 0) {
        throw std::runtime_error("send");
    }
}

}  // namespace

TEST_CASE("NET-4 a connection is ready to be written at once, and to be read when there is data") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        const registered r(b, tcp_fds(), 0x1000);
        const seen first = settled(b, 0x1000);
        CHECK(first.ready == dir_write);
        CHECK(!first.uncertain);
        CHECK(!first.error);
        CHECK(settled(b, 0x1000).ready == 0);  // by edges
        send(r.peer, "abc");
        const seen data = settled(b, 0x1000);
        CHECK((data.ready & dir_read) != 0);
        CHECK(data.uncertain == !b.tells_urgent);
        CHECK(settled(b, 0x1000).ready == 0);  // though nobody has read it
        send(r.peer, "def");
        CHECK((settled(b, 0x1000).ready & dir_read) != 0);
    }
}

TEST_CASE("NET-4 the other end says that nothing more comes: ready to be read, and uncertain") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        const registered r(b, tcp_fds(), 0x1000);
        settled(b, 0x1000);
        send(r.peer, "abc");
        ::shutdown(r.peer, SHUT_WR);
        const seen end = settled(b, 0x1000);
        CHECK((end.ready & dir_read) != 0);
        CHECK(end.uncertain);
        CHECK(!end.error);
    }
}

TEST_CASE("NET-4 a connection that is reset is ready both ways") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        registered r(b, tcp_fds(), 0x1000);
        settled(b, 0x1000);
        const linger none{1, 0};
        ::setsockopt(r.peer, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        r.close_peer();
        const seen end = settled(b, 0x1000);
        CHECK(end.ready == dir_both);
        CHECK(end.uncertain);
        CHECK(!end.error);
        char byte = 0;
        CHECK(::recv(r.fd, &byte, 1, 0) < 0);  // the error was left for it
        CHECK(errno == ECONNRESET);
    }
}

TEST_CASE("NET-4 urgent data is something to read, and uncertain") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        const registered r(b, tcp_fds(), 0x1000);
        settled(b, 0x1000);
        send(r.peer, "abc");
        send(r.peer, "!", MSG_OOB);
        const seen s = settled(b, 0x1000);
        CHECK((s.ready & dir_read) != 0);
        CHECK(s.uncertain);
    }
}

TEST_CASE("NET-4 a pipe whose other end is closed") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        registered in(b, pipe_fds(), 0x1000);
        settled(b, 0x1000);
        in.close_peer();
        const seen end = settled(b, 0x1000);
        CHECK((end.ready & dir_read) != 0);
        CHECK(end.uncertain);

        auto [fd, peer] = pipe_fds();
        registered out(b, {peer, fd}, 0x2000);
        settled(b, 0x2000);
        out.close_peer();
        CHECK((settled(b, 0x2000).ready & dir_write) != 0);
    }
}

TEST_CASE("NET-2 what is removed gives no events, though a duplicate of it is open") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        registered r(b, tcp_fds(), 0x1000);
        settled(b, 0x1000);
        const int copy = ::dup(r.fd);
        b.of->remove(r.fd);
        ::close(r.fd);
        r.fd = -1;
        send(r.peer, "abc");
        CHECK(take(b).empty());
        ::close(copy);
    }
}

TEST_CASE("NET-2 what cannot be registered") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        CHECK(b.of->add(file, 0x1000) == EPERM);
        ::close(file);
        const int folder = ::open("/proc/self", O_RDONLY | O_CLOEXEC);
        CHECK(b.of->add(folder, 0x1000) == EPERM);
        ::close(folder);
        CHECK(b.of->add(folder, 0x1000) == EBADF);
        CHECK(take(b).empty());
    }
}

TEST_CASE("NET-9 no more events at a time than asked for, and none is lost") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        constexpr std::uint64_t many = 300;
        std::vector<std::unique_ptr<registered>> all;
        for (std::uint64_t i = 1; i <= many; ++i) {
            all.push_back(std::make_unique<registered>(b, pipe_fds(), i << 8));
        }
        for (const int most : {10, 128, 1000}) {
            while (!take(b).empty()) {
            }
            for (const auto& r : all) CHECK(::write(r->peer, "x", 1) == 1);
            std::map<std::uint64_t, int> times;
            for (;;) {
                const auto events = take(b, most);
                if (events.empty()) break;
                REQUIRE(events.size() <= static_cast<std::size_t>(std::min(most, 128)));
                for (const auto& [token, s] : events) {
                    if ((s.ready & dir_read) != 0) ++times[token];
                }
            }
            CHECK(times.size() == many);
        }
    }
}

TEST_CASE("NET-9 a wait ends at its limit, and not at once") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        for (const auto limit : {100us, 1500us, 3000us}) {
            // A signal may cut one short.
            vole::clock::duration longest{0};
            for (int i = 0; i < 3; ++i) {
                const auto start = vole::clock::now();
                CHECK(take(b, 128, limit / 1ns).empty());
                longest = std::max(longest, vole::clock::now() - start);
            }
            CHECK(longest >= limit);
        }
        CHECK(take(b).empty());
    }
}

TEST_CASE("NET-9 a signal ends a wait, without events and without an errno") {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR2, &action, &before);
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        std::atomic<int> tid{0};
        std::atomic<bool> over{false};
        std::atomic<int> got_events{0}, got_errno{0};
        std::thread waits([&] {
            tid = thread_id();
            errno = E2BIG;
            got_events = static_cast<int>(take(b, 128, -1).size());
            got_errno = errno;
            over = true;
        });
        wait_until([&] { return tid != 0; }, "the thread");
        wait_asleep(tid);
        ::pthread_kill(waits.native_handle(), SIGUSR2);
        wait_until([&] { return over.load(); }, "the wait to end");
        waits.join();
        CHECK(got_events == 0);
        CHECK(got_errno == E2BIG);
    }
    ::sigaction(SIGUSR2, &before, nullptr);
}

TEST_CASE("NET-10 several wake-ups are one, and one that comes first is not lost") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        REQUIRE(b.wake_fd >= 0);
        for (int round = 0; round < 3; ++round) {
            CHECK(wakes_pending(b) == 0);
            for (int i = 0; i < 10; ++i) b.of->wake();
            CHECK(wakes_pending(b) == 1);
            // Who only looks leaves it to the one who waits.
            CHECK(take(b).empty());
            CHECK(wakes_pending(b) == 1);
            CHECK(take(b, 128, -1).empty());
            CHECK(wakes_pending(b) == 0);
        }
    }
}

TEST_CASE("NET-10 a wake-up ends a wait without limit") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        for (int i = 0; i < scaled(200); ++i) {
            std::atomic<bool> over{false};
            std::thread waits([&] {
                take(b, 128, -1);
                over = true;
            });
            if (i % 4 == 0) std::this_thread::yield();
            b.of->wake();
            wait_until([&] { return over.load(); }, "the wait to end");
            waits.join();
        }
        CHECK(wakes_pending(b) == 0);
    }
}

TEST_CASE("NET-10 a wake-up while the one before it is being taken is not lost") {
    for (const back_end& b : back_ends()) {
        INFO(b.name);
        const int rounds = scaled(10'000);
        std::atomic<int> asked{0};
        std::atomic<int> seen_up_to{0};
        std::thread waits([&] {
            // What is published before a wake-up is seen after the wait that it ends.
            while (seen_up_to < 2 * rounds) {
                take(b, 128, -1);
                seen_up_to = asked.load();
            }
        });
        dice roll(1);
        const auto wake = [&] {
            ++asked;
            b.of->wake();
        };
        for (int i = 1; i <= rounds; ++i) {
            wake();
            // Somewhere between the waiter's waking up and its waiting again.
            const std::int64_t until = inner::nanotime() + static_cast<std::int64_t>(roll(30'000));
            while (inner::nanotime() < until) {
            }
            wake();
            wait_until([&] { return seen_up_to == 2 * i; }, "the second wake-up to be seen");
        }
        waits.join();
    }
}
