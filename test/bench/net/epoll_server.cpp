// The hand-written loop: one thread, epoll, level-triggered. `net-epoll echo|hello`.
//
// What is read is answered at once, without asking whether it can be written. If it cannot, the rest
// waits in the connection, which is not read before that is gone.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/bench/net/wire.hpp"

namespace {

using namespace net_bench;

struct connection {
    int fd;
    bool writing = false;
    std::string unread;  // the beginning of a request
    std::string unsent;  // the end of an answer
};

class server {
  public:
    explicit server(bool echo) : echo_(echo) {}

    int run() {
        if (!listen()) return 1;
        std::array<epoll_event, 512> events;
        for (;;) {
            const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
            if (n < 0 && errno != EINTR) return failed("epoll_wait");
            for (int i = 0; i < n; ++i) {
                const epoll_event& e = events[static_cast<std::size_t>(i)];
                if (e.data.ptr == &listener_) {
                    accept_all();
                } else if (e.data.ptr == this) {
                    if (read(STDIN_FILENO, buffer_.data(), buffer_.size()) <= 0) return 0;
                } else {
                    auto* c = static_cast<connection*>(e.data.ptr);
                    if (!((e.events & EPOLLOUT) != 0 ? write_rest(*c) : serve(*c))) drop(c);
                }
            }
        }
    }

  private:
    static int failed(const char* what) {
        std::perror(what);
        return 1;
    }

    bool listen() {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        auto* address = reinterpret_cast<sockaddr*>(&at);
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        if (listener_ < 0 || bind(listener_, address, size) != 0 ||
            ::listen(listener_, SOMAXCONN) != 0 || getsockname(listener_, address, &size) != 0 ||
            epoll_ < 0 || !watch(EPOLL_CTL_ADD, listener_, EPOLLIN, &listener_)) {
            failed("listen");
            return false;
        }
        watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN,
              this);  // a file cannot be watched: for ever then
        say_port(ntohs(at.sin_port));
        return true;
    }

    bool watch(int what, int fd, std::uint32_t events, void* data) const {
        epoll_event e{};
        e.events = events;
        e.data.ptr = data;
        return epoll_ctl(epoll_, what, fd, &e) == 0;
    }

    void accept_all() {
        for (;;) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            const int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            auto c = std::make_unique<connection>(connection{fd, false, {}, {}});
            if (watch(EPOLL_CTL_ADD, fd, EPOLLIN, c.get())) {
                c.release();  // drop() deletes it
            } else {
                close(fd);
            }
        }
    }

    static void drop(connection* c) {
        close(c->fd);
        delete c;
    }

    // These say whether the connection goes on.

    bool serve(connection& c) {
        const ssize_t n = recv(c.fd, buffer_.data(), buffer_.size(), 0);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        if (n == 0) return false;
        const std::string_view text(buffer_.data(), static_cast<std::size_t>(n));
        return echo_ ? answer(c, text) : answer_requests(c, text);
    }

    bool answer_requests(connection& c, std::string_view text) {
        if (!c.unread.empty()) text = c.unread.append(text);
        const requests found = find_requests(text.data(), text.size());
        const std::string_view rest = text.substr(found.bytes);
        if (rest.size() >= buffer_bytes) return false;
        if (found.bytes != 0 || c.unread.empty()) c.unread = std::string(rest);
        for (std::size_t left = found.count; left != 0;) {  // more than once only behind a rest
            const std::size_t now = std::min(left, most_requests);
            if (!answer(c, {all_answers().data(), now * hello.size()})) return false;
            left -= now;
        }
        return true;
    }

    bool answer(connection& c, std::string_view text) {
        ssize_t n = c.writing ? 0 : send(c.fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (n == static_cast<ssize_t>(text.size())) return true;
        if (n < 0) {
            if (errno != EAGAIN) return false;
            n = 0;
        }
        c.unsent.append(text.substr(static_cast<std::size_t>(n)));
        if (c.writing) return true;
        c.writing = true;
        return watch(EPOLL_CTL_MOD, c.fd, EPOLLOUT, &c);
    }

    bool write_rest(connection& c) {
        const ssize_t n = send(c.fd, c.unsent.data(), c.unsent.size(), MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN;
        c.unsent.erase(0, static_cast<std::size_t>(n));
        if (!c.unsent.empty()) return true;
        c.writing = false;
        return watch(EPOLL_CTL_MOD, c.fd, EPOLLIN, &c);
    }

    bool echo_;
    int listener_ = -1;
    int epoll_ = -1;
    std::array<char, buffer_bytes> buffer_;
};

}  // namespace

int main(int argc, char** argv) { return server(wants_echo(argc, argv)).run(); }
