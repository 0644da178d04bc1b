// What every server does before it speaks its protocol: listening, accepting within limits, a goroutine for each
// connection, and an end in good order.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>

#include <vole/vole.hpp>

#include "session.hpp"

namespace serving {

struct options {
    std::string listen = "127.0.0.1:0";
    /// Beyond that, connections are not refused but wait in the kernel's queue until others have ended.
    std::size_t max_connections = 10'000;
    /// How long requests may take when the server has been told to stop.
    vole::clock::duration grace = std::chrono::seconds(5);
};

/// Listens, and says so on standard output: port 0 has become a real one by then.
inline vole::net::listener listen(const options& o) {
    vole::net::listener l = vole::net::listen("tcp", o.listen);
    std::cout << "listening on " << l.local_endpoint().to_string() << std::endl;
    return l;
}

/// The next connection. Failures that may pass (no descriptor left, say) are waited out: 5 ms, then twice as long each
/// time, at most a second. An empty one: ctx is done, and the listener closed. Throws what will not pass.
inline vole::net::conn accept(vole::net::listener& listener, const vole::context& ctx) {
    using namespace std::chrono_literals;
    vole::clock::duration pause = 5ms;
    while (true) {
        std::error_code ec;
        vole::net::conn c = listener.accept(ec);
        if (!ec) return c;
        if (ctx.err()) return {};
        if (!vole::net::is_temporary(ec)) throw std::system_error(ec, "accept");
        std::cerr << "accept: " + ec.message() + "; again in " +
                         std::to_string(pause / std::chrono::milliseconds(1)) + " ms\n";
        vole::select(vole::on_recv(vole::after(pause), [](auto) {}),
                     vole::on_recv(ctx.done(), [] {}));
        pause = std::min<vole::clock::duration>(pause * 2, 1s);
    }
}

/// Calls handle(conn, session) in a goroutine for each connection, until ctx is done. Then no more are accepted, and
/// those that are open get options::grace to finish. Returns when the last handler has.
template <class Handler>
void serve(vole::net::listener& listener, const vole::context& ctx, const options& o,
           const Handler& handle) {
    connection_set open;
    vole::wait_group handlers;
    vole::weighted_semaphore slots(static_cast<std::int64_t>(o.max_connections));

    // Also when accept() throws: no goroutine may outlive what it refers to here.
    vole::defer finish{[&] {
        open.drain();
        auto finished = vole::make_chan<void>();
        vole::go([&handlers, finished] {
            handlers.wait();
            finished.close();
        });
        vole::select(vole::on_recv(finished, [] {}),
                     vole::on_recv(vole::after(o.grace), [&](auto) { open.close(); }));
        finished.recv();
    }};

    // Two goroutines that end together: one accepts, the other closes the listener when it is time.
    vole::task_group accepting(ctx);
    accepting.go([&](const vole::context& done) {
        done.done().recv();
        std::error_code ignored;
        listener.close(ignored);
    });
    accepting.go([&](const vole::context& done) {
        while (true) {
            std::error_code stopped;
            slots.acquire(done, 1, stopped);
            if (stopped) return;
            vole::net::conn c = accept(listener, done);
            if (!c) return;
            handlers.go([&, accepted = std::move(c)]() mutable {
                vole::defer leave{[&] { slots.release(); }};
                vole::net::conn conn = std::move(accepted);  // closed before its slot is free
                session s(open, conn);
                handle(conn, s);
            });
        }
    });
    accepting.wait();
}

}  // namespace serving
