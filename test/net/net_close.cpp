// The life of a descriptor: who may use it, how it is closed, who is told. Cites NET-20 to NET-26 and NET-87.
#include "test/net/socket_support.hpp"

#include <fcntl.h>
#include <optional>
#include <thread>

namespace vole::test {

namespace {

/// Whether the descriptor is still this socket. By then its number may be another file's.
bool is_open(int fd, ino_t socket) { return inode_of(fd) == socket; }

const std::error_code invalid = std::make_error_code(std::errc::invalid_argument);

}  // namespace

// ---- several users ----------------------------------------------------------------------------

TEST_CASE("NET-20 a read that waits keeps nobody from writing, nor from setting options",
          "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            blocked r([&] { return read(a, 100); });
            ok.equal(write(a, "there"), wrote(5));
            ok.equal(read(b, 100), got("there"));
            ok(!write_deadline(a, in(1h)));
            ok(!error_of_call([&](std::error_code& ec) { a.set_read_buffer(10000, ec); }));
            ok(fd_of(a) >= 0);
            ok(r.waits());
            ok.equal(write(b, "back"), wrote(4));
            ok.equal(r.get(), got("back"));
        });
        two_conns p = tcp_pair();
        make_narrow(p);
        blocked w([&] { return write(p.a, std::string(too_much, 'x')); });
        ok.equal(write(p.b, "back"), wrote(4));
        ok.equal(read(p.a, 100), got("back"));
        ok(!w.over());
        ok(!close(p.a));
        ok.equal(w.get().ec, make_error_code(errc::closed));
    });
    CHECK(text == "");
}

TEST_CASE("NET-20 reads go one after the other: each gets bytes of its own", "[net][close]") {
    constexpr int readers = 20;
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            wait_group all;
            std::atomic<int> waiting{0};
            std::atomic<unsigned> seen{0};
            for (int i = 0; i < readers; ++i) {
                all.go([&] {
                    ++waiting;
                    const result r = read(b, 1);
                    if (ok.equal(r.n, std::size_t{1})) seen += 1U << (r.text[0] - 'a');
                });
            }
            wait_until([&] { return waiting == readers; }, "the readers");
            std::string letters;
            for (int i = 0; i < readers; ++i) letters += static_cast<char>('a' + i);
            ok.equal(write(a, letters), wrote(readers));
            all.wait();
            ok.equal(seen.load(), (1U << readers) - 1);
        });
    });
    CHECK(text == "");
}

// ---- closing ----------------------------------------------------------------------------------

TEST_CASE("NET-21 close wakes who reads, who writes, and who waits for a turn", "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        for (const bool local : {false, true}) {
            two_conns p = local ? unix_pair() : tcp_pair();
            make_narrow(p);
            const std::string much(too_much, 'x');
            const int fd = fd_of(p.a);
            const ino_t socket = inode_of(fd);
            blocked r1([&] { return read(p.a, 100); });
            blocked r2([&] { return read(p.a, 100); });
            blocked r3([&] { return read(p.a, 0); });
            blocked w1([&] { return write(p.a, much); });
            blocked w2([&] { return write(p.a, much); });
            ok(!close(p.a));
            ok(!is_open(fd, socket), "closed when close returns");
            ok.equal(r1.get(), closed);
            ok.equal(r2.get(), closed);
            ok.equal(r3.get(), closed);
            const result w = w1.get();
            ok.equal(w.ec, make_error_code(errc::closed));
            ok(w.n > 0 && w.n < too_much);
            ok.equal(w2.get(), closed);
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-21 close waits until the last user has left", "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        const int fd = fd_of(a);
        const ino_t socket = inode_of(fd);
        std::optional<background> closing;
        a.control([&](int same) {
            ok.equal(same, fd);
            closing.emplace([&] { return result{0, close(a)}; });
            closing->parked();
            // It is closed for all others, but not for us.
            ok.equal(read(a, 1), closed);
            ok(closing->waits());
            ok(is_open(fd, socket));
        });
        ok.equal(closing->get(), wrote(0));
        ok(!is_open(fd, socket));
        ok.equal(read(b, 1), end_of_stream);
    });
    CHECK(text == "");
}

TEST_CASE("NET-23 close wakes accept, each of them", "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        net::listener tcp = net::listen_tcp(loopback());
        net::listener local = net::listen_unix(net::endpoint::local("@vole-test-accept"));
        for (net::listener* l : {&tcp, &local}) {
            blocked first([&] { return accept(*l); });
            blocked second([&] { return accept(*l); });
            ok(!close(*l));
            ok.equal(first.get(), closed);
            ok.equal(second.get(), closed);
            ok.equal(accept(*l), closed);
        }
        ok.equal(text_thrown([&] { (void)tcp.accept(); }),
                 "accept tcp " + tcp.local_endpoint().to_string() +
                     ": use of closed network connection");
        ok.equal(text_thrown([&] { (void)local.accept(); }),
                 std::string("accept unix @vole-test-accept: use of closed network connection"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-22 after close every operation says so", "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            const bool tcp = insides::of(a).short_is_all;
            ok.equal(write(b, "unread"), wrote(6));
            const net::endpoint local = a.local_endpoint();
            const net::endpoint remote = a.remote_endpoint();
            ok(!close(a));
            const std::error_code over = errc::closed;
            ok.equal(close(a), over);
            ok.equal(close(a), over);
            ok.equal(read(a, 10), closed);
            ok.equal(read(a, 0), closed);
            ok.equal(write(a, "x"), closed);
            ok.equal(write(a, ""), closed);
            const auto gives = [&](auto&& f) { ok.equal(error_of_call(f), over); };
            using ec_ref = std::error_code&;
            gives([&](ec_ref ec) { a.write_v({}, ec); });
            gives([&](ec_ref ec) { a.close_write(ec); });
            gives([&](ec_ref ec) { a.close_read(ec); });
            gives([&](ec_ref ec) { a.set_deadline(in(1h), ec); });
            gives([&](ec_ref ec) { a.set_read_deadline(never, ec); });
            gives([&](ec_ref ec) { a.set_write_deadline(past, ec); });
            gives([&](ec_ref ec) { a.set_read_buffer(10000, ec); });
            gives([&](ec_ref ec) { a.set_write_buffer(10000, ec); });
            gives([&](ec_ref ec) { (void)a.dup(ec); });
            gives([&](ec_ref ec) { (void)a.release(ec); });
            if (tcp) {
                gives([&](ec_ref ec) { a.set_no_delay(false, ec); });
                gives([&](ec_ref ec) { a.set_keep_alive({}, ec); });
                gives([&](ec_ref ec) { a.set_linger(0s, ec); });
            }
            ok(text_thrown([&] { fd_of(a); }).ends_with("use of closed network connection"));
            ok(text_thrown([&] { a.close(); }).starts_with("close "));
            // NET-86: where it was remains known.
            ok.equal(a.local_endpoint().to_string(), local.to_string());
            ok.equal(a.remote_endpoint().to_string(), remote.to_string());
            ok(bool(a));
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-22 of several closes at once one succeeds", "[net][close]") {
    const int rounds = scaled(300, 30);
    const std::string text = everywhere([&](findings& ok) {
        for (int i = 0; i < rounds; ++i) {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            const int fd = fd_of(a);
            const ino_t socket = inode_of(fd);
            background r([&] { return read(a, 1); });
            if (i % 2 == 0) r.parked();
            wait_group all;
            std::atomic<int> succeeded{0};
            for (int k = 0; k < 4; ++k) {
                all.go([&] {
                    const std::error_code ec = close(a);
                    if (!ec) {
                        ++succeeded;
                        ok(!is_open(fd, socket));
                    } else {
                        ok.equal(ec, make_error_code(errc::closed));
                    }
                });
            }
            all.wait();
            ok.equal(succeeded.load(), 1);
            ok.equal(r.get(), closed);
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-24 what is empty or was moved from: invalid argument", "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        net::conn other = std::move(a);
        ok(!a && bool(other));
        net::conn empty;
        for (net::conn* c : {&a, &empty}) {
            ok.equal(read(*c, 10), result{0, invalid});
            ok.equal(read(*c, 0), result{0, invalid});
            ok.equal(write(*c, "x"), result{0, invalid});
            ok.equal(close(*c), invalid);
            ok.equal(close_write(*c), invalid);
            ok.equal(close_read(*c), invalid);
            ok.equal(deadline(*c, past), invalid);
            ok.equal(error_of_call([&](std::error_code& ec) { (void)c->dup(ec); }), invalid);
            ok.equal(error_of_call([&](std::error_code& ec) { (void)c->release(ec); }), invalid);
            ok.equal(error_of_call([&](std::error_code& ec) { c->set_linger(0s, ec); }), invalid);
            ok(c->local_endpoint().empty() && c->remote_endpoint().empty());
            ok.equal(text_thrown([&] { fd_of(*c); }), std::string("control: invalid argument"));
        }
        net::listener l;
        ok.equal(accept(l), result{0, invalid});
        ok.equal(close(l), invalid);
        ok.equal(text_thrown([&] { (void)l.accept(); }), std::string("accept: invalid argument"));
        // What is assigned over is closed; the other one is what it was.
        two_conns p = tcp_pair();
        p.a = std::move(other);
        ok.equal(read(p.b, 1), end_of_stream);
        ok.equal(write(p.a, "moved"), wrote(5));
        ok.equal(read(b, 100), got("moved"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-24 the destructor closes", "[net][close]") {
    (void)tcp_pair();
    const int before = open_sockets();
    const std::string text = everywhere([](findings& ok) {
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        { const net::conn dies = std::move(a); }
        ok.equal(read(b, 1), end_of_stream);
    });
    CHECK(text == "");
    CHECK(open_sockets() == before);
}

TEST_CASE("NET-25 what was written is sent after close, unless it is thrown away", "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            const auto all = stream_of(100'000);
            std::error_code ec;
            background w([&] {
                result r{.ec = rubbish()};
                r.n = a.write(all, r.ec);
                if (!r.ec) r.ec = close(a);
                return r;
            });
            ok.equal(read_stream(b, 3000), std::int64_t{100'000});
            ok.equal(w.get(), wrote(100'000));
        }
        {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            a.set_linger(0s);
            a.set_linger(-1s);  // as it was
            ok(!close(a));
            ok.equal(read(b, 1), end_of_stream);
        }
        {
            two_conns ab = tcp_pair();
            net::conn& a = ab.a;
            net::conn& b = ab.b;
            reset(a);
            ok.equal(read(b, 1), failed(std::errc::connection_reset));
        }
        // Who has not read everything resets, too.
        two_conns ab = tcp_pair();
        net::conn& a = ab.a;
        net::conn& b = ab.b;
        ok.equal(write(b, "unread"), wrote(6));
        await_edge_at(a);
        ok(!close(a));
        ok.equal(read(b, 1), failed(std::errc::connection_reset));
    });
    CHECK(text == "");
}

// ---- descriptors that are handed out ----------------------------------------------------------

TEST_CASE("NET-26 a duplicate lives on by itself, closed on exec, its mode untouched",
          "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            const int fd = a.dup();
            ok((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
            ok((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
            ok(!close(a));
            blocked r([&] { return read(b, 100); });
            ok(::write(fd, "dup", 3) == 3);
            ok.equal(r.get(), got("dup"));
            ::close(fd);
            ok.equal(read(b, 100), end_of_stream);
        });
        with_streams([&](net::conn& a, net::conn& b) {
            ::close(a.dup());
            ok.equal(write(a, "still"), wrote(5));
            ok.equal(read(b, 100), got("still"));
        });
    });
    CHECK(text == "");
}

TEST_CASE("NET-26 release gives the descriptor up, open; who waits is told", "[net][close]") {
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            const int same = fd_of(a);
            const ino_t socket = inode_of(same);
            background r([&] { return read(a, 100); });
            r.parked();
            const int fd = a.release();
            ok.equal(r.get(), closed);
            ok.equal(fd, same);
            ok(is_open(fd, socket));
            ok(!a);
            // It can be taken over again.
            net::conn again = net::adopt_conn(fd);
            ok.equal(write(b, "hello"), wrote(5));
            ok.equal(read(again, 100), got("hello"));
        });
    });
    CHECK(text == "");
}

}  // namespace vole::test
