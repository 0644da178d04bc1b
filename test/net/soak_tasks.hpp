// What the tasks of the soak share: the servers they talk to, when to stop, what did not hold.
#pragma once

#include "test/net/loopback.hpp"
#include "test/support/duel.hpp"

#include <array>
#include <atomic>
#include <span>

namespace vole::test::soaking {

using namespace loopback;

extern findings ok;
extern std::atomic<bool> stop;
inline bool going_on() { return !stop.load(std::memory_order_relaxed); }

using count = std::atomic<std::uint64_t>;

// Its queue is full at once: who dials it waits.
inline net::tcp_listener one_that_nobody_accepts_from() {
    net::listen_config config;
    config.backlog = 1;
    return net::listen_tcp(any_port, config);
}

struct servers {
    net::tcp_listener tcp = net::listen_tcp(any_port);
    net::tcp_listener deaf = one_that_nobody_accepts_from();
    temporary_folder folder;
    net::unix_listener local = net::listen_unix(endpoint::local(folder / "l"));
    net::udp_conn udp = net::listen_udp(any_port);
    std::vector<net::conn> waiting;  // they fill `deaf`
    wait_group all;

    servers() {
        serve(tcp);
        serve(local);
        all.go([this] {
            std::array<std::byte, 2000> room;
            for (;;) {
                std::error_code ec;
                const net::datagram d = udp.read_from(room, ec);
                if (ec == errc::closed) break;
                if (!ec) udp.write_to(std::span(room).first(d.size), d.from, ec);
            }
        });
        net::dialer quick;
        quick.timeout = 50ms;
        for (std::error_code ec; !ec && waiting.size() < 10;) {
            waiting.push_back(net::dial_tcp(deaf.local_endpoint(), quick, ec));
        }
    }
    ~servers() {
        tcp.close();
        local.close();
        udp.close();
        all.wait();
    }

  private:
    void serve(net::listener& l) {
        all.go([this, &l] {
            for (;;) {
                std::error_code ec;
                net::conn c = l.accept(ec);
                if (ec == errc::closed) break;
                if (ec) continue;
                all.go([c = std::move(c)]() mutable { echo(c); });
            }
        });
    }
    static void echo(net::conn& c) {
        std::array<std::byte, 4096> room;
        std::error_code ec;
        for (std::size_t n = 0; (n = c.read(room, ec)) != 0 && !ec;) {
            c.write(std::span(room).first(n), ec);
            if (ec) return;
        }
    }
};

struct task {
    const char* name;
    void (*run)(servers&, count&, dice);
};
std::span<const task> all_tasks();

}  // namespace vole::test::soaking
