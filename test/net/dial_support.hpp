// What the tests of dialling share: a dialler that counts its sockets.
#pragma once

#include "test/net/socket_support.hpp"

#include <functional>

namespace vole::test {

inline const std::error_code fine{};

/// AF_INET, AF_INET6, AF_UNIX.
inline int domain_of(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    return domain;
}

/// Gives errors only, and knows how many sockets were made for how many addresses.
class counted_dialer : public net::dialer {
  public:
    /// `hook` gets each descriptor, and its number from 1 on; in the goroutine that dials with it.
    explicit counted_dialer(std::function<void(int fd, int n)> hook = {}) : hook_(std::move(hook)) {
        control = [this](int fd) {
            if (domain_of(fd) == AF_INET6) ++six_;
            const int n = ++count_;
            if (hook_) hook_(fd, n);
            return std::error_code();
        };
    }
    counted_dialer(const counted_dialer&) = delete;
    counted_dialer& operator=(const counted_dialer&) = delete;

    std::error_code dial(std::string_view network, std::string_view address,
                         const context& ctx = context::background()) {
        std::error_code ec = rubbish();
        conn_ = net::dialer::dial(network, address, ctx, ec);
        if (bool(conn_) == bool(ec)) std::abort();
        return ec;
    }
    int sockets() const { return count_; }
    int sockets_of_ipv6() const { return six_; }
    /// What was dialled last.
    net::conn& conn() { return conn_; }

  private:
    std::function<void(int fd, int n)> hook_;
    std::atomic<int> count_{0};
    std::atomic<int> six_{0};
    net::conn conn_;
};

}  // namespace vole::test
