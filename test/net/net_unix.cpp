// Local sockets: streams and packets, their names. Cites NET-39. Datagrams are in net_unixgram.cpp.
#include "test/net/loopback.hpp"

#include <array>

namespace vole::test {

using namespace loopback;

namespace {

std::string abstract_name() {
    static std::atomic<int> last{0};
    return "@vole-net-" + std::to_string(::getpid()) + "-" + std::to_string(++last);
}

void touch(const std::string& path) {
    const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) ::close(fd);
}

std::error_code dial_error(const endpoint& at) {
    return error_of_call([&](std::error_code& ec) { (void)net::dial_unix(at, {}, ec); });
}

}  // namespace

TEST_CASE("NET-39 streams by path and by abstract name", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        for (const std::string& name : {folder / "stream", abstract_name()}) {
            net::unix_listener l = net::listen_unix(endpoint::local(name));
            ok.equal(l.local_endpoint().to_string(), name);
            net::unix_conn a = net::dial_unix(l.local_endpoint());
            net::unix_conn b = l.accept();
            ok.equal(a.remote_endpoint().to_string(), name);
            ok.equal(b.local_endpoint().to_string(), name);
            // Who dials has no name.
            ok(a.local_endpoint().empty());
            ok(b.remote_endpoint().empty());
            ok.equal(write_of(a, "to b"), wrote(4));
            ok.equal(read_of(b, 100), got("to b"));
            ok.equal(write_of(b, "to a"), wrote(4));
            a.close_write();
            ok.equal(read_of(b, 100), end_of_stream);
            ok.equal(read_of(b, 100), end_of_stream);
            ok.equal(read_of(a, 100), got("to a"));
            ok.equal(write_of(a, "x"), failed_with(std::errc::broken_pipe));
            // Options of TCP are not its.
            ok(error_of_call([&](std::error_code& ec) { a.set_no_delay(true, ec); }) ==
               std::errc::operation_not_supported);
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 who dials may have a name, by the dialer's", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        net::unix_listener l = net::listen_unix(endpoint::local(folder / "l"));
        net::dialer how;
        how.local = endpoint::local(folder / "own");
        net::unix_conn a = net::dial_unix(l.local_endpoint(), how);
        net::unix_conn b = l.accept();
        ok(a.local_endpoint() == how.local);
        ok(b.remote_endpoint() == how.local);
        how.local = any_port;
        ok(error_of_call([&](std::error_code& ec) {
               (void)net::dial_unix(l.local_endpoint(), how, ec);
           }) == errc::address_mismatch);
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 nobody there, or one of another kind", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        ok(dial_error(endpoint::local(folder / "none")) == std::errc::no_such_file_or_directory);
        ok(dial_error(endpoint::local(abstract_name())) == std::errc::connection_refused);
        const endpoint at = endpoint::local(folder / "l");
        net::listener packets = net::listen("unixpacket", at.path());
        ok(dial_error(at) == std::errc::wrong_protocol_type);
        ok.throws<net::op_error>("dial unix " + at.path() + ": protocol wrong type for socket",
                                 [&] { (void)net::dial_unix(at); });
        packets.set_unlink_on_close(false);
        packets.close();
        ok(dial_error(at) == std::errc::connection_refused);
        // The path is taken, by nobody; and stays.
        ok(error_of_call([&](std::error_code& ec) { (void)net::listen_unix(at, {}, ec); }) ==
           std::errc::address_in_use);
        ok(exists(at.path()));
        ok(dial_error(any_port) == errc::invalid_address);
    });
    CHECK(text == "");
}

// ---- the path ---------------------------------------------------------------------------------

TEST_CASE("NET-39 a listener removes its path when it is closed, once", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        const std::string path = folder / "l";
        {
            net::unix_listener l = net::listen_unix(endpoint::local(path));
            ok(exists(path));
            l.close();
            ok(!exists(path));
            // What is there now is somebody else's.
            touch(path);
            ok(error_of_call([&](std::error_code& ec) { l.close(ec); }) == errc::closed);
            ok(exists(path));
        }
        ok(exists(path));
        ::unlink(path.c_str());
        { const net::unix_listener l = net::listen_unix(endpoint::local(path)); }
        ok(!exists(path));
        // Again at once.
        const net::unix_listener l = net::listen_unix(endpoint::local(path));
        ok(bool(l));
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 whether it does can be switched", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        const std::string path = folder / "l";
        for (const bool on : {false, true}) {
            net::unix_listener l = net::listen_unix(endpoint::local(path));
            l.set_unlink_on_close(!on);
            l.set_unlink_on_close(on);
            l.close();
            ok.equal(exists(path), !on);
            ::unlink(path.c_str());
        }
        for (const bool on : {false, true}) {
            net::unix_listener first = net::listen_unix(endpoint::local(path));
            first.set_unlink_on_close(false);
            // One that was adopted does not, unless it is told to.
            net::listener second = net::adopt_listener(first.dup());
            ok.equal(second.local_endpoint().to_string(), path);
            if (on) second.set_unlink_on_close(true);
            second.close();
            ok.equal(exists(path), !on);
            ::unlink(path.c_str());
        }
        // Who gives the descriptor up leaves the path with it.
        net::unix_listener l = net::listen_unix(endpoint::local(path));
        net::listener again = net::adopt_listener(l.release());
        ok(exists(path));
        ok(!l);
        const net::unix_conn a = net::dial_unix(endpoint::local(path));
        const net::conn b = again.accept();
        ok(bool(b));
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 connections that were accepted leave the path alone", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        const std::string path = folder / "l";
        net::unix_listener l = net::listen_unix(endpoint::local(path));
        {
            net::unix_conn a = net::dial_unix(l.local_endpoint());
            net::unix_conn b = l.accept();
        }
        ok(exists(path));
        // The path goes with the listener, its connections stay.
        net::unix_conn a = net::dial_unix(l.local_endpoint());
        net::unix_conn b = l.accept();
        l.close();
        ok(!exists(path));
        ok.equal(write_of(a, "still"), wrote(5));
        ok.equal(read_of(b, 10), got("still"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 of two who close at once, one removes the path", "[net][unix]") {
    findings ok;
    run_on(4, [&] {
        const temporary_folder folder;
        const std::string path = folder / "l";
        net::unix_listener l;
        std::atomic<int> closed{0};
        const auto end = [&] {
            std::error_code ec;
            l.close(ec);
            // Whoever comes next may take the name as soon as one of the two has said that it is closed.
            if (!ec) {
                ++closed;
                touch(path);
            }
        };
        for (int i = 0; i < scaled(300, 20); ++i) {
            closed = 0;
            l = net::listen_unix(endpoint::local(path));
            wait_group both;
            both.go(end);
            end();
            both.wait();
            ok.equal(closed.load(), 1);
            ok(exists(path));
            ::unlink(path.c_str());
        }
    });
    CHECK(ok.text() == "");
}

// ---- packets in a row -------------------------------------------------------------------------

TEST_CASE("NET-39 a sequence of packets keeps their boundaries", "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        const temporary_folder folder;
        for (const std::string& name : {folder / "packets", abstract_name()}) {
            net::listener l = net::listen("unixpacket", name);
            net::conn a = net::dial("unixpacket", name);
            net::conn b = l.accept();
            for (const char* packet : {"one", "", "three"}) write_of(a, packet);
            ok.equal(read_of(b, 100), got("one"));
            // One of no bytes is no end of the stream.
            ok.equal(read_of(b, 100), got(""));
            ok.equal(read_of(b, 2), got("th"));
            // What did not fit is lost, and the next one comes whole.
            write_of(a, "next");
            ok.equal(read_of(b, 100), got("next"));
            // Several pieces are one packet.
            const std::array pieces{bytes_of("a"), bytes_of(""), bytes_of("bc")};
            ok.equal(a.write_v(pieces), 3U);
            ok.equal(read_of(b, 100), got("abc"));
            {
                blocked r([&] { return read_of(b, 100); });
                ok.equal(write_of(a, ""), wrote(0));
                ok.equal(r.get(), got(""));
            }
            a.close();
            ok.equal(read_of(b, 100), end_of_stream);
            ok.equal(read_of(b, 100), end_of_stream);
            ok.equal(write_of(b, "x"), failed_with(std::errc::broken_pipe));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-39 a writer of packets waits while the other end's queue is full, and none is lost",
          "[net][unix]") {
    const std::string text = everywhere([](findings& ok) {
        auto [a, b] = local_ends(SOCK_SEQPACKET);
        constexpr int packets = 3000;
        background w([&, &a = a] {
            for (int i = 0; i < packets; ++i) {
                if (!ok.equal(write_of(a, std::to_string(i)), wrote(std::to_string(i).size())))
                    break;
            }
            return result{};
        });
        w.parked();
        for (int i = 0; i < packets; ++i) ok.equal(read_of(b, 100), got(std::to_string(i)));
        w.get();
    });
    CHECK(text == "");
}

}  // namespace vole::test
