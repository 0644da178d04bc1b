// A descriptor on its way to being a socket of ours: closed, unless it gets there.
#pragma once

#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

#include "net/src/os.hpp"
#include "net/src/socket.hpp"

namespace vole::inline v0::detail {

class fresh_fd {
  public:
    fresh_fd(int family, int type, std::error_code& ec) noexcept
        : fd_(make_fd(family, type, 0, ec)) {}
    /// TCP; by several paths if that is wanted and the kernel has it.
    static constexpr int mptcp = 262;  // IPPROTO_MPTCP, which older headers lack
    fresh_fd(int family, bool multipath, std::error_code& ec) noexcept {
        if (multipath) fd_ = make_fd(family, SOCK_STREAM, mptcp, ec);
        multipath_ = fd_ >= 0;
        if (!multipath_) fd_ = make_fd(family, SOCK_STREAM, 0, ec);
    }
    ~fresh_fd() {
        if (fd_ >= 0) os::close(fd_);
    }
    fresh_fd(const fresh_fd&) = delete;
    fresh_fd& operator=(const fresh_fd&) = delete;

    int get() const noexcept { return fd_; }

    // Each does nothing if there is an error already.
    void set(int level, int name, int value, std::error_code& ec) const noexcept {
        if (!ec && os::setsockopt(fd_, level, name, &value, sizeof value) != 0) {
            ec = system_error_of(-errno);
        }
    }
    template <class Control>
    void let_user(const Control& control, std::error_code& ec) const {
        if (!ec && control) ec = control(fd_);
    }
    void bind(int af, const net::endpoint& at, std::error_code& ec) const noexcept {
        socket_address a;
        if (ec) return;
        if (!to_sockaddr(at, af, a)) {
            ec = net::errc::address_mismatch;
        } else if (os::bind(fd_, a.get(), a.size) != 0) {
            ec = system_error_of(-errno);
        }
    }
    /// Null: ec says why; it may have been there before.
    socket* become_socket(int af, int type, const char* network, std::error_code& ec) {
        if (ec) return nullptr;
        socket* s = make_socket(fd_, static_cast<std::int16_t>(af), static_cast<std::int16_t>(type),
                                network, ec);
        if (s == nullptr) return nullptr;
        fd_ = -1;
        if (multipath_) s->short_is_all = false;  // what one path has brought is not all
        return s;
    }

    /// Of one that is bound to a local path, which goes with it; and at once if there is an error or no memory.
    socket* become_bound(const net::endpoint& at, int type, const char* network,
                         std::error_code& ec) {
        socket_owner mine{nullptr};
        bound_path path{at};  // it goes first
        mine.s = become_socket(AF_UNIX, type, network, ec);
        if (mine.s == nullptr) return nullptr;
        mine.s->local = at;
        mine.s->unlink_on_close = true;
        path.taken = true;
        return mine.give();
    }

  private:
    /// Unlinked, unless somebody has taken it over.
    struct bound_path {
        const net::endpoint& at;
        bool taken = false;
        ~bound_path() {
            if (!taken && at.path()[0] != '@') os::unlink(at.path().c_str());
        }
    };

    int fd_ = -1;
    bool multipath_ = false;
};

/// "tcp4" and its like as literals, which a socket keeps.
inline const char* network_literal(std::string_view network) noexcept {
    for (const char* n : {"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram"}) {
        if (network == n) return n;
    }
    return "unixpacket";
}

}  // namespace vole::detail
