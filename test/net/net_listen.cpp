// Listeners. Cites NET-50 to NET-56. Deadlines of accept are in net_deadline.cpp, closing in net_close.cpp.
#include "test/net/socket_support.hpp"

#include "test/support/subprocess.hpp"

#include <fcntl.h>
#include <set>
#include <sys/resource.h>
#include <thread>
#include <vector>

namespace vole::test {

namespace {

using net::endpoint;
using net::listen_config;

net::conn dial_ok(findings& ok, const std::string& network, const endpoint& to,
                  place where = here()) {
    std::error_code ec;
    net::conn c = net::dial(network, to.to_string(), ec);
    ok(!ec, network + " " + to.to_string() + " " + ec.message(), where);
    return c;
}
std::string port_of(const net::open_object& o) { return std::to_string(o.local_endpoint().port()); }

bool has_ipv6() {
    static const bool has = [] {
        std::error_code ec;
        (void)net::listen_tcp(loopback6(), {}, ec);
        return !ec;
    }();
    return has;
}

/// As every descriptor must be.
bool is_ours(int fd) {
    return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 && (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

}  // namespace

// ---- where ------------------------------------------------------------------------------------

TEST_CASE("NET-50 a listener's port can be bound again at once, with connections that linger",
          "[net][listen]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        const endpoint at = l.local_endpoint();
        {
            // The listener's side closes first, so it is the one that has to remember the connection.
            net::conn c = net::dial_tcp(at);
            net::conn s = l.accept();
            ok(!close(s));
            ok.equal(read(c, 1), end_of_stream);
        }
        ok(option_of(l, SOL_SOCKET, SO_REUSEADDR) == 1);
        ok(option_of(l, SOL_SOCKET, SO_REUSEPORT) == 0);
        ok(!close(l));
        std::error_code ec = rubbish();
        net::tcp_listener again = net::listen_tcp(at, {}, ec);
        ok(!ec, ec.message());
        net::conn c = dial_ok(ok, "tcp", at);
        ok(bool(again.accept()));
    });
    CHECK(text == "");
}

TEST_CASE("NET-51 port 0: the system picks one, and it is known", "[net][listen]") {
    const std::string text = everywhere([](findings& ok) {
        for (const char* address : {"127.0.0.1:0", "localhost:0", ":0"}) {
            net::listener l = net::listen("tcp", address);
            ok(l.local_endpoint().port() != 0);
            net::conn c = net::dial("tcp", "127.0.0.1:" + port_of(l));
            net::conn s = l.accept();
            ok.equal(s.local_endpoint().port(), l.local_endpoint().port());
            ok.equal(s.remote_endpoint().to_string(), c.local_endpoint().to_string());
            ok.equal(c.remote_endpoint().port(), l.local_endpoint().port());
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-51 which families a listener takes", "[net][listen]") {
    if (!has_ipv6()) {
        WARN("no IPv6 here: skipped");
        return;
    }
    struct row {
        const char* network;
        const char* host;
        bool four;
        bool six;
    };
    const std::array rows{row{"tcp", "", true, true},          row{"tcp", "[::]", true, true},
                          row{"tcp4", "", true, false},        row{"tcp6", "", false, true},
                          row{"tcp6", "[::]", false, true},    row{"tcp", "0.0.0.0", true, false},
                          row{"tcp4", "0.0.0.0", true, false}, row{"tcp", "127.0.0.1", true, false},
                          row{"tcp", "[::1]", false, true},    row{"tcp6", "[::1]", false, true}};
    findings ok;
    for (const row& r : rows) {
        const std::string name = std::string(r.network) + " " + r.host;
        net::listener l = net::listen(r.network, std::string(r.host) + ":0");
        const auto takes = [&](const endpoint& to) {
            std::error_code ec;
            net::tcp_conn c = net::dial_tcp(to, {}, ec);
            if (ec) {
                ok(ec == std::errc::connection_refused, name);
                return false;
            }
            net::conn s = l.accept();
            // An IPv4 address looks like one also where an IPv6 socket has taken it.
            ok(s.remote_endpoint().family() == to.family(), name);
            ok(s.local_endpoint() == to, name);
            return true;
        };
        const std::uint16_t port = l.local_endpoint().port();
        ok(takes(loopback(port)) == r.four, name + " over IPv4");
        ok(takes(loopback6(port)) == r.six, name + " over IPv6");
    }
    CHECK(ok.text() == "");
}

TEST_CASE("NET-51 who may listen beside whom", "[net][listen]") {
    if (!has_ipv6()) {
        WARN("no IPv6 here: skipped");
        return;
    }
    struct row {
        const char* first[2];
        const char* second[2];
        bool both;
    };
    const std::array rows{
        row{{"tcp", ""}, {"tcp", ""}, false},
        row{{"tcp", ""}, {"tcp", "0.0.0.0"}, false},
        row{{"tcp", "0.0.0.0"}, {"tcp", ""}, false},
        row{{"tcp4", ""}, {"tcp", ""}, false},
        row{{"tcp", ""}, {"tcp6", ""}, false},
        row{{"tcp6", ""}, {"tcp", ""}, false},
        row{{"tcp4", ""}, {"tcp6", ""}, true},
        row{{"tcp6", ""}, {"tcp4", ""}, true},
        row{{"tcp6", ""}, {"tcp6", ""}, false},
        row{{"tcp4", ""}, {"tcp4", "127.0.0.1"}, false},
        row{{"tcp", "127.0.0.1"}, {"tcp", "127.0.0.2"}, true},
        row{{"tcp", "127.0.0.1"}, {"tcp", "[::1]"}, true},
        row{{"tcp", "[::1]"}, {"tcp", "[::1]"}, false},
    };
    findings ok;
    for (const row& r : rows) {
        bool succeeded = false;
        // The port may be somebody else's in the other family: then another one is tried.
        for (int tries = 0; tries < (r.both ? 20 : 1) && !succeeded; ++tries) {
            net::listener l = net::listen(r.first[0], std::string(r.first[1]) + ":0");
            std::error_code ec;
            const net::listener other =
                net::listen(r.second[0], std::string(r.second[1]) + ":" + port_of(l), ec);
            succeeded = !ec;
            ok(succeeded || ec == std::errc::address_in_use, ec.message());
        }
        ok(succeeded == r.both,
           std::string(r.first[0]) + r.first[1] + " " + r.second[0] + r.second[1]);
    }
    const net::listener l = net::listen("tcp", "127.0.0.1:0");
    CHECK(text_thrown([&] { (void)net::listen("tcp", l.local_endpoint().to_string()); }) ==
          "listen tcp " + l.local_endpoint().to_string() + ": address already in use");
    CHECK(ok.text() == "");
}

TEST_CASE("NET-51 where nobody can listen", "[net][listen]") {
    const auto error = [](const char* network, const char* address) {
        return text_thrown([&] { (void)net::listen(network, address); });
    };
    CHECK(error("foo", "127.0.0.1:0") == "listen foo 127.0.0.1:0: unknown network");
    CHECK(error("udp", "127.0.0.1:0") == "listen udp 127.0.0.1:0: unknown network");
    CHECK(error("unixgram", "@x") == "listen unixgram @x: unknown network");
    CHECK(error("tcp", "127.0.0.1") == "listen tcp 127.0.0.1: missing port in address");
    CHECK(error("tcp", "127.0.0.1:99999") == "listen tcp 127.0.0.1:99999: invalid port");
    CHECK(error("tcp6", "127.0.0.1:0") == "listen tcp6 127.0.0.1:0: no such host");
    CHECK(error("tcp", "") == "listen tcp: missing address");
    CHECK(error("unix", "/no/such/folder/x") ==
          "listen unix /no/such/folder/x: no such file or directory");
    // An address of nobody's.
    CHECK(error("tcp", "192.0.2.1:0") == "listen tcp 192.0.2.1:0: cannot assign requested address");
    std::error_code ec;
    CHECK(!net::listen_tcp(endpoint::local("@x"), {}, ec));
    CHECK(ec == errc::invalid_address);
    CHECK(!net::listen_tcp(endpoint(), {}, ec));
    CHECK(ec == errc::invalid_address);
    CHECK(!net::listen_unix(loopback(), {}, ec));
    CHECK(ec == errc::invalid_address);
}

// ---- configuration ----------------------------------------------------------------------------

TEST_CASE("NET-50 the queue is as long as the system allows, or as asked for", "[net][listen]") {
    net::tcp_listener l = net::listen_tcp(loopback());
    int most = 0;
    std::FILE* f = std::fopen("/proc/sys/net/core/somaxconn", "re");
    REQUIRE(f != nullptr);
    CHECK(std::fscanf(f, "%d", &most) == 1);
    std::fclose(f);
    CHECK(queue_of(l).most == static_cast<unsigned>(most));
    net::tcp_listener small = net::listen_tcp(loopback(), {.backlog = 7});
    CHECK(queue_of(small).most == 7);
}

TEST_CASE("NET-50 listeners that share a port, and are dealt connections", "[net][listen]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener first = net::listen_tcp(loopback(), {.reuse_port = true});
        const endpoint at = first.local_endpoint();
        net::tcp_listener second = net::listen_tcp(at, {.reuse_port = true});
        std::error_code ec;
        (void)net::listen_tcp(at, {}, ec);
        ok(ec == std::errc::address_in_use);
        std::vector<net::tcp_conn> conns;
        wait_until(
            [&] {
                conns.push_back(net::dial_tcp(at));
                return queue_of(first).waiting > 0 && queue_of(second).waiting > 0;
            },
            "connections for both");
        wait_until(
            [&] { return queue_of(first).waiting + queue_of(second).waiting == conns.size(); },
            "all of them to be dealt");
        while (queue_of(first).waiting > 0) ok.equal(accept(first), result{1, {}});
        while (queue_of(second).waiting > 0) ok.equal(accept(second), result{1, {}});
    });
    CHECK(text == "");
}

TEST_CASE("NET-53 connections send at once, and ask silent peers", "[net][listen]") {
    const auto check = [](findings& ok, net::open_object& c, std::array<int, 5> wanted) {
        const std::array<int, 5> is{
            option_of(c, IPPROTO_TCP, TCP_NODELAY), option_of(c, SOL_SOCKET, SO_KEEPALIVE),
            option_of(c, IPPROTO_TCP, TCP_KEEPIDLE), option_of(c, IPPROTO_TCP, TCP_KEEPINTVL),
            option_of(c, IPPROTO_TCP, TCP_KEEPCNT)};
        for (std::size_t i = 0; i < is.size(); ++i) {
            ok.equal(std::to_string(i) + ": " + std::to_string(is[i]),
                     std::to_string(i) + ": " + std::to_string(wanted[i]));
        }
    };
    const auto pair_with = [](const net::conn::keep_alive& k) {
        net::tcp_listener l = net::listen_tcp(loopback(), {.keep_alive = k});
        net::dialer how;
        how.keep_alive = k;
        net::conn a = net::dial_tcp(l.local_endpoint(), how);
        net::conn b = l.accept();
        return two_conns{std::move(a), std::move(b)};
    };
    const std::string text = everywhere([&](findings& ok) {
        two_conns p = tcp_pair();
        const net::tcp_listener plain = net::listen_tcp(loopback());
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        net::conn untouched = net::adopt_conn(fd);
        const int idle = option_of(untouched, IPPROTO_TCP, TCP_KEEPIDLE);
        const int interval = option_of(untouched, IPPROTO_TCP, TCP_KEEPINTVL);
        const int count = option_of(untouched, IPPROTO_TCP, TCP_KEEPCNT);
        for (net::conn* c : {&p.a, &p.b}) check(ok, *c, {1, 1, 15, 15, 9});
        p = pair_with({.on = true, .idle = 33s, .interval = 7s, .count = 4});
        for (net::conn* c : {&p.a, &p.b}) check(ok, *c, {1, 1, 33, 7, 4});
        p = pair_with({.on = true, .idle = -1s, .interval = -1s, .count = -1});
        for (net::conn* c : {&p.a, &p.b}) check(ok, *c, {1, 1, idle, interval, count});
        p = pair_with({.on = false});
        for (net::conn* c : {&p.a, &p.b}) check(ok, *c, {1, 0, idle, interval, count});
        // And later.
        p.a.set_no_delay(false);
        p.a.set_keep_alive({.on = true, .idle = 21s});
        check(ok, p.a, {0, 1, 21, 15, 9});
        p.a.set_keep_alive({.on = false});
        p.a.set_no_delay(true);
        check(ok, p.a, {1, 0, 21, 15, 9});
        two_conns cd = unix_pair();
        net::conn& c = cd.a;
        const auto refused = std::make_error_code(std::errc::operation_not_supported);
        using ec_ref = std::error_code&;
        ok.equal(error_of_call([&, &u = c](ec_ref ec) { u.set_no_delay(true, ec); }), refused);
        ok.equal(error_of_call([&, &u = c](ec_ref ec) { u.set_keep_alive({}, ec); }), refused);
        ok.equal(error_of_call([&, &u = c](ec_ref ec) { u.set_linger(0s, ec); }), refused);
    });
    CHECK(text == "");
}

TEST_CASE("NET-55 a control function sees the socket before it is bound, and may refuse it",
          "[net][listen]") {
    (void)tcp_pair();
    const int before = open_sockets();
    const std::string text = everywhere([](findings& ok) {
        int calls = 0;
        listen_config config;
        config.control = [&](int fd) {
            ++calls;
            ok(is_ours(fd));
            sockaddr_in a{};
            socklen_t size = sizeof a;
            ok(::getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size) == 0 && a.sin_port == 0);
            return std::error_code();
        };
        ok(net::listen_tcp(loopback(), config).local_endpoint().port() != 0);
        ok(bool(net::listen("tcp", "127.0.0.1:0", config)));
        ok(bool(net::listen("unix", "@vole-test-control", config)));
        ok.equal(calls, 3);
        config.control = [&](int) { return std::make_error_code(std::errc::owner_dead); };
        std::error_code ec;
        ok(!net::listen_tcp(loopback(), config, ec));
        ok(ec == std::errc::owner_dead);
        ok(!net::listen("unix", "@vole-test-control", config, ec));
        ok(ec == std::errc::owner_dead);
        config.control = [](int) -> std::error_code { throw 7; };
        try {
            (void)net::listen_tcp(loopback(), config);
            ok(false);
        } catch (int thrown) {
            ok.equal(thrown, 7);
        }
    });
    CHECK(text == "");
    CHECK(open_sockets() == before);
}

// ---- accepting --------------------------------------------------------------------------------

TEST_CASE("NET-54 of several who accept, each connection goes to one", "[net][listen]") {
    const int conns = scaled(200, 40);
    const std::string text = everywhere([&](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        std::mutex mu;
        std::multiset<std::string> accepted;
        wait_group all;
        for (int i = 0; i < 6; ++i) {
            all.go([&] {
                for (;;) {
                    std::error_code ec;
                    const net::conn c = l.accept(ec);
                    if (ec) {
                        ok.equal(ec, make_error_code(errc::closed));
                        return;
                    }
                    const std::lock_guard hold(mu);
                    accepted.insert(c.remote_endpoint().to_string());
                }
            });
        }
        std::multiset<std::string> dialled;
        for (int i = 0; i < conns; ++i) {
            const net::conn c = net::dial_tcp(l.local_endpoint());
            dialled.insert(c.local_endpoint().to_string());
        }
        wait_until(
            [&] {
                const std::lock_guard hold(mu);
                return accepted.size() >= dialled.size();
            },
            "all to be accepted");
        ok(!close(l));
        all.wait();
        ok(accepted == dialled);
    });
    CHECK(text == "");
}

TEST_CASE("NET-52 connections that were given up while they waited are no error of accept",
          "[net][listen]") {
    const std::string text = everywhere([](findings& ok) {
        net::tcp_listener l = net::listen_tcp(loopback());
        for (int i = 0; i < 5; ++i) {
            net::conn c = net::dial_tcp(l.local_endpoint());
            reset(c);
        }
        net::conn c = net::dial_tcp(l.local_endpoint());
        ok.equal(write(c, "here"), wrote(4));
        // Linux gives those that were reset, and they end at once; none of it is an error.
        for (;;) {
            std::error_code ec = rubbish();
            net::conn s = l.accept(ec);
            if (!ok(!ec, ec.message())) break;
            const result r = read(s, 10);
            if (r == got("here")) break;
            if (!ok.equal(r, failed(std::errc::connection_reset))) break;
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-56 every descriptor is non-blocking and closed on exec", "[net][listen]") {
    two_conns ab = tcp_pair();
    net::conn& a = ab.a;
    net::conn& b = ab.b;
    two_conns cd = unix_pair();
    net::conn& c = cd.a;
    net::conn& d = cd.b;
    auto [in, out] = net::os_pipe();
    net::tcp_listener l = net::listen_tcp(loopback());
    net::unix_listener u = net::listen_unix(net::endpoint::local("@vole-test-flags"));
    net::listener by_name = net::listen("tcp", "localhost:0");
    for (net::open_object* o :
         std::initializer_list<net::open_object*>{&a, &b, &c, &d, &in, &out, &l, &u, &by_name}) {
        CHECK(is_ours(fd_of(*o)));
    }
}

// ---- out of descriptors -----------------------------------------------------------------------

namespace {

/// Lets the process have no more descriptors than it has now, until it is gone.
class no_more_descriptors {
  public:
    no_more_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int next = ::dup(0);
        rlimit now = before_;
        now.rlim_cur = static_cast<rlim_t>(next);
        ::close(next);
        ::setrlimit(RLIMIT_NOFILE, &now);
        // Those below that were in use for a moment only: the runtime reads files now and then.
        for (int round = 0; round < 100; ++round) {
            for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) held_.push_back(fd);
            std::this_thread::yield();
        }
    }
    ~no_more_descriptors() {
        for (const int fd : held_) ::close(fd);
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }
    no_more_descriptors(const no_more_descriptors&) = delete;
    no_more_descriptors& operator=(const no_more_descriptors&) = delete;

  private:
    rlimit before_{};
    std::vector<int> held_;
};

}  // namespace

TEST_CASE("child: out of descriptors", "[.child]") {
    const auto too_many = failed(std::errc::too_many_files_open);
    // UBSan takes descriptors to look at the type of an object, the first time. So what has one is used once before.
    const std::error_code known(EMFILE, std::system_category());
    CHECK(known == std::errc::too_many_files_open);
    CHECK(net::is_temporary(known));
    CHECK_FALSE(net::is_timeout(known));
    const std::string text = everywhere([&](findings& ok) {
        // Before all others: its number is one that the process may have.
        auto [spare, other] = unix_pair();
        net::tcp_listener l = net::listen_tcp(loopback());
        std::vector<net::conn> waiting;
        for (int i = 0; i < 3; ++i) {
            waiting.push_back(net::dial_tcp(l.local_endpoint()));
            ok.equal(write(waiting.back(), std::to_string(i)), wrote(1));
        }
        std::vector<net::conn> accepted;
        {
            const no_more_descriptors limit;
            for (int i = 0; i < 3; ++i) ok.equal(accept(l), too_many);
            // The form that throws is not asked here: an exception is made then, whose type nobody has looked at.
            // Nothing else gets one, and nothing is left behind.
            std::error_code ec;
            (void)net::dial_tcp(l.local_endpoint(), {}, ec);
            ok(ec == std::errc::too_many_files_open);
            (void)net::listen_tcp(loopback(), {}, ec);
            ok(ec == std::errc::too_many_files_open);
            (void)net::os_pipe(ec);
            ok(ec == std::errc::too_many_files_open);
            ok(spare.dup(ec) == -1);
            ok(ec == std::errc::too_many_files_open);
            // One is closed: the connection that has waited since gets its place.
            ok(!close(spare));
            wait_until([&] {  // the runtime may be faster
                net::conn c = l.accept(ec);
                if (!ec) accepted.push_back(std::move(c));
                return !ec;
            });
            ok.equal(accept(l), too_many);
        }
        accepted.push_back(l.accept());
        accepted.push_back(l.accept());
        std::string numbers;
        for (net::conn& c : accepted) numbers += read(c, 10).text;
        ok.equal(numbers, std::string("012"));
    });
    CHECK(text == "");
}

TEST_CASE("NET-85 TCP takes one path unless it is told to take several", "[net][listen]") {
    const auto protocol_of = [](net::open_object& o) {
        return o.control([](int fd) {
            int value = 0;
            socklen_t size = sizeof value;
            ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size);
            return value;
        });
    };
    constexpr int mptcp = 262;
    const int fd = ::socket(AF_INET, SOCK_STREAM, mptcp);
    const int several = fd >= 0 ? mptcp : IPPROTO_TCP;  // without it in the kernel: as before
    if (fd >= 0) ::close(fd);
    const std::string text = everywhere([&](findings& ok) {
        for (const bool multipath : {false, true}) {
            net::listen_config config;
            config.multipath = multipath;
            net::tcp_listener l = net::listen_tcp(loopback(), config);
            net::dialer how;
            how.multipath = multipath;
            net::tcp_conn a = net::dial_tcp(l.local_endpoint(), how);
            net::tcp_conn b = l.accept();
            ok.equal(protocol_of(l), multipath ? several : IPPROTO_TCP);
            ok.equal(protocol_of(a), multipath ? several : IPPROTO_TCP);
            a.set_no_delay(true);
            for (const char* part : {"one", "and another one"}) {
                ok.equal(write(a, part), wrote(std::strlen(part)));
                ok.equal(read_n(b, std::strlen(part)), got(part));
                ok.equal(write(b, part), wrote(std::strlen(part)));
                ok.equal(read_n(a, std::strlen(part)), got(part));
            }
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-52 out of descriptors: accept says so, and the next one has the connection",
          "[net][listen]") {
    const auto r = run_case_in_subprocess("child: out of descriptors");
    INFO(r.text());
    CHECK(r.succeeded());
}

}  // namespace vole::test
