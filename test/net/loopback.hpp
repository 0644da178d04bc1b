// What tests of sockets of the system share: pairs over loopback, bytes that can be checked, what a process has open.
//
// Assertions as in net_support.hpp: goroutines note, the test case compares.
#pragma once

#include <vole/net.hpp>
#include <vole/testing.hpp>

#include "runtime/internal/netpoll.hpp"
#include "test/net/net_support.hpp"

#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace vole::test::loopback {

using net::endpoint;

inline const endpoint any_port = endpoint::ipv4({127, 0, 0, 1}, 0);

// ---- pairs ------------------------------------------------------------------------------------

struct ends {
    net::conn a;  ///< it has dialled
    net::conn b;  ///< it was accepted
};

inline ends tcp_ends() {
    net::tcp_listener l = net::listen_tcp(any_port);
    net::conn a = net::dial_tcp(l.local_endpoint());
    // Somebody may still dial the listener that had this port before.
    for (;;) {
        net::conn b = l.accept();
        if (b.remote_endpoint() == a.local_endpoint()) return {std::move(a), std::move(b)};
    }
}

/// type: SOCK_STREAM or SOCK_SEQPACKET.
inline ends local_ends(int type = SOCK_STREAM) {
    int fd[2];
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) != 0) {
        throw std::system_error(errno, std::system_category(), "socketpair");
    }
    net::conn a = net::adopt_conn(fd[0]);
    return {std::move(a), net::adopt_conn(fd[1])};
}

/// Closes a connection so that the other end gets a reset.
inline void reset(net::conn& c) {
    std::error_code ignored;
    c.set_linger(std::chrono::seconds(0), ignored);
    c.close(ignored);
}

// ---- operations, as results -------------------------------------------------------------------

/// The system's errors and those of the standard's that look like them, as one kind.
inline result seen(result r) {
    if (r.ec && r.ec.category() == std::system_category()) {
        r.ec = std::error_code(r.ec.value(), std::generic_category());
    }
    return r;
}

inline result read_of(net::conn& c, std::size_t most) {
    result r{.ec = rubbish()};
    std::vector<std::byte> buffer(most);
    r.n = c.read(buffer, r.ec);
    if (r.n <= most) r.text.assign(reinterpret_cast<const char*>(buffer.data()), r.n);
    return seen(r);
}
inline result write_of(net::conn& c, std::string_view text) {
    result r{.ec = rubbish()};
    r.n = c.write(bytes_of(text), r.ec);
    return seen(r);
}
inline result failed_with(std::errc e, std::size_t n = 0) { return {n, std::make_error_code(e)}; }

/// As read_of, for datagrams.
inline result read_of(net::packet_conn& c, std::size_t most) {
    result r{.ec = rubbish()};
    std::vector<std::byte> buffer(most);
    r.n = c.read(buffer, r.ec);
    if (r.n <= most) r.text.assign(reinterpret_cast<const char*>(buffer.data()), r.n);
    return seen(r);
}
inline result write_of(net::packet_conn& c, std::string_view text) {
    result r{.ec = rubbish()};
    r.n = c.write(bytes_of(text), r.ec);
    return seen(r);
}
inline result write_to(net::packet_conn& c, std::string_view text, const endpoint& to) {
    result r{.ec = rubbish()};
    r.n = c.write_to(bytes_of(text), to, r.ec);
    return seen(r);
}

// ---- bytes that can be checked ----------------------------------------------------------------

/// The byte at a place of stream `seed`: one that is lost, doubled or moved shows at the next look.
constexpr std::byte byte_at(std::uint64_t seed, std::uint64_t at) {
    std::uint64_t x = seed * 0x9E3779B97F4A7C15U + at / 8;
    x = (x ^ (x >> 29)) * 0xBF58476D1CE4E5B9U;
    return static_cast<std::byte>((x ^ (x >> 32)) >> (at % 8 * 8));
}

inline std::vector<std::byte> bytes_from(std::uint64_t seed, std::uint64_t at, std::size_t n) {
    std::vector<std::byte> v(n);
    for (std::size_t i = 0; i < n; ++i) v[i] = byte_at(seed, at + i);
    return v;
}

/// The first place where they are not those of the stream; got.size(): none.
inline std::size_t first_wrong(std::span<const std::byte> got, std::uint64_t seed,
                               std::uint64_t at) {
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (got[i] != byte_at(seed, at + i)) return i;
    }
    return got.size();
}

/// Reads to the end of the stream; how many bytes were right, until an error or a wrong one.
struct taken {
    std::uint64_t right = 0;
    bool wrong = false;
    std::error_code ec;
};
inline taken read_all(net::conn& c, std::uint64_t seed) {
    taken t;
    std::vector<std::byte> buffer(64 * 1024);
    for (;;) {
        const std::size_t n = c.read(buffer, t.ec);
        const std::size_t good = first_wrong(std::span(buffer).first(n), seed, t.right);
        t.right += good;
        t.wrong = good != n;
        if (n == 0 || t.ec || t.wrong) return t;
    }
}

/// Writes bytes [0, n) of the stream in pieces; how many were taken.
inline std::uint64_t write_all(net::conn& c, std::uint64_t seed, std::uint64_t n,
                               std::error_code& ec, std::size_t piece = 64 * 1024) {
    std::uint64_t done = 0;
    while (done < n) {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(piece, n - done));
        done += c.write(bytes_from(seed, done, size), ec);
        if (ec) break;
    }
    return done;
}

// ---- what a process has -----------------------------------------------------------------------

/// How many descriptors are open.
inline int open_descriptors() {
    int n = 0;
    DIR* d = ::opendir("/proc/self/fd");
    if (d == nullptr) return -1;
    while (::readdir(d) != nullptr) ++n;
    ::closedir(d);
    return n - 3;  // ".", "..", and the one that looks
}

/// What is left of it is found at the end: descriptors, goroutines, waits that nobody ended.
class leaves_nothing {
  public:
    leaves_nothing() {
        // The poller's own, made with the first one and kept.
        (void)net::os_pipe();
        before_ = open_descriptors();
    }
    /// "" or what is left.
    std::string text() const {
        std::string all = goroutines_.text();
        wait_until([] { return detail::io_waiters() == 0; }, "all waits to end");
        const int after = open_descriptors();
        if (after != before_) {
            all += std::to_string(after - before_) + " descriptors more than before\n";
        }
        return all;
    }

  private:
    testing::goroutine_leaks goroutines_;
    int before_ = 0;
};

/// A folder of its own, gone with all that is in it.
class temporary_folder {
  public:
    temporary_folder() {
        const char* top = std::getenv("TMPDIR");
        path_ = std::string(top != nullptr ? top : "/tmp") + "/vole-net-XXXXXX";
        if (::mkdtemp(path_.data()) == nullptr) {
            throw std::system_error(errno, std::system_category(), path_);
        }
    }
    ~temporary_folder() {
        if (DIR* d = ::opendir(path_.c_str()); d != nullptr) {
            while (const dirent* e = ::readdir(d)) ::unlink((path_ + "/" + e->d_name).c_str());
            ::closedir(d);
        }
        ::rmdir(path_.c_str());
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;

    std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

  private:
    std::string path_;
};

inline bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace vole::test::loopback
