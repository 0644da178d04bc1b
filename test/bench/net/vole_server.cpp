// Vole's side: a goroutine per connection, straight on. `vole-net-bench echo|hello`.
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <unistd.h>

#include <vole/net.hpp>
#include <vole/vole.hpp>

#include "test/bench/net/wire.hpp"

namespace {

using namespace net_bench;
namespace net = vole::net;
using namespace std::chrono_literals;

#if defined(NET_BENCH_DENSE)
// Waits without a buffer, so without a frame that does not fit on 2 KiB. The throwing forms: a std::error_code of its own is
// a call into the C++ library, for which a function of a dense goroutine keeps a large segment.
vole::go_options connection_options() { return {.name = {}, .stack = vole::stack_policy::dense()}; }

[[gnu::noinline]] bool echo_once(net::conn& c) {
    std::array<std::byte, buffer_bytes> buffer;
    const std::size_t n = c.read(buffer);
    c.write(std::span(buffer).first(n));
    return n != 0;
}

void echo(net::conn c) {
    try {
        do c.wait_readable();
        while (echo_once(c));
    } catch (const net::op_error&) {
    }
}
#else
vole::go_options connection_options() { return {}; }

void echo(net::conn c) {
    std::array<std::byte, buffer_bytes> buffer;
    std::error_code ec;
    for (;;) {
        const std::size_t n = c.read(buffer, ec);
        if (ec || n == 0) return;
        c.write(std::span(buffer).first(n), ec);
        if (ec) return;
    }
}
#endif

void say_hello(net::conn c) {
    std::array<char, buffer_bytes> buffer;
    std::size_t have = 0;
    std::error_code ec;
    while (have < buffer.size()) {
        const std::size_t n = c.read(std::as_writable_bytes(std::span(buffer).subspan(have)), ec);
        if (ec || n == 0) return;
        have += n;
        const requests found = find_requests(buffer.data(), have);
        if (found.count == 0) continue;
        const std::span answers(all_answers().data(), found.count * hello.size());
        c.write(std::as_bytes(answers), ec);
        if (ec) return;
        have -= found.bytes;
        std::memmove(buffer.data(), buffer.data() + found.bytes, have);
    }
}

int serve(void (*one)(net::conn)) {
    net::listener l = net::listen("tcp4", "127.0.0.1:0");
    say_port(l.local_endpoint().port());
    for (;;) {
        std::error_code ec;
        net::conn c = l.accept(ec);
        if (!ec) {
            vole::go(connection_options(),
                     [one, c = std::move(c)]() mutable { one(std::move(c)); });
        } else if (net::is_temporary(ec)) {
            vole::sleep(5ms);
        } else {
            std::fprintf(stderr, "accept: %s\n", ec.message().c_str());
            return 1;
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const auto one = wants_echo(argc, argv) ? echo : say_hello;
    std::thread(end_with_input).detach();
    return vole::run([&] { return serve(one); });
}
