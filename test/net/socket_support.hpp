// What the tests of sockets share, beside net_support.hpp: the same operations of connections, pairs of them, listeners
// that do not answer, and what the process has open.
#pragma once

#include "test/net/net_support.hpp"

#include <vole/net.hpp>

#include "net/src/socket.hpp"
#include "test/support/duel.hpp"

#include <array>
#include <cstring>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vole::test {

// ---- operations -------------------------------------------------------------------------------

inline result read(net::conn& c, std::size_t most) {
    result r{.ec = rubbish()};
    std::vector<std::byte> buffer(most);
    r.n = c.read(buffer, r.ec);
    if (r.n <= most) r.text.assign(reinterpret_cast<const char*>(buffer.data()), r.n);
    return r;
}
/// Reads until there are n bytes, the end, or an error.
inline result read_n(net::conn& c, std::size_t n) {
    result all;
    while (all.n < n && !all.ec) {
        const result r = read(c, n - all.n);
        all = {all.n + r.n, r.ec, all.text + r.text};
        if (r.n == 0) break;
    }
    return all;
}
inline result write(net::conn& c, std::string_view text) {
    result r{.ec = rubbish()};
    r.n = c.write(bytes_of(text), r.ec);
    return r;
}
inline std::error_code close(net::open_object& o) {
    return error_of_call([&](std::error_code& ec) { o.close(ec); });
}
inline std::error_code close_read(net::conn& c) {
    return error_of_call([&](std::error_code& ec) { c.close_read(ec); });
}
inline std::error_code close_write(net::conn& c) {
    return error_of_call([&](std::error_code& ec) { c.close_write(ec); });
}
inline std::error_code deadline(net::open_object& o, time_point t) {
    return error_of_call([&](std::error_code& ec) { o.set_deadline(t, ec); });
}
inline std::error_code read_deadline(net::open_object& o, time_point t) {
    return error_of_call([&](std::error_code& ec) { o.set_read_deadline(t, ec); });
}
inline std::error_code write_deadline(net::open_object& o, time_point t) {
    return error_of_call([&](std::error_code& ec) { o.set_write_deadline(t, ec); });
}
/// Of an accept: n is 1 if it gave a connection, which is closed.
template <class Listener>
result accept(Listener& l) {
    result r{.ec = rubbish()};
    const auto c = l.accept(r.ec);
    r.n = c ? 1 : 0;
    return r;
}

inline result failed(std::errc e, std::size_t n = 0) {
    return {n, std::error_code(static_cast<int>(e), std::system_category())};
}
inline const result timed_out = failed(errc::timeout);
inline const result closed = failed(errc::closed);

/// The text of the op_error that f throws.
template <class F>
std::string text_thrown(F&& f) {
    try {
        f();
    } catch (const net::op_error& e) {
        return e.what();
    }
    return "no error";
}

// ---- pairs ------------------------------------------------------------------------------------

struct two_conns {
    net::conn a;
    net::conn b;
};
inline net::endpoint loopback(std::uint16_t port = 0) {
    return net::endpoint::ipv4({127, 0, 0, 1}, port);
}
inline net::endpoint loopback6(std::uint16_t port = 0) {
    return net::endpoint::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
}
/// a has dialled, b has been accepted.
inline two_conns tcp_pair() {
    net::tcp_listener l = net::listen_tcp(loopback());
    net::conn a = net::dial_tcp(l.local_endpoint());
    net::conn b = l.accept();
    return {std::move(a), std::move(b)};
}
inline two_conns unix_pair() {
    static std::atomic<int> count{0};
    const std::string name =
        "@vole-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
    net::unix_listener l = net::listen_unix(net::endpoint::local(name));
    net::conn a = net::dial_unix(l.local_endpoint());
    net::conn b = l.accept();
    return {std::move(a), std::move(b)};
}
/// f(a, b) for each kind of stream there is.
template <class F>
void with_streams(F f) {
    {
        auto [a, b] = tcp_pair();
        f(a, b);
    }
    auto [a, b] = unix_pair();
    f(a, b);
}

/// So that writes go in many pieces. Small buffers for reading would make TCP wait for timers.
inline void make_narrow(net::conn& a, net::conn& b) {
    for (net::conn* c : {&a, &b}) c->set_write_buffer(16 * 1024);
}
inline void make_narrow(two_conns& p) { make_narrow(p.a, p.b); }
/// More than fits between two ends, narrow or not.
inline constexpr std::size_t too_much = std::size_t{32} << 20;

/// Makes the other end's connection break: it gets a reset.
inline void reset(net::conn& c) {
    c.set_linger(0s);
    c.close();
}

// ---- bytes that tell where they belong --------------------------------------------------------

inline std::byte byte_at(std::uint64_t n) {
    return static_cast<std::byte>((n * 0x9E3779B97F4A7C15U) >> 56);
}
inline void fill_from(std::uint64_t at, std::span<std::byte> out) {
    for (std::byte& b : out) b = byte_at(at++);
}
inline bool are_from(std::uint64_t at, std::span<const std::byte> some) {
    for (const std::byte b : some) {
        if (b != byte_at(at++)) return false;
    }
    return true;
}
/// The first n of them.
inline std::vector<std::byte> stream_of(std::size_t n) {
    std::vector<std::byte> all(n);
    fill_from(0, all);
    return all;
}
/// Reads to the end by pieces of many sizes. How many bytes there were; -1: wrong ones, or an error.
inline std::int64_t read_stream(net::conn& c, std::size_t most, std::uint64_t seed = 1) {
    dice roll(seed);
    std::vector<std::byte> buffer(most);
    std::int64_t n = 0;
    for (;;) {
        std::error_code ec;
        const std::size_t got = c.read(std::span(buffer).first(1 + roll(most)), ec);
        if (ec) return -1;
        if (got == 0) return n;
        if (!are_from(static_cast<std::uint64_t>(n), std::span(buffer).first(got))) return -1;
        n += static_cast<std::int64_t>(got);
    }
}

// ---- looking inside ---------------------------------------------------------------------------

struct insides : net::open_object {
    static detail::socket& of(const net::open_object& o) {
        return *detail::as_socket(static_cast<const insides&>(o).it_);
    }
};
/// Waits until the poller has seen the descriptor become readable, and nobody has used that yet. Nobody polls unless
/// somebody waits for something, so it does, for moments.
inline bool await_edge_at(const net::open_object& o, place where = here()) {
    constexpr std::uintptr_t ready = 1;
    const auto& waiter = insides::of(o).pd->waiter[0];
    auto [silent, other] = unix_pair();
    return wait_until(
        [&, &c = silent] {
            if (waiter.load(std::memory_order_acquire) == ready) return true;
            (void)read_deadline(c, in(50us));
            (void)read(c, 1);
            return false;
        },
        "a descriptor to become readable", where);
}

inline int fd_of(net::open_object& o) {
    return o.control([](int fd) { return fd; });
}
/// An option of the socket; -1: it has none.
inline int option_of(net::open_object& o, int level, int name) {
    return o.control([&](int fd) {
        int value = -1;
        socklen_t size = sizeof value;
        return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
    });
}

/// How many sockets the process has open. Other descriptors come and go with the runtime.
inline int open_sockets() {
    int n = 0;
    DIR* all = ::opendir("/proc/self/fd");
    if (all == nullptr) return -1;
    while (const dirent* one = ::readdir(all)) {
        char link[64] = {};
        const std::string path = std::string("/proc/self/fd/") + one->d_name;
        if (::readlink(path.c_str(), link, sizeof link - 1) > 0 &&
            std::string_view(link).starts_with("socket:"))
            ++n;
    }
    ::closedir(all);
    return n;
}

/// Which socket a descriptor is.
inline ino_t inode_of(int fd) {
    struct stat s {};
    return ::fstat(fd, &s) == 0 ? s.st_ino : 0;
}

// ---- listeners --------------------------------------------------------------------------------

/// How many connections wait to be accepted, and how many there may be at most before more are not answered.
struct queue_state {
    unsigned waiting = 0;
    unsigned most = 0;
};
inline queue_state queue_of(net::open_object& l) {
    return l.control([](int fd) {
        tcp_info info{};
        socklen_t size = sizeof info;
        ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
        return queue_state{info.tcpi_unacked, info.tcpi_sacked};
    });
}
inline bool await_queued(net::open_object& l, unsigned n, place where = here()) {
    return wait_until([&] { return queue_of(l).waiting >= n; }, "connections to wait for accept",
                      where);
}

/// Listens, but is full: whoever dials it waits for an answer that does not come.
class silent_listener {
  public:
    explicit silent_listener(const net::endpoint& at) : l_(net::listen_tcp(at, {.backlog = 1})) {
        while (queue_of(l_).waiting <= queue_of(l_).most) {
            fillers_.push_back(net::dial_tcp(l_.local_endpoint()));
            await_queued(l_, static_cast<unsigned>(fillers_.size()));
        }
    }
    const net::endpoint& at() const { return l_.local_endpoint(); }
    net::tcp_listener& get() { return l_; }

  private:
    net::tcp_listener l_;
    std::vector<net::tcp_conn> fillers_;
};

/// Where nobody listens.
inline net::endpoint refusing(const net::endpoint& host = loopback()) {
    const net::tcp_listener l = net::listen_tcp(host);
    return l.local_endpoint();
}

}  // namespace vole::test
