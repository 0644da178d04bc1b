// A descriptor in the poller: a socket, or any other file that can be polled.
//
// Every operation takes its turn (fd_lock), tries the system call, and waits if the kernel says EAGAIN. A close takes no
// turn: it evicts those who wait, and the last one who uses the descriptor ends it.
//
// Locks: none here. Stack: goroutine or thread. Each function below is an operation of its own: it enters the runtime, and
// clears ec on success.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include <vole/context.hpp>
#include <vole/net/conn.hpp>

#include "net/src/fd_lock.hpp"
#include "net/src/io_object.hpp"
#include "net/src/poll_desc.hpp"
#include "net/src/sockaddr.hpp"

namespace vole::inline v0::detail {

struct socket final : io_object {
    socket() noexcept : io_object(io_kind::socket) {}

    fd_lock lock;
    poll_desc* pd = nullptr;
    int fd = -1;
    std::int16_t family = 0;  // AF_...
    std::int16_t type = 0;    // SOCK_...; 0: no socket
    bool tcp = false;
    bool short_is_all =
        false;             // plain TCP: a read that gets less than asked for has got all there was
    bool drained = false;  // so it was, last time. The reader's
    bool connected = false;  // of a packet socket
    bool unlink_on_close = false;
    bool released = false;  // the descriptor is not closed with it

    bool is_stream() const noexcept { return type == 0 || type == SOCK_STREAM; }
};

inline socket* as_socket(io_object* o) noexcept { return static_cast<socket*>(o); }

/// How long the system lets anyone read or write at a time; a larger request is done in part.
inline constexpr std::size_t most_at_once = std::size_t{1} << 30;

std::error_code error_of(io_status s) noexcept;
std::error_code system_error_of(std::int64_t negative) noexcept;

// ---- life: socket.cpp -----------------------------------------------------------------------

/// Makes a socket of the system, or gives an error.
int make_fd(int family, int type, int protocol, std::error_code& ec) noexcept;
/// Takes fd over, on success only. Its endpoints and options are the caller's business.
socket* make_socket(int fd, std::int16_t family, std::int16_t type, const char* network,
                    std::error_code& ec);
void socket_close(socket* s, std::error_code& ec) noexcept;
void socket_destroy(socket* s) noexcept;
/// Closes it but for the descriptor, which it gives; frees s. -1: it was closed.
int socket_release(socket* s, std::error_code& ec) noexcept;
/// Ends a lock.hold(). Inside the runtime.
void socket_let_go(socket* s) noexcept;
void socket_set_deadline(socket* s, unsigned directions, clock::time_point t, std::error_code& ec);
void socket_shutdown(socket* s, int how, std::error_code& ec) noexcept;
void socket_option(socket* s, int level, int name, const void* value, unsigned size,
                   std::error_code& ec) noexcept;
/// Options of every TCP connection. On a listener: the kernel passes them on to what it accepts.
void set_tcp_defaults(int fd, const net::conn::keep_alive& k) noexcept;
void apply_keep_alive(socket* s, const net::conn::keep_alive& k, std::error_code& ec) noexcept;

/// One that nobody else knows yet: destroyed, unless it is given on.
struct socket_owner {
    socket* s;
    explicit socket_owner(socket* mine) noexcept : s(mine) {}
    ~socket_owner() {
        if (s != nullptr) socket_destroy(s);
    }
    socket_owner(const socket_owner&) = delete;
    socket_owner& operator=(const socket_owner&) = delete;
    socket* give() noexcept { return std::exchange(s, nullptr); }
};

/// By the last one who uses a closed one.
void end_descriptor(socket* s) noexcept;

/// One operation's stay: keeps the descriptor open while it exists.
class socket_use {
  public:
    /// Any time. Not good(): it is closed.
    explicit socket_use(socket* s) : s_(s), good_(s->lock.hold()) {}
    socket_use(socket* s, io_dir dir) : s_(s), dir_(dir), turn_(true), good_(take_turn()) {}
    ~socket_use() {
        if (good_ && (turn_ ? s_->lock.leave(dir_) : s_->lock.let_go())) [[unlikely]]
            end_descriptor(s_);
    }
    socket_use(const socket_use&) = delete;
    socket_use& operator=(const socket_use&) = delete;
    bool good() const noexcept { return good_; }

  private:
    bool take_turn() {
        const fd_lock::entered e = s_->lock.enter(dir_);
        if (e == fd_lock::entered::closed_last) [[unlikely]]
            end_descriptor(s_);
        return e == fd_lock::entered::yes;
    }

    socket* s_;
    io_dir dir_ = io_dir::read;
    bool turn_ = false;
    bool good_;
};

/// The heart of all that waits: `call()` gives a result of sys, again and again until it is not EAGAIN. Gives that.
/// In the direction's turn.
template <class F>
std::int64_t until_ready(socket* s, io_dir dir, std::error_code& ec, F&& call) {
    for (;;) {
        if (const io_status st = prepare(s->pd, dir); st != io_status::ready) [[unlikely]] {
            ec = error_of(st);
            return -1;
        }
        const std::int64_t r = call();
        if (r >= 0) [[likely]] {
            if (ec) ec.clear();  // a call of the C++ library's
            return r;
        }
        if (r == -EINTR) continue;
        if (r != -EAGAIN) {
            ec = system_error_of(r);
            return -1;
        }
        if (const io_status st = wait_ready(s->pd, dir); st != io_status::ready) [[unlikely]] {
            ec = error_of(st);
            return -1;
        }
    }
}

// ---- streams: stream.cpp --------------------------------------------------------------------
std::size_t socket_read(socket* s, std::span<std::byte> to, std::error_code& ec);
void socket_wait_readable(socket* s, std::error_code& ec);
std::size_t socket_write(socket* s, std::span<const std::byte> from, std::error_code& ec);
std::size_t socket_write_v(socket* s, std::span<const std::span<const std::byte>> from,
                           std::error_code& ec);

// ---- listeners and connecting: listen.cpp, connect.cpp ----------------------------------------
socket* socket_accept(socket* s, std::error_code& ec);
/// Begins to connect, before the poller knows fd: it calls a socket that nobody has connected hung up, and every read of it
/// would be uncertain from then on. True: it is connected. False: an error, or it is under way.
bool begin_connect(int fd, const socket_address& to, std::error_code& ec) noexcept;
/// Waits until s, which is under way, is connected, or ctx has ended.
void await_connected(socket* s, const context& ctx, std::error_code& ec);

}  // namespace vole::detail
