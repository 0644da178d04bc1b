// A key-value server that speaks Redis's protocol, in straight-line code: a goroutine for each connection, one store for
// all, and a goroutine that sweeps out what has expired.
//
//     tools/vole run test/examples/resp --listen 127.0.0.1:6380
//     redis-cli -p 6380 set greeting hello ex 60
//     redis-benchmark -p 6380 -t set,get,incr -P 16
//
// GET SET DEL INCR EXPIRE TTL MGET PING ECHO DBSIZE QUIT. Unlike Redis it uses all processors; so MGET sees each key at
// a moment of its own.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <system_error>

#include <vole/vole.hpp>

#include "../serving/buffers.hpp"
#include "../serving/flags.hpp"
#include "../serving/linger.hpp"
#include "../serving/serve.hpp"
#include "../serving/signals.hpp"
#include "commands.hpp"
#include "parser.hpp"
#include "store.hpp"

namespace {

struct settings {
    resp::limits limits;
    vole::clock::duration idle = std::chrono::minutes(5);
    vole::clock::duration write = std::chrono::seconds(30);
};

void serve(vole::net::conn& conn, serving::session& session, resp::store& data, const settings& s) {
    serving::input in;
    serving::output out(conn, s.write);
    resp::parser parser;
    while (true) {
        const auto found = parser.parse(in.unread(), s.limits);
        if (found.size != 0) {
            const bool stays = resp::execute(parser.arguments(), data, out);
            in.consume(found.size);
            if (!stays || !out.flush_if_full()) break;
        } else if (!found.error.empty()) {
            resp::write_error(out, found.error);
            break;
        } else {
            // All that came together has been answered: now the replies leave together, too.
            in.shrink();
            if (!out.flush()) return;
            std::error_code ec;
            if (!in.unread().empty())
                conn.set_read_deadline(vole::clock::now() + s.idle, ec);
            else if (!session.begin_idle(s.idle))
                return;
            const std::size_t n =
                conn.read(in.room(std::min<std::size_t>(found.wanted, 64 * 1024)), ec);
            session.end_idle();
            if (n == 0) return;  // the end, an error, or too long a silence
            in.added(n);
        }
    }
    if (out.flush()) serving::linger(conn);
}

}  // namespace

int main(int argc, char** argv) try {
    serving::options options;
    settings s;
    serving::flags("resp")
        .add("listen", &options.listen, "HOST:PORT; port 0 (the default): any that is free")
        .add("max-connections", &options.max_connections, "at the same time (10000)")
        .add("max-bulk", &s.limits.bulk, "bytes of a key or value (536870912)")
        .add("idle", &s.idle, "seconds to wait for the next command (300)")
        .add("write", &s.write, "seconds that a write may take (30)")
        .add("grace", &options.grace, "seconds for commands in flight when it is told to end (5)")
        .parse(argc, argv);

    serving::stop_signals signals;
    vole::run([&] {
        resp::store data;
        const vole::context ctx = signals.context();
        vole::net::listener listener = serving::listen(options);

        vole::task_group tasks(ctx);
        tasks.go([&](const vole::context& done) {
            vole::ticker tenth(std::chrono::milliseconds(100));
            while (!done.err())
                vole::select(vole::on_recv(tenth.c(), [&](auto) { data.sweep(); }),
                             vole::on_recv(done.done(), [] {}));
        });
        tasks.go([&](const vole::context& done) {
            serving::serve(
                listener, done, options,
                [&](vole::net::conn& c, serving::session& session) { serve(c, session, data, s); });
        });
        tasks.wait();
    });
    return 0;
} catch (const std::exception& e) {
    std::cerr << "resp: " << e.what() << '\n';
    return 1;
}
