// The public classes: each call goes to the socket, or to the end of a pipe, that stands behind it; each throwing form to
// the other one.
//
// Stack: goroutine or thread. What parks may run on a stack of 2 KiB.
#include <vole/net/conn.hpp>

#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "net/src/os.hpp"
#include "net/src/pipe.hpp"
#include "net/src/socket.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/never_destroyed.hpp"

namespace vole::inline v0 {

using namespace detail;

VOLE_FITS_SMALL_STACK;

namespace {

bool is_pipe(const io_object* o) noexcept { return o->kind == io_kind::pipe; }

std::error_code invalid() noexcept { return std::make_error_code(std::errc::invalid_argument); }
std::error_code unsupported() noexcept {
    return std::make_error_code(std::errc::operation_not_supported);
}

// Of its own, so that writing to a socket ends in a jump there: see sys.hpp.
[[gnu::noinline]] std::size_t write_to_pipe(io_object* it, std::span<const std::byte> from,
                                            std::error_code& ec) {
    return pipe_write(it, {&from, 1}, ec);
}

// Null: ec says that there is nothing, or no socket.
socket* socket_of(io_object* o, std::error_code& ec) noexcept {
    if (o == nullptr) {
        ec = invalid();
        return nullptr;
    }
    if (is_pipe(o)) {
        ec = unsupported();
        return nullptr;
    }
    return as_socket(o);
}

void set_deadline(io_object* it, unsigned directions, clock::time_point t, std::error_code& ec) {
    if (it == nullptr) {
        ec = invalid();
    } else if (is_pipe(it)) {
        pipe_set_deadline(it, directions, t.time_since_epoch().count(), ec);
    } else {
        socket_set_deadline(as_socket(it), directions, t, ec);
    }
}

}  // namespace

namespace net {

// ---- open_object ------------------------------------------------------------------------------

void open_object::destroy_slow() noexcept {
    if (is_pipe(it_)) {
        pipe_destroy(it_);
    } else {
        socket_destroy(as_socket(it_));
    }
}

void open_object::close(std::error_code& ec) noexcept {
    if (it_ == nullptr) {
        ec = invalid();
    } else if (is_pipe(it_)) {
        pipe_close(it_, ec);
    } else {
        socket_close(as_socket(it_), ec);
    }
}
void open_object::close() {
    std::error_code ec;
    close(ec);
    check(ec, "close", it_);
}

void open_object::set_deadline(clock::time_point t, std::error_code& ec) {
    vole::set_deadline(it_, dir_read | dir_write, t, ec);
}
void open_object::set_deadline(clock::time_point t) {
    std::error_code ec;
    set_deadline(t, ec);
    check(ec, "set", it_);
}
void open_object::set_read_deadline(clock::time_point t, std::error_code& ec) {
    vole::set_deadline(it_, dir_read, t, ec);
}
void open_object::set_read_deadline(clock::time_point t) {
    std::error_code ec;
    set_read_deadline(t, ec);
    check(ec, "set", it_);
}
void open_object::set_write_deadline(clock::time_point t, std::error_code& ec) {
    vole::set_deadline(it_, dir_write, t, ec);
}
void open_object::set_write_deadline(clock::time_point t) {
    std::error_code ec;
    set_write_deadline(t, ec);
    check(ec, "set", it_);
}

const endpoint& open_object::local_endpoint() const noexcept {
    return it_ != nullptr ? it_->local : never_destroyed<const net::endpoint>();
}

open_object::pinned::pinned(const open_object& of, const char* op) : it_(of.it_) {
    std::error_code ec;
    socket* s = socket_of(it_, ec);
    if (s != nullptr) {
        const runtime_pin pin;
        if (!s->lock.hold()) ec = errc::closed;
    }
    check(ec, op, it_);
    fd_ = s->fd;
}
open_object::pinned::~pinned() {
    const runtime_pin pin;
    socket_let_go(as_socket(it_));
}

int open_object::dup(std::error_code& ec) noexcept {
    socket* s = socket_of(it_, ec);
    if (s == nullptr) return -1;
    const runtime_pin pin;
    const socket_use use(s);
    if (!use.good()) {
        ec = errc::closed;
        return -1;
    }
    const int fd = os::fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    ec = fd < 0 ? system_error_of(-errno) : std::error_code();
    return fd;
}
int open_object::dup() {
    std::error_code ec;
    const int fd = dup(ec);
    check(ec, "dup", it_);
    return fd;
}

int open_object::release(std::error_code& ec) noexcept {
    socket* s = socket_of(it_, ec);
    if (s == nullptr) return -1;
    const int fd = socket_release(s, ec);
    if (fd < 0) return -1;
    it_ = nullptr;
    return fd;
}
int open_object::release() {
    std::error_code ec;
    const int fd = release(ec);
    check(ec, "release", it_);
    return fd;
}

// ---- streams ----------------------------------------------------------------------------------

std::size_t conn::read(std::span<std::byte> to, std::error_code& ec) {
    if (it_ == nullptr) [[unlikely]] {
        ec = invalid();
        return 0;
    }
    if (is_pipe(it_)) return pipe_read(it_, to, ec);
    return socket_read(as_socket(it_), to, ec);
}
std::size_t conn::read(std::span<std::byte> to) {
    std::error_code ec;
    const std::size_t n = read(to, ec);
    check(ec, "read", it_);
    return n;
}

void conn::wait_readable(std::error_code& ec) {
    if (socket* s = socket_of(it_, ec); s != nullptr) socket_wait_readable(s, ec);
}
void conn::wait_readable() {
    std::error_code ec;
    wait_readable(ec);
    check(ec, "read", it_);
}

std::size_t conn::read_full(std::span<std::byte> to, std::error_code& ec) {
    std::size_t done = 0;
    do {
        const std::size_t n = read(to.subspan(done), ec);
        if (ec) return done;
        if (n == 0 && !to.empty()) {
            ec = errc::unexpected_eof;
            return done;
        }
        done += n;
    } while (done < to.size());
    return done;
}
std::size_t conn::read_full(std::span<std::byte> to) {
    std::error_code ec;
    const std::size_t n = read_full(to, ec);
    check(ec, "read", it_);
    return n;
}

std::size_t conn::write(std::span<const std::byte> from, std::error_code& ec) {
    if (it_ == nullptr) [[unlikely]] {
        ec = invalid();
        return 0;
    }
    if (is_pipe(it_)) return write_to_pipe(it_, from, ec);
    return socket_write(as_socket(it_), from, ec);
}
std::size_t conn::write(std::span<const std::byte> from) {
    std::error_code ec;
    const std::size_t n = write(from, ec);
    check(ec, "write", it_);
    return n;
}

std::size_t conn::write_v(std::span<const std::span<const std::byte>> from, std::error_code& ec) {
    if (it_ == nullptr) [[unlikely]] {
        ec = invalid();
        return 0;
    }
    if (is_pipe(it_)) return pipe_write(it_, from, ec);
    return socket_write_v(as_socket(it_), from, ec);
}
std::size_t conn::write_v(std::span<const std::span<const std::byte>> from) {
    std::error_code ec;
    const std::size_t n = write_v(from, ec);
    check(ec, "write", it_);
    return n;
}

void conn::close_write(std::error_code& ec) noexcept {
    if (it_ != nullptr && is_pipe(it_)) return pipe_shutdown(it_, dir_write, ec);
    if (socket* s = socket_of(it_, ec); s != nullptr) socket_shutdown(s, SHUT_WR, ec);
}
void conn::close_write() {
    std::error_code ec;
    close_write(ec);
    check(ec, "close", it_);
}
void conn::close_read(std::error_code& ec) noexcept {
    if (it_ != nullptr && is_pipe(it_)) return pipe_shutdown(it_, dir_read, ec);
    if (socket* s = socket_of(it_, ec); s != nullptr) socket_shutdown(s, SHUT_RD, ec);
}
void conn::close_read() {
    std::error_code ec;
    close_read(ec);
    check(ec, "close", it_);
}

const endpoint& conn::remote_endpoint() const noexcept {
    return it_ != nullptr ? it_->remote : never_destroyed<const net::endpoint>();
}

// ---- options ----------------------------------------------------------------------------------

namespace {

template <class T>
void set_option(io_object* it, int level, int name, const T& value, std::error_code& ec) noexcept {
    if (socket* s = socket_of(it, ec); s != nullptr) {
        socket_option(s, level, name, &value, sizeof value, ec);
    }
}

// Of a TCP connection. Null: ec says why not.
socket* tcp_of(io_object* it, std::error_code& ec) noexcept {
    socket* s = socket_of(it, ec);
    if (s == nullptr || s->tcp) return s;
    ec = unsupported();
    return nullptr;
}

}  // namespace

void conn::set_no_delay(bool on, std::error_code& ec) noexcept {
    const int value = on ? 1 : 0;
    if (tcp_of(it_, ec) != nullptr) set_option(it_, IPPROTO_TCP, TCP_NODELAY, value, ec);
}
void conn::set_no_delay(bool on) {
    std::error_code ec;
    set_no_delay(on, ec);
    check(ec, "set", it_);
}

void conn::set_keep_alive(const keep_alive& how, std::error_code& ec) noexcept {
    if (socket* s = tcp_of(it_, ec); s != nullptr) apply_keep_alive(s, how, ec);
}
void conn::set_keep_alive(const keep_alive& how) {
    std::error_code ec;
    set_keep_alive(how, ec);
    check(ec, "set", it_);
}

void conn::set_linger(std::chrono::seconds t, std::error_code& ec) noexcept {
    const auto s = t.count();
    const linger value{s >= 0 ? 1 : 0, s < 0 ? 0 : static_cast<int>(s < 32767 ? s : 32767)};
    if (tcp_of(it_, ec) != nullptr) set_option(it_, SOL_SOCKET, SO_LINGER, value, ec);
}
void conn::set_linger(std::chrono::seconds t) {
    std::error_code ec;
    set_linger(t, ec);
    check(ec, "set", it_);
}

void conn::set_read_buffer(int bytes, std::error_code& ec) noexcept {
    set_option(it_, SOL_SOCKET, SO_RCVBUF, bytes, ec);
}
void conn::set_read_buffer(int bytes) {
    std::error_code ec;
    set_read_buffer(bytes, ec);
    check(ec, "set", it_);
}
void conn::set_write_buffer(int bytes, std::error_code& ec) noexcept {
    set_option(it_, SOL_SOCKET, SO_SNDBUF, bytes, ec);
}
void conn::set_write_buffer(int bytes) {
    std::error_code ec;
    set_write_buffer(bytes, ec);
    check(ec, "set", it_);
}

}  // namespace net

}  // namespace vole
