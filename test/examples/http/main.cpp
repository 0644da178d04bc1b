// An HTTP/1.1 server in straight-line code: a goroutine for each connection, which reads, answers and waits as if it were
// alone. Keep-alive, pipelining, bodies with a length or in chunks, limits on everything, and an end in good order.
//
//     tools/vole run test/examples/http --listen 127.0.0.1:8080
//     curl http://127.0.0.1:8080/ ; curl --data hello http://127.0.0.1:8080/echo
//     curl -N http://127.0.0.1:8080/chunked?5 ; curl http://127.0.0.1:8080/stats
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

#include <vole/vole.hpp>

#include "../serving/flags.hpp"
#include "../serving/serve.hpp"
#include "../serving/signals.hpp"
#include "connection.hpp"
#include "router.hpp"

namespace {

constexpr std::string_view plain = "text/plain";

/// /chunked?N: N lines, each of which leaves at once.
void count(const http::request& r, http::response& to) {
    const std::string_view query = r.query();
    unsigned lines = 3;
    std::from_chars(query.data(), query.data() + query.size(), lines);
    lines = std::min(lines, 10'000U);
    to.begin(http::status::ok, plain);
    for (unsigned i = 1; i <= lines; ++i) {
        to.write("line " + std::to_string(i) + "\n");
        if (!to.flush()) return;
    }
}

http::router make_routes(const http::counters& counted) {
    using http::request, http::response, http::status;
    http::router routes;
    routes.add("/", "GET, HEAD",
               [](const request&, response& to) { to.send(status::ok, plain, "hello, world\n"); });
    routes.add("/echo", "POST, PUT", [](const request& r, response& to) {
        const std::string_view* type = r.find("Content-Type");
        to.send(status::ok, type != nullptr ? *type : "application/octet-stream", r.body);
    });
    routes.add("/chunked", "GET, HEAD", count);
    routes.add("/stats", "GET, HEAD", [&counted](const request&, response& to) {
        std::string text;
        const auto line = [&](std::string_view name, std::uint64_t n) {
            text.append(name).append(" ").append(std::to_string(n)).append("\n");
        };
        line("connections", counted.connections);
        line("open", counted.open);
        line("requests", counted.requests);
        line("goroutines", vole::num_goroutine());
        to.send(status::ok, plain, text);
    });
    return routes;
}

}  // namespace

int main(int argc, char** argv) try {
    serving::options options;
    http::settings settings;
    serving::flags("http")
        .add("listen", &options.listen, "HOST:PORT; port 0 (the default): any that is free")
        .add("max-connections", &options.max_connections, "at the same time (10000)")
        .add("max-body", &settings.limits.body, "bytes of a request's body (1048576)")
        .add("idle", &settings.patience.idle, "seconds to wait for the next request (60)")
        .add("head", &settings.patience.head, "seconds that reading a request's head may take (10)")
        .add("body", &settings.patience.body, "seconds that reading its body may take (30)")
        .add("write", &settings.patience.write, "seconds that a write may take (10)")
        .add("grace", &options.grace, "seconds for requests in flight when it is told to end (5)")
        .parse(argc, argv);

    serving::stop_signals signals;
    vole::run([&] {
        http::counters counted;
        const http::router routes = make_routes(counted);
        const vole::context ctx = signals.context();
        vole::net::listener listener = serving::listen(options);
        serving::serve(listener, ctx, options, [&](vole::net::conn& c, serving::session& s) {
            ++counted.connections;
            ++counted.open;
            vole::defer ended{[&] { --counted.open; }};
            http::connection(c, s, routes, settings, counted).serve();
        });
    });
    return 0;
} catch (const std::exception& e) {
    std::cerr << "http: " << e.what() << '\n';
    return 1;
}
