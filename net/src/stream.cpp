// Reading and writing streams: the hot path. See socket.hpp.
//
// A read that gets less than it asked for has emptied a TCP socket: the next one need not try, but waits for an edge. That
// spares each request of a server one system call of three. It holds unless the poller has seen an end of stream, an
// error or urgent data (io_event::uncertain): what came in the same edge as the data is not reported again. Sockets of
// other kinds stop short for reasons of their own (AF_UNIX: where the sender's credentials change).
//
// Stack: goroutine or thread; what parks here may run on a stack of 2 KiB.
#include "net/src/sigpipe_guard.hpp"
#include "net/src/socket.hpp"
#include "net/src/sys.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/may_fail.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

std::size_t capped(std::size_t n) noexcept { return n < most_at_once ? n : most_at_once; }

// How much of n bytes one call is to transfer: less than there is does no harm to a stream.
std::size_t at_once(fallible row, const socket* s, std::size_t n) noexcept {
    const bool stream = s->type == 0 || s->type == SOCK_STREAM;
    return stream ? perhaps_short(row, capped(n)) : capped(n);
}

// Waits first where trying would be in vain. False: ec says why.
bool await_edge(socket* s, std::error_code& ec) {
    s->drained = false;
    if (!s->pd->short_read_is_all()) return true;
    const io_status st = wait_ready(s->pd, io_dir::read);
    if (st == io_status::ready) return true;
    ec = error_of(st);
    return false;
}

[[gnu::noinline]] sys::result write_file(int fd, const iovec* from, int n) noexcept {
    sys::result r = 0;
    deep([&] {
        sigpipe_guard guard;
        r = guard.note(sys::writev(fd, from, n));
    });
    return r;
}

sys::result send_pieces(const socket* s, iovec* from, int n) noexcept {
    if (s->type == 0) return write_file(s->fd, from, n);
    msghdr m{};
    m.msg_iov = from;
    m.msg_iovlen = static_cast<std::size_t>(n);
    return sys::send(s->fd, &m);
}

sys::result send_some(const socket* s, const std::byte* from, std::size_t n) noexcept {
    if (s->type != 0) return sys::send(s->fd, from, n);
    const iovec one{const_cast<std::byte*>(from), n};
    return write_file(s->fd, &one, 1);
}

}  // namespace

std::size_t socket_read(socket* s, std::span<std::byte> to, std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(s, io_dir::read);
    if (!turn.good()) [[unlikely]] {
        ec = net::errc::closed;
        return 0;
    }
    if (to.empty()) {
        ec.clear();
        return 0;
    }
    if (s->drained && !await_edge(s, ec)) return 0;
    const std::size_t most = at_once(fallible::short_read, s, to.size());
    const std::int64_t n = until_ready(s, io_dir::read, ec, [&] {
        return s->type != 0 ? sys::recv(s->fd, to.data(), most) : sys::read(s->fd, to.data(), most);
    });
    if (n < 0) return 0;
    const auto got = static_cast<std::size_t>(n);
    s->drained = s->short_is_all && got != 0 && got < most;
    return got;
}

void socket_wait_readable(socket* s, std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(s, io_dir::read);
    if (!turn.good()) [[unlikely]] {
        ec = net::errc::closed;
        return;
    }
    if (s->drained && !await_edge(s, ec)) return;
    (void)until_ready(s, io_dir::read, ec, [&] { return sys::poll_in(s->fd); });
}

std::size_t socket_write(socket* s, std::span<const std::byte> from, std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(s, io_dir::write);
    if (!turn.good()) [[unlikely]] {
        ec = net::errc::closed;
        return 0;
    }
    std::size_t done = 0;
    // Once for nothing at all: a packet of no bytes; and errors show.
    do {
        const std::int64_t n = until_ready(s, io_dir::write, ec, [&] {
            const std::size_t most = at_once(fallible::short_write, s, from.size() - done);
            return send_some(s, from.data() + done, most);
        });
        if (n < 0) return done;
        if (n == 0 && !from.empty()) {
            ec = net::errc::unexpected_eof;
            return done;
        }
        done += static_cast<std::size_t>(n);
    } while (done < from.size());
    return done;
}

namespace {

// Where a gathered write stands: the piece, and how much of it has gone.
struct pieces {
    std::span<const std::span<const std::byte>> left;
    std::size_t offset = 0;

    int fill(iovec* out, int most, std::size_t room) const noexcept {
        int n = 0;
        std::size_t skip = offset;
        for (const auto& piece : left) {
            const std::size_t rest = piece.size() - skip;
            const std::size_t size = rest < room ? rest : room;
            if (n == most || room == 0) break;
            if (size != 0) out[n++] = {const_cast<std::byte*>(piece.data()) + skip, size};
            room -= size;
            skip = 0;
        }
        return n;
    }
    void advance(std::size_t n) noexcept {
        while (!left.empty() && n >= left[0].size() - offset) {
            n -= left[0].size() - offset;
            left = left.subspan(1);
            offset = 0;
        }
        offset += n;
    }
};

// Not in the writer: a small stack has no room for the vector, and most writes are of a few pieces.
template <std::size_t most>
std::size_t write_pieces(socket* s, pieces p, std::error_code& ec) {
    iovec vector[most];
    std::size_t done = 0;
    for (;;) {
        const int count =
            p.fill(vector, static_cast<int>(most), at_once(fallible::short_write, s, most_at_once));
        if (count == 0) return done;
        const std::int64_t n =
            until_ready(s, io_dir::write, ec, [&] { return send_pieces(s, vector, count); });
        if (n < 0) return done;
        if (n == 0) {
            ec = net::errc::unexpected_eof;
            return done;
        }
        done += static_cast<std::size_t>(n);
        p.advance(static_cast<std::size_t>(n));
    }
}

constexpr std::size_t few = 16;
constexpr std::size_t many = 256;

}  // namespace

std::size_t socket_write_v(socket* s, std::span<const std::span<const std::byte>> from,
                           std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(s, io_dir::write);
    if (!turn.good()) [[unlikely]] {
        ec = net::errc::closed;
        return 0;
    }
    ec.clear();
    if (from.size() <= few) return write_pieces<few>(s, {from}, ec);
    std::size_t n = 0;
    stack::ensure(many * sizeof(iovec) + throw_bytes,
                  [&] { n = write_pieces<many>(s, {from}, ec); });
    return n;
}

}  // namespace vole::detail
