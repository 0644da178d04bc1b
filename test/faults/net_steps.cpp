// Sockets, pipes, files, names. One goroutine does both ends where it can: what fails then spoils nobody else's turn.
#include "test/faults/program.hpp"

#include <vole/net.hpp>

#include <array>
#include <cstdio>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace vole::faults {
namespace {

using namespace std::chrono_literals;
using net::endpoint;

const endpoint any_port = endpoint::ipv4({127, 0, 0, 1}, 0);

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

// Nobody waits for ever for what a failed call has not sent.
void limit(net::open_object& c) { c.set_deadline(clock::now() + 5s); }

void carries(net::conn& from, net::conn& to, std::string_view text) {
    std::string got(text.size(), '\0');
    from.write(bytes_of(text));
    to.read_full(std::as_writable_bytes(std::span(got)));
    must(got == text, "what was written is read");
}

struct pair {
    net::conn a, b;
};

pair tcp_pair() {
    net::tcp_listener l = net::listen_tcp(any_port);
    limit(l);
    net::conn a = net::dial_tcp(l.local_endpoint());
    net::conn b = l.accept();
    limit(a);
    limit(b);
    return {std::move(a), std::move(b)};
}

void tcp() {
    auto [a, b] = tcp_pair();
    must(a.local_endpoint() == b.remote_endpoint(), "both ends know their addresses");
    carries(a, b, "there");
    carries(b, a, "and back");
    const std::string_view hello = "hello, ", world = "world";
    const std::array<std::span<const std::byte>, 2> parts{bytes_of(hello), bytes_of(world)};
    a.write_v(parts);
    std::array<std::byte, 12> whole{};
    b.read_full(whole);
    a.set_no_delay(false);
    a.set_keep_alive({});
    a.set_linger(0s);
    a.set_read_buffer(1 << 16);
    const int copy = a.dup();
    ::close(copy);
    b.close_write();
    std::array<std::byte, 1> one{};
    must(a.read(one) == 0, "the end of a stream is seen");
    a.close();
    b.close();
}

void by_names() {
    net::listener l = net::listen("tcp", "127.0.0.1:0");
    limit(l);
    const std::string at = "localhost:" + std::to_string(l.local_endpoint().port());
    net::conn a = net::dial("tcp", at);
    net::conn b = l.accept();
    limit(a);
    limit(b);
    carries(a, b, "by name");
    must(!net::lookup_host("localhost").empty(), "localhost has an address");
    must(net::lookup_port("tcp", "http") == 80, "http has a port");
}

void udp() {
    net::packet_conn server = net::listen_packet("udp", "127.0.0.1:0");
    net::packet_conn client = net::dial_packet("udp", server.local_endpoint().to_string());
    limit(server);
    limit(client);
    client.write(bytes_of("packet"));
    std::array<std::byte, 64> to{};
    const net::datagram got = server.read_from(to);
    must(got.size == 6, "a packet arrives whole");
    server.write_to(bytes_of("answer"), got.from);
    must(client.read(to) == 6, "and its answer");
}

void local_sockets() {
    // In the working directory; not that of an earlier process which was stopped.
    static const std::string at = "vole-faulted-" + std::to_string(::getpid()) + "-" +
                                  std::to_string(clock::now().time_since_epoch().count());
    net::unix_listener l = net::listen_unix(endpoint::local(at));
    limit(l);
    net::conn a = net::dial_unix(endpoint::local(at));
    net::conn b = l.accept();
    limit(a);
    limit(b);
    carries(a, b, "locally");
}

void pipes() {
    auto [in, out] = net::os_pipe();
    limit(in);
    limit(out);
    carries(out, in, "through a pipe");
}

void adopted() {
    std::array<int, 2> fd{};
    must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd.data()) == 0, "a pair");
    net::conn a;
    net::conn b;
    try {
        a = net::adopt_conn(fd[0]);
        b = net::adopt_conn(fd[1]);
    } catch (...) {
        // What was not adopted is still ours.
        if (!a) ::close(fd[0]);
        ::close(fd[1]);
        throw;
    }
    limit(a);
    limit(b);
    carries(a, b, "adopted");
}

// Both by sendfile and splice, and by a buffer where those are refused.
void files() {
    constexpr std::size_t size = 100'000;
    struct file {
        std::FILE* f = std::tmpfile();
        ~file() {
            if (f != nullptr) std::fclose(f);
        }
    } temporary;
    must(temporary.f != nullptr, "a file");
    const std::vector<char> content(size, 'x');
    must(std::fwrite(content.data(), 1, size, temporary.f) == size, "written");
    std::fflush(temporary.f);
    ::lseek(::fileno(temporary.f), 0, SEEK_SET);

    pair first = tcp_pair();
    pair second = tcp_pair();
    team all;
    std::uint64_t sent = 0;
    std::uint64_t copied = 0;
    std::vector<std::byte> got(size);
    all.go([&] {
        try {
            sent = net::send_file(first.a, ::fileno(temporary.f));
        } catch (...) {
            first.a.close();
            throw;
        }
        first.a.close();
    });
    try {
        all.go([&] {
            try {
                copied = net::copy(second.a, first.b);
            } catch (...) {
                second.a.close();
                first.b.close();
                throw;
            }
            second.a.close();
        });
    } catch (...) {
        first.b.close();
        throw;
    }
    std::error_code ec;
    second.b.read_full(got, ec);
    all.wait();
    if (ec) throw std::system_error(ec);
    must(sent == size && copied == size, "all of a file arrives");
}

void pipes_in_memory() {
    auto [a, b] = net::pipe();
    team all;
    try {
        all.go([&b] {
            std::array<std::byte, 4> to{};
            std::error_code ignored;
            b.read_full(to, ignored);
        });
        a.write(bytes_of("four"));
    } catch (...) {
        a.close();
        throw;
    }
    all.wait();
}

}  // namespace

void net_steps() {
    step("tcp", tcp);
    step("by names", by_names);
    step("udp", udp);
    step("local sockets", local_sockets);
    step("pipes", pipes);
    step("adopted", adopted);
    step("files", files);
    step("pipes in memory", pipes_in_memory);
}

}  // namespace vole::faults
