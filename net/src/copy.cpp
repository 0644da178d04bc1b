// Copying between descriptors. See <vole/net/copy.hpp>.
//
// Splicing goes by way of a pipe of the system, whose content is written before the next is read: so when an error ends
// it, what has been read and not been written is lost, as it would be with a buffer.
#include <vole/net/copy.hpp>

#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <sys/sendfile.h>
#include <unistd.h>

#include <vole/runtime.hpp>

#include "net/src/os.hpp"
#include "net/src/sigpipe_guard.hpp"
#include "net/src/socket.hpp"
#include "net/src/sys.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"

namespace vole::inline v0 {

using namespace detail;

namespace {

using net::conn;

constexpr std::size_t buffer_bytes = 32 * 1024;
constexpr std::size_t pipe_bytes = 256 * 1024;

std::uint64_t copy_by_buffer(conn& to, conn& from, std::uint64_t limit, std::error_code& ec) {
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
    std::uint64_t done = 0;
    ec.clear();
    while (done < limit) {
        const std::size_t most = std::min<std::uint64_t>(buffer_bytes, limit - done);
        const std::size_t n = from.read({buffer.get(), most}, ec);
        if (ec || n == 0) return done;
        done += to.write({buffer.get(), n}, ec);
        if (ec) return done;
    }
    return done;
}

// ---- splice -----------------------------------------------------------------------------------

struct os_pipe_pair {
    int ends[2] = {-1, -1};
    os_pipe_pair() noexcept {
        if (os::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0)
            os::fcntl(ends[1], F_SETPIPE_SZ, pipe_bytes);
    }
    ~os_pipe_pair() {
        for (const int fd : ends) {
            if (fd >= 0) os::close(fd);
        }
    }
    os_pipe_pair(const os_pipe_pair&) = delete;
    os_pipe_pair& operator=(const os_pipe_pair&) = delete;
    bool open() const noexcept { return ends[0] >= 0; }
};

sys::result splice_some(int from, int to, std::size_t n) noexcept {
    const ssize_t r = os::splice(from, nullptr, to, nullptr, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    return r >= 0 ? r : -sys::result{errno};
}

// Into the pipe, one time. 0: the end.
std::int64_t fill(socket* from, const os_pipe_pair& pipe, std::size_t most, std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(from, io_dir::read);
    if (!turn.good()) {
        ec = net::errc::closed;
        return -1;
    }
    from->drained = false;
    return until_ready(from, io_dir::read, ec, [&] {
        return splice_some(from->fd, pipe.ends[1], perhaps_short(fallible::short_read, most));
    });
}

// All that is in it. Gives how much.
std::size_t drain(socket* to, const os_pipe_pair& pipe, std::size_t n, std::error_code& ec) {
    const runtime_entry entry;
    const socket_use turn(to, io_dir::write);
    if (!turn.good()) {
        ec = net::errc::closed;
        return 0;
    }
    std::size_t done = 0;
    while (done < n) {
        const std::int64_t r = until_ready(to, io_dir::write, ec, [&] {
            sigpipe_guard guard;
            return guard.note(splice_some(pipe.ends[0], to->fd, n - done), n - done);
        });
        if (r < 0) return done;
        done += static_cast<std::size_t>(r);
    }
    return done;
}

bool can_splice(const io_object* to, const io_object* from) noexcept {
    const auto fits = [](const io_object* o) {
        if (o == nullptr || o->kind != io_kind::socket) return false;
        return static_cast<const socket*>(o)->type == SOCK_STREAM;
    };
    return fits(to) && fits(from);
}

// False: the kernel does not do that for these two, and nothing has been moved.
bool copy_by_splice(socket* to, socket* from, std::uint64_t limit, std::uint64_t& done,
                    std::error_code& ec) {
    const os_pipe_pair pipe;
    if (!pipe.open()) return false;
    while (done < limit) {
        const std::size_t most = std::min<std::uint64_t>(pipe_bytes, limit - done);
        const std::int64_t n = fill(from, pipe, most, ec);
        if (n < 0 && done == 0 && ec == std::errc::invalid_argument) return false;
        if (n <= 0) return true;
        done += drain(to, pipe, static_cast<std::size_t>(n), ec);
        if (ec) return true;
    }
    return true;
}

struct access : conn {
    static io_object* of(const conn& c) noexcept { return static_cast<const access&>(c).it_; }
};

// ---- sendfile ---------------------------------------------------------------------------------

constexpr std::size_t file_piece = std::size_t{1} << 20;

// A turn that is kept over blocking(), where nobody is inside the runtime.
class long_turn {
  public:
    long_turn(socket* s, io_dir dir) {
        const runtime_entry entry;
        use_.emplace(s, dir);
    }
    ~long_turn() {
        const runtime_pin pin;
        use_.reset();
    }
    long_turn(const long_turn&) = delete;
    long_turn& operator=(const long_turn&) = delete;
    bool good() const noexcept { return use_->good(); }

  private:
    std::optional<socket_use> use_;
};

std::int64_t send_piece(socket* to, int file, std::size_t most, std::error_code& ec) {
    const long_turn turn(to, io_dir::write);
    if (!turn.good()) {
        ec = net::errc::closed;
        return -1;
    }
    for (;;) {
        io_status st = prepare(to->pd, io_dir::write);
        sys::result r = -EAGAIN;
        if (st == io_status::ready) {
            r = blocking([&]() -> sys::result {
                sigpipe_guard guard;
                const ssize_t n =
                    os::sendfile(to->fd, file, nullptr, perhaps_short(fallible::short_write, most));
                return guard.note(n >= 0 ? n : -sys::result{errno}, most);
            });
        }
        if (r >= 0) {
            ec.clear();
            return r;
        }
        if (r == -EINTR) continue;
        if (r != -EAGAIN) {
            ec = system_error_of(r);
            return -1;
        }
        if (st == io_status::ready) {
            const runtime_entry entry;
            st = wait_ready(to->pd, io_dir::write);
        }
        if (st != io_status::ready) {
            ec = error_of(st);
            return -1;
        }
    }
}

// For files or connections that sendfile refuses.
std::uint64_t send_by_buffer(conn& to, int file, std::uint64_t limit, std::error_code& ec) {
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
    std::uint64_t done = 0;
    ec.clear();
    while (done < limit) {
        const std::size_t most = std::min<std::uint64_t>(buffer_bytes, limit - done);
        const sys::result n = blocking([&]() -> sys::result {
            const ssize_t r = os::read(file, buffer.get(), most);
            return r >= 0 ? r : -sys::result{errno};
        });
        if (n == -EINTR) continue;
        if (n < 0) ec = system_error_of(n);
        if (n <= 0) return done;
        const std::size_t written = to.write({buffer.get(), static_cast<std::size_t>(n)}, ec);
        done += written;
        if (ec) {
            // The offset is moved by what was written, as sendfile does.
            ::lseek(file, static_cast<off_t>(written) - static_cast<off_t>(n), SEEK_CUR);
            return done;
        }
    }
    return done;
}

}  // namespace

namespace net {

std::uint64_t copy(conn& to, conn& from, std::uint64_t limit, std::error_code& ec) {
    io_object* out = access::of(to);
    io_object* in = access::of(from);
    std::uint64_t done = 0;
    ec.clear();
    if (can_splice(out, in) && copy_by_splice(as_socket(out), as_socket(in), limit, done, ec)) {
        return done;
    }
    return copy_by_buffer(to, from, limit, ec);
}
std::uint64_t copy(conn& to, conn& from, std::uint64_t limit) {
    std::error_code ec;
    const std::uint64_t n = copy(to, from, limit, ec);
    if (ec) throw_op_error(ec, "copy", access::of(to));
    return n;
}

std::uint64_t send_file(conn& to, int file, std::uint64_t limit, std::error_code& ec) {
    io_object* out = access::of(to);
    if (out == nullptr || out->kind != io_kind::socket) return send_by_buffer(to, file, limit, ec);
    std::uint64_t done = 0;
    ec.clear();
    while (done < limit) {
        const std::size_t most = std::min<std::uint64_t>(file_piece, limit - done);
        const std::int64_t n = send_piece(as_socket(out), file, most, ec);
        const bool refused =
            ec == std::errc::invalid_argument || ec == std::errc::function_not_supported;
        if (n < 0 && done == 0 && refused) return send_by_buffer(to, file, limit, ec);
        if (n <= 0) return done;
        done += static_cast<std::uint64_t>(n);
    }
    return done;
}
std::uint64_t send_file(conn& to, int file, std::uint64_t limit) {
    std::error_code ec;
    const std::uint64_t n = send_file(to, file, limit, ec);
    if (ec) throw_op_error(ec, "sendfile", access::of(to));
    return n;
}

}  // namespace net

}  // namespace vole
