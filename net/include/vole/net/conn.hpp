// Connections: streams of bytes between two ends.
//
// Locks: none that a caller could see. Reads of one connection go one after the other, and so do writes; a read and a
// write go on at the same time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>

#include <vole/net/endpoint.hpp>
#include <vole/net/error.hpp>
#include <vole/time.hpp>

namespace vole::inline v0::detail {
struct io_object;  // net/src/io_object.hpp
}

namespace vole::inline v0::net {

/// What connections, listeners and packet sockets have in common: the ownership of something open. Movable; the
/// destructor closes it. One that is empty, moved from or released answers every operation with
/// std::errc::invalid_argument.
class open_object {
  public:
    open_object() noexcept = default;
    open_object(open_object&& other) noexcept : it_(std::exchange(other.it_, nullptr)) {}
    open_object& operator=(open_object&& other) noexcept {
        if (this != &other) {
            destroy();
            it_ = std::exchange(other.it_, nullptr);
        }
        return *this;
    }
    ~open_object() { destroy(); }

    /// Whether there is something; it may be closed already.
    explicit operator bool() const noexcept { return it_ != nullptr; }

    /// Wakes all who wait in it, waits until the last of them has left, and closes the descriptor. Data that was
    /// written is still sent (see set_linger). A second one: errc::closed.
    void close();
    void close(std::error_code& ec) noexcept;

    /// Until when reads and writes may wait: those that are waiting now, too. Past, or now: at once, even where there
    /// would be data. A later one makes it usable again; nothing is lost. time_point{}: no limit. In a bubble
    /// the delay is the bubble's, but sockets wait in real time: use pipe() there.
    void set_deadline(clock::time_point t);
    void set_deadline(clock::time_point t, std::error_code& ec);
    void set_read_deadline(clock::time_point t);  ///< of reads, and of accept
    void set_read_deadline(clock::time_point t, std::error_code& ec);
    void set_write_deadline(clock::time_point t);
    void set_write_deadline(clock::time_point t, std::error_code& ec);

    /// Also after close(). Empty where there is none.
    [[nodiscard]] const endpoint& local_endpoint() const noexcept;

    /// Calls f(fd) while the descriptor cannot be closed; f must not close it, nor make it blocking, nor wait.
    /// Gives what f gives.
    template <class F>
    auto control(F&& f) -> std::invoke_result_t<F&, int> {
        const pinned p(*this, "control");
        return f(p.fd());
    }

    /// A second descriptor for the same socket, closed on exec. Its owner must leave it non-blocking, which is a
    /// property of both.
    [[nodiscard]] int dup();
    [[nodiscard]] int dup(std::error_code& ec) noexcept;

    /// Gives up the descriptor, non-blocking and open: whoever waits gets errc::closed, as in close(); then this is
    /// empty.
    [[nodiscard]] int release();
    [[nodiscard]] int release(std::error_code& ec) noexcept;

  protected:
    explicit open_object(detail::io_object* it) noexcept : it_(it) {}

    class pinned {
      public:
        pinned(const open_object& of, const char* op);
        ~pinned();
        pinned(const pinned&) = delete;
        pinned& operator=(const pinned&) = delete;
        [[nodiscard]] int fd() const noexcept { return fd_; }

      private:
        detail::io_object* it_;
        int fd_;
    };

    detail::io_object* it_ = nullptr;

  private:
    void destroy() noexcept {
        if (it_ != nullptr) destroy_slow();
    }
    void destroy_slow() noexcept;
};

/// Both ends of a stream: TCP, a local socket, one end of pipe(), or a pollable file (file.hpp).
class conn : public open_object {
  public:
    conn() noexcept = default;
    explicit conn(detail::io_object* it) noexcept : open_object(it) {}

    /// Waits until there is something, and reads it: between 1 byte and to.size(). 0: the other end has said that
    /// nothing more will come (and again each time), or `to` is empty. Data that came before an error is read first.
    [[nodiscard]] std::size_t read(std::span<std::byte> to);
    [[nodiscard]] std::size_t read(std::span<std::byte> to, std::error_code& ec);

    /// Waits until a read would not have to: there is something, or the end, or an error for it. So a connection that is
    /// idle needs no buffer, nor the frame it lies in. Not for pipe(): std::errc::operation_not_supported.
    void wait_readable();
    void wait_readable(std::error_code& ec);

    /// Fills `to`. errc::unexpected_eof if the stream ends before; gives how much there was.
    std::size_t read_full(std::span<std::byte> to);
    std::size_t read_full(std::span<std::byte> to, std::error_code& ec);

    /// Writes all of it, and gives from.size(); the bytes of two writes never mix. On an error, how many were taken
    /// before it (the form that throws cannot say).
    std::size_t write(std::span<const std::byte> from);
    std::size_t write(std::span<const std::byte> from, std::error_code& ec);

    /// The same for several pieces, one behind the other, with as few calls as the system allows.
    std::size_t write_v(std::span<const std::span<const std::byte>> from);
    std::size_t write_v(std::span<const std::span<const std::byte>> from, std::error_code& ec);

    /// Nothing more will be written: the other end reads what there is, then the end. Reads go on.
    void close_write();
    void close_write(std::error_code& ec) noexcept;
    /// Nothing more will be read.
    void close_read();
    void close_read(std::error_code& ec) noexcept;

    [[nodiscard]] const endpoint& remote_endpoint() const noexcept;

    // Options of TCP. std::errc::operation_not_supported elsewhere.

    /// Small writes are sent at once (the default for every TCP connection here).
    void set_no_delay(bool on);
    void set_no_delay(bool on, std::error_code& ec) noexcept;
    /// Asks a silent peer whether it is there: after `idle`, each `interval`, `count` times. Zero: the default (15 s, 15 s,
    /// 9); a negative one leaves the system's.
    struct keep_alive {
        bool on = true;
        std::chrono::seconds idle{0};
        std::chrono::seconds interval{0};
        int count = 0;
    };
    void set_keep_alive(const keep_alive& how);
    void set_keep_alive(const keep_alive& how, std::error_code& ec) noexcept;
    /// Negative (the default): close() returns at once, and what was written is sent. 0: it is thrown away, and the
    /// other end gets a reset. Positive: close() may wait for so long.
    void set_linger(std::chrono::seconds s);
    void set_linger(std::chrono::seconds s, std::error_code& ec) noexcept;

    // Options of all sockets.
    void set_read_buffer(int bytes);
    void set_read_buffer(int bytes, std::error_code& ec) noexcept;
    void set_write_buffer(int bytes);
    void set_write_buffer(int bytes, std::error_code& ec) noexcept;
};

/// A connection that is known to be TCP.
class tcp_conn : public conn {
  public:
    tcp_conn() noexcept = default;
    explicit tcp_conn(detail::io_object* it) noexcept : conn(it) {}
};

/// A local stream or sequence of packets ("unix", "unixpacket").
class unix_conn : public conn {
  public:
    unix_conn() noexcept = default;
    explicit unix_conn(detail::io_object* it) noexcept : conn(it) {}
};

/// Two ends in memory, without a buffer: a write returns when all of it has been read. Deadlines work, in virtual time as
/// well; those who wait in it in a bubble are durably blocked. No descriptor stands behind it: control(), dup() and
/// release() give std::errc::operation_not_supported.
[[nodiscard]] std::pair<conn, conn> pipe();

}  // namespace vole::net
