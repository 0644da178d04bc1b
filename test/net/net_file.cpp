// Descriptors that were opened elsewhere, pipes of the system, and descriptors that leave again. Cites NET-2, NET-24, NET-26 and
// NET-83; what becomes of paths is in net_unix.cpp, SIGPIPE in net_sigpipe.cpp.
#include "test/net/loopback.hpp"

#include <array>
#include <csignal>

namespace vole::test {

using namespace loopback;

namespace {

struct flags {
    int status;
    int descriptor;
    friend bool operator==(const flags&, const flags&) = default;
};
flags flags_of(int fd) { return {::fcntl(fd, F_GETFL), ::fcntl(fd, F_GETFD)}; }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// It is refused, and as it was.
void refused(findings& ok, int fd, std::error_condition why, place where = here()) {
    const flags before = flags_of(fd);
    ok(error_of_call([&](std::error_code& ec) { (void)net::adopt_conn(fd, ec); }) == why,
       "the error", where);
    ok(flags_of(fd) == before, "flags", where);
    ok(is_open(fd) == (before.descriptor >= 0), "open", where);
}

struct raw_pipe {
    int ends[2] = {-1, -1};
    raw_pipe() {
        if (::pipe(ends) != 0) throw std::system_error(errno, std::system_category(), "pipe");
    }
};

}  // namespace

TEST_CASE("NET-2 pipes of the system", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        auto [in, out] = net::os_pipe();
        ok.equal(write_of(out, "abc"), wrote(3));
        ok.equal(read_of(in, 2), got("ab"));
        ok.equal(read_of(in, 2), got("c"));
        {
            blocked r([&, &in = in] { return read_of(in, 10); });
            ok.equal(write_of(out, "d"), wrote(1));
            ok.equal(r.get(), got("d"));
        }
        in.set_read_deadline(clock::now() + 10ms);
        ok.equal(read_of(in, 10), failed(errc::timeout));
        in.set_read_deadline(never);
        {
            blocked r([&, &in = in] { return read_of(in, 10); });
            in.set_read_deadline(past);
            ok.equal(r.get(), failed(errc::timeout));
            in.set_read_deadline(never);
        }
        // More than it holds: waits for the reader, and all of it comes.
        std::error_code ec;
        {
            background w([&, &out = out] {
                result r;
                r.n = static_cast<std::size_t>(write_all(out, 1, 1 << 20, r.ec, 1 << 20));
                out.close();
                return r;
            });
            w.parked();
            const taken t = read_all(in, 1);
            ok.equal(t.right, std::uint64_t{1} << 20);
            ok(!t.wrong);
            ok(!t.ec);
            ok.equal(w.get(), wrote(1 << 20));
        }
        ok.equal(read_of(in, 10), end_of_stream);
        ok.equal(write_of(out, "x"), failed(errc::closed));
        // Not what a pipe has.
        ok(error_of_call([&, &in = in](std::error_code& e) { in.set_no_delay(true, e); }) ==
           std::errc::operation_not_supported);
        ok(error_of_call([&, &in = in](std::error_code& e) { in.close_write(e); }) ==
           std::errc::not_a_socket);
        ok(in.local_endpoint().empty());
        ok.throws<net::op_error>("read file: use of closed network connection", [&, &in = in] {
            in.close();
            std::array<std::byte, 1> room;
            (void)in.read(room);
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-21 closing one end of a pipe of the system wakes who waits in it", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        {
            auto [in, out] = net::os_pipe();
            blocked r([&, &in = in] { return read_of(in, 10); });
            in.close();
            ok.equal(r.get(), failed(errc::closed));
        }
        {
            auto [in, out] = net::os_pipe();
            blocked r([&, &in = in] { return read_of(in, 10); });
            out.close();
            ok.equal(r.get(), end_of_stream);
        }
        {
            auto [in, out] = net::os_pipe();
            const std::string much(1 << 20, 'x');
            blocked w([&, &out = out] { return write_of(out, much); });
            in.close();
            const result r = w.get();
            ok(r.ec == std::errc::broken_pipe);
            ok(r.n > 0 && r.n < much.size());
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-2 what cannot be waited for is refused, and stays as it was", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        for (const int extra : {0, O_APPEND, O_NONBLOCK, O_CLOEXEC}) {
            const int fd = ::open((folder / "file").c_str(), O_RDWR | O_CREAT | extra, 0600);
            refused(ok, fd, make_error_code(errc::not_pollable).default_error_condition());
            ::close(fd);
        }
        const int dir = ::open("/", O_RDONLY | O_DIRECTORY);
        refused(ok, dir, make_error_code(errc::not_pollable).default_error_condition());
        ::close(dir);
        refused(ok, -1, std::errc::bad_file_descriptor);
        // Sockets of another kind.
        net::tcp_listener l = net::listen_tcp(any_port);
        const int listens = l.dup();
        refused(ok, listens, std::errc::invalid_argument);
        ::close(listens);
        net::udp_conn u = net::listen_udp(any_port);
        const int datagrams = u.dup();
        refused(ok, datagrams, std::errc::invalid_argument);
        ok(error_of_call([&](std::error_code& ec) { (void)net::adopt_listener(datagrams, ec); }) ==
           std::errc::invalid_argument);
        ::close(datagrams);
        auto [a, b] = tcp_ends();
        const int stream = a.dup();
        ok(error_of_call([&](std::error_code& ec) { (void)net::adopt_listener(stream, ec); }) ==
           std::errc::invalid_argument);
        ok(error_of_call([&](std::error_code& ec) { (void)net::adopt_packet_conn(stream, ec); }) ==
           std::errc::invalid_argument);
        ::close(stream);
        ok.throws<net::op_error>("adopt file: bad file descriptor",
                                 [] { (void)net::adopt_conn(-1); });
    });
    CHECK(text == "");
}

TEST_CASE("NET-2 one that blocks and is inherited is neither when it has been adopted",
          "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        raw_pipe p;
        net::conn in = net::adopt_conn(p.ends[0]);
        net::conn out = net::adopt_conn(p.ends[1]);
        for (const int fd : p.ends) {
            ok((flags_of(fd).status & O_NONBLOCK) != 0);
            ok((flags_of(fd).descriptor & FD_CLOEXEC) != 0);
        }
        blocked r([&] { return read_of(in, 10); });
        ok.equal(write_of(out, "x"), wrote(1));
        ok.equal(r.get(), got("x"));
        in.close();
        ok(!is_open(p.ends[0]));
        ok(is_open(p.ends[1]));
        // Twice: the second one fails, and the first one goes on.
        ok(error_of_call([&](std::error_code& ec) { (void)net::adopt_conn(p.ends[1], ec); }) ==
           std::errc::file_exists);
        ok(is_open(p.ends[1]));
        ok((flags_of(p.ends[1]).status & O_NONBLOCK) != 0);
        ok.equal(write_of(out, "x"), failed_with(std::errc::broken_pipe));
    });
    CHECK(text == "");
}

TEST_CASE("NET-26 sockets that were adopted know their ends", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        const leaves_nothing check;
        {
            net::tcp_listener l = net::listen_tcp(any_port);
            net::listener second = net::adopt_listener(l.dup());
            ok(second.local_endpoint() == l.local_endpoint());
            l.close();
            net::conn a = net::dial_tcp(second.local_endpoint());
            net::conn b = second.accept();
            ok(b.remote_endpoint() == a.local_endpoint());
            net::conn c = net::adopt_conn(a.dup());
            ok(c.local_endpoint() == a.local_endpoint());
            ok(c.remote_endpoint() == b.local_endpoint());
            // Closing either leaves the other.
            a.close();
            ok.equal(write_of(c, "abc"), wrote(3));
            ok.equal(read_of(b, 10), got("abc"));
            c.set_no_delay(false);
            // As good as any: several reads, half a close.
            ok.equal(write_of(b, "d"), wrote(1));
            ok.equal(read_of(c, 10), got("d"));
            b.close_write();
            ok.equal(read_of(c, 10), end_of_stream);
        }
        {
            net::udp_conn u = net::listen_udp(any_port);
            net::packet_conn free = net::adopt_packet_conn(u.dup());
            net::udp_conn v = net::dial_udp(u.local_endpoint());
            net::packet_conn connected = net::adopt_packet_conn(v.dup());
            ok(free.local_endpoint() == u.local_endpoint());
            ok(connected.remote_endpoint() == u.local_endpoint());
            ok.equal(write_of(connected, "x"), wrote(1));
            ok.equal(read_of(free, 10), got("x"));
            ok.equal(write_of(free, "x"), failed_with(std::errc::destination_address_required));
            ok.equal(write_to(connected, "x", u.local_endpoint()),
                     failed(errc::write_to_connected));
        }
        {
            auto [a, b] = local_ends(SOCK_SEQPACKET);
            write_of(a, "");
            write_of(a, "x");
            ok.equal(read_of(b, 10), got(""));
            ok.equal(read_of(b, 10), got("x"));
        }
        ok.equal(check.text(), "");
    });
    CHECK(text == "");
}

TEST_CASE("NET-26 a duplicate is the program's own", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        auto [a, b] = tcp_ends();
        const int fd = a.dup();
        ok((flags_of(fd).descriptor & FD_CLOEXEC) != 0);
        ok((flags_of(fd).status & O_NONBLOCK) != 0);
        a.close();
        ok(is_open(fd));
        ok.equal(::write(fd, "raw", 3), ssize_t{3});
        ok.equal(read_of(b, 10), got("raw"));
        ::close(fd);
        ok.equal(read_of(b, 10), end_of_stream);
        ok(error_of_call([&, &a = a](std::error_code& ec) { (void)a.dup(ec); }) == errc::closed);
        auto [p, q] = net::pipe();
        ok(error_of_call([&, &p = p](std::error_code& ec) { (void)p.dup(ec); }) ==
           std::errc::operation_not_supported);
        net::conn none;
        ok(error_of_call([&](std::error_code& ec) { (void)none.dup(ec); }) ==
           std::errc::invalid_argument);
    });
    CHECK(text == "");
}

TEST_CASE("NET-26 a descriptor can be taken back, unless it is closed", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        auto [a, b] = tcp_ends();
        int fd = -1;
        {
            blocked first([&, &a = a] { return read_of(a, 10); });
            blocked second([&, &a = a] { return read_of(a, 10); });
            a.close();
            ok.equal(first.get(), failed(errc::closed));
            ok.equal(second.get(), failed(errc::closed));
            ok(error_of_call([&, &a = a](std::error_code& e) { fd = a.release(e); }) ==
               errc::closed);
            ok.equal(fd, -1);
            ok(bool(a));
        }
        ok.equal(read_of(b, 10), end_of_stream);

        auto [c, d] = tcp_ends();
        fd = c.release();
        ok(!c);
        ok(is_open(fd));
        ok((flags_of(fd).status & O_NONBLOCK) != 0);
        ok.equal(write_of(c, "x"), failed_with(std::errc::invalid_argument));
        // Nobody polls it any more, so it can be adopted again.
        net::conn again = net::adopt_conn(fd);
        blocked r([&] { return read_of(again, 10); });
        ok.equal(write_of(d, "abc"), wrote(3));
        ok.equal(r.get(), got("abc"));
        auto [p, q] = net::pipe();
        ok(error_of_call([&, &p = p](std::error_code& e) { (void)p.release(e); }) ==
           std::errc::operation_not_supported);
        ok(bool(p));
    });
    CHECK(text == "");
}

TEST_CASE("NET-26 who waits in what is released hears that it is closed", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        auto [a, b] = tcp_ends();
        int fd = -1;
        {
            // It parks in a's socket, and leaves before release() returns.
            blocked r([&, &a = a] { return read_of(a, 10); });
            fd = a.release();
            ok.equal(r.get(), failed(errc::closed));
        }
        ok(is_open(fd));
        ok.equal(write_of(b, "kept"), wrote(4));
        net::conn again = net::adopt_conn(fd);
        ok.equal(read_of(again, 10), got("kept"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-83 control() calls with the descriptor held open", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        auto [a, b] = tcp_ends();
        int fd = -1;
        a.control([&](int f) { fd = f; });
        ok(is_open(fd));
        const auto port = a.control([](int f) {
            sockaddr_in at{};
            socklen_t size = sizeof at;
            ::getsockname(f, reinterpret_cast<sockaddr*>(&at), &size);
            return ntohs(at.sin_port);
        });
        ok.equal(port, a.local_endpoint().port());
        // What it throws comes through, and nothing is held afterwards.
        ok.throws<std::runtime_error>(
            "mine", [&, &a = a] { a.control([](int) { throw std::runtime_error("mine"); }); });
        // A close waits for it, even if it comes in the middle.
        {
            std::atomic<bool> inside{false};
            std::atomic<bool> go_on{false};
            background c([&, &a = a] {
                a.control([&](int f) {
                    inside = true;
                    wait_until([&] { return go_on.load(); }, "the closing to begin");
                    ok(is_open(f));
                });
                return result{};
            });
            wait_until([&] { return inside.load(); }, "control() to begin");
            blocked r([&, &a = a] { return read_of(a, 10); });
            background closing([&, &a = a] {
                result r0;
                a.close(r0.ec);
                return r0;
            });
            ok.equal(r.get(), failed(errc::closed));
            ok(!closing.over());
            go_on = true;
            c.get();
            ok.equal(closing.get(), result{});
        }
        ok(!is_open(fd));
        ok.throws<net::op_error>("control tcp " + a.local_endpoint().to_string() + "->" +
                                     a.remote_endpoint().to_string() +
                                     ": use of closed network connection",
                                 [&, &a = a] { a.control([](int) {}); });
        auto [p, q] = net::pipe();
        ok.throws<net::op_error>("control pipe: operation not supported",
                                 [&, &p = p] { p.control([](int) {}); });
    });
    CHECK(text == "");
}

TEST_CASE("NET-56 errors on the way leave no descriptor behind", "[net][file]") {
    const std::string text = everywhere([](findings& ok) {
        const leaves_nothing check;
        const temporary_folder folder;
        net::tcp_listener taken_port = net::listen_tcp(any_port);
        const endpoint at = taken_port.local_endpoint();
        const auto no = [](int) { return std::make_error_code(std::errc::permission_denied); };
        std::error_code ec;
        for (int i = 0; i < 10; ++i) {
            (void)net::listen_tcp(at, {}, ec);
            (void)net::listen_tcp(any_port, {.control = no}, ec);
            ok(ec == std::errc::permission_denied);
            (void)net::listen_udp(any_port, {.control = no}, ec);
            (void)net::listen_unix(endpoint::local(folder / "none/l"), {}, ec);
            (void)net::listen_unix(endpoint::local(folder / "l"), {.control = no}, ec);
            ok(!exists(folder / "l"));
            (void)net::dial_unix(endpoint::local(folder / "l"), {}, ec);
            (void)net::dial_unixgram(endpoint::local(folder / "l"), {}, ec);
            net::dialer how;
            how.control = no;
            (void)net::dial_tcp(at, how, ec);
            (void)net::dial("tcp", "127.0.0.1:1", ec);
            (void)net::dial("unixpacket", folder / "l", ec);
        }
        taken_port.close();
        ok.equal(check.text(), "");
    });
    CHECK(text == "");
}

}  // namespace vole::test
