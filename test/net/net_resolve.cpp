// Addresses as people write them, to endpoints. Cites NET-69, NET-70, NET-72.
#include <catch2/catch.hpp>

#include <vole/net/error.hpp>
#include <vole/net/resolve.hpp>
#include <vole/vole.hpp>

#include "test/net/fake_resolver.hpp"

#include <cerrno>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <net/if.h>
#include <netdb.h>

using namespace vole::test;
using namespace std::literals;
namespace net = vole::net;
using net::endpoint;
using net::errc;

namespace {

std::vector<endpoint> resolved(std::string_view network, std::string_view address,
                               std::error_code& ec) {
    return net::resolve(network, address, vole::context::background(), ec);
}

/// The endpoints as text, or the error's.
std::string resolved(std::string_view network, std::string_view address) {
    std::error_code ec = errc::closed;
    const auto all = resolved(network, address, ec);
    return ec ? "error: " + ec.message() : text_of(all);
}

std::string failed(errc e) { return "error: " + make_error_code(e).message(); }

}  // namespace

TEST_CASE("NET-70 numeric hosts need no look-up", "[net][resolve]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        ok.equal(text_of(net::lookup_host("192.0.2.7")), "192.0.2.7:0");
        ok.equal(text_of(net::lookup_host("::")), "[::]:0");
        ok.equal(text_of(net::lookup_host("2001:DB8::1")), "[2001:db8::1]:0");
        ok.equal(text_of(net::lookup_host("::ffff:192.0.2.7")), "[::ffff:192.0.2.7]:0");
        ok.equal(text_of(net::lookup_host("fe80::1%7")), "[fe80::1%7]:0");
        // What has ended cannot end what takes no time.
        auto [ctx, cancel] = vole::with_cancel(vole::context::background());
        cancel();
        ok.equal(text_of(net::lookup_host("::1", ctx)), "[::1]:0");
        ok.equal(names.calls(), 0);
    });
    CHECK(text == "");
}

TEST_CASE("NET-69 a zone may be an interface's name", "[net][resolve]") {
    const unsigned lo = ::if_nametoindex("lo");
    if (lo == 0) return;
    fake_resolver names;
    CHECK(text_of(net::lookup_host("fe80::1%lo")) == "[fe80::1%" + std::to_string(lo) + "]:0");
    CHECK(resolved("tcp", "[fe80::1%lo]:80") == "[fe80::1%" + std::to_string(lo) + "]:80");
    CHECK(names.calls() == 0);
}

TEST_CASE("NET-72 what cannot be a host's name is none", "[net][resolve]") {
    fake_resolver names;
    for (const std::string_view host : {
             ""sv,
             "\0"sv,
             "a\0"sv,
             "localhost\0x"sv,
             "127.0.0.1\0"sv,
             "fe80::1%"sv,
             "fe80::1%0"sv,
             "fe80::1%nosuchinterface"sv,
             "fe80::1%lo\0"sv,
             "1:2"sv,
             "[::1]"sv,
         }) {
        INFO(host);
        std::error_code ec;
        CHECK(net::lookup_host(host, ec).empty());
        CHECK(ec == errc::no_such_host);
    }
    std::error_code ec;
    CHECK(net::lookup_host(std::string(NI_MAXHOST, 'a'), ec).empty());
    CHECK(ec == errc::no_such_host);
    CHECK(names.calls() == 0);
    CHECK(net::lookup_host(std::string(NI_MAXHOST - 1, 'a'), ec).size() == 1);
    CHECK(names.calls() == 1);
}

TEST_CASE("NET-69 an address is resolved for a network", "[net][resolve]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names([](const std::string& host, int) {
            if (host != "both") return fake_resolver::answer{{}, errc::no_such_host};
            return fake_resolver::answer{{v6(1), v4(1), v4(2)}, {}};
        });
        // Two networks in turn: no difference but the port's protocol.
        for (const std::string n : {"tcp", "udp"}) {
            ok.equal(resolved(n, "both:53"), "[2001:db8::1]:53 192.0.2.1:53 192.0.2.2:53");
            ok.equal(resolved(n + "4", "both:53"), "192.0.2.1:53 192.0.2.2:53");
            ok.equal(resolved(n + "6", "both:53"), "[2001:db8::1]:53");
            ok.equal(resolved(n, "both:domain"), "[2001:db8::1]:53 192.0.2.1:53 192.0.2.2:53");
            ok.equal(resolved(n, "other:53"), failed(errc::no_such_host));
            ok.equal(resolved(n, "192.0.2.9:0"), "192.0.2.9:0");
            ok.equal(resolved(n, "[2001:db8::9]:65535"), "[2001:db8::9]:65535");
            ok.equal(resolved(n + "6", "192.0.2.9:0"), failed(errc::no_such_host));
            ok.equal(resolved(n + "4", "[2001:db8::9]:1"), failed(errc::no_such_host));
            ok.equal(resolved(n, ":53"), "[::]:53");
            ok.equal(resolved(n + "6", ":53"), "[::]:53");
            ok.equal(resolved(n + "4", ":53"), "0.0.0.0:53");
            ok.equal(resolved(n, ":"), "[::]:0");
            // IPv4 in IPv6's clothes.
            ok.equal(resolved(n, "[::ffff:192.0.2.9]:1"), "192.0.2.9:1");
            ok.equal(resolved(n + "4", "[::ffff:192.0.2.9]:1"), "192.0.2.9:1");
            ok.equal(resolved(n + "6", "[::ffff:192.0.2.9]:1"), failed(errc::no_such_host));

            ok.equal(resolved(n, ""), failed(errc::missing_address));
            ok.equal(resolved(n, "both"), failed(errc::missing_port));
            ok.equal(resolved(n, "::1:80"), failed(errc::invalid_address));
            ok.equal(resolved(n, "both:65536"), failed(errc::invalid_port));
            ok.equal(resolved(n, "both:nosuchservice"), failed(errc::unknown_port));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-69 a port that is none fails before anybody is asked", "[net][resolve]") {
    fake_resolver names;
    CHECK(resolved("tcp", "host:nosuchservice") == failed(errc::unknown_port));
    CHECK(names.calls() == 0);
}

TEST_CASE("NET-70 the system is asked for the family that is wanted", "[net][resolve]") {
    std::vector<int> asked;
    {
        fake_resolver names([&](const std::string&, int family) {
            asked.push_back(family);
            return fake_resolver::answer{{v6(1)}, {}};
        });
        CHECK(resolved("tcp", "host:1") == "[2001:db8::1]:1");
        CHECK(resolved("tcp6", "host:1") == "[2001:db8::1]:1");
        CHECK(resolved("udp4", "host:1") == failed(errc::no_such_host));  // not what was wanted
    }
    CHECK(asked == std::vector<int>{AF_UNSPEC, AF_INET6, AF_INET});
}

TEST_CASE("NET-69 addresses of local sockets are paths", "[net][resolve]") {
    fake_resolver names;
    for (const std::string_view network : {"unix", "unixgram", "unixpacket"}) {
        INFO(network);
        std::error_code ec;
        for (const std::string_view path : {"/run/x.sock", "x.sock", "@abstract", "localhost:80"}) {
            const auto all = resolved(network, path, ec);
            CHECK(!ec);
            REQUIRE(all.size() == 1);
            CHECK(all[0] == endpoint::local(path));
        }
        CHECK(resolved(network, "") == failed(errc::missing_address));
        CHECK(resolved(network, std::string(108, 'x')) == failed(errc::invalid_address));
        CHECK(resolved(network, "a\0b"sv) == failed(errc::invalid_address));
    }
    CHECK(names.calls() == 0);
}

TEST_CASE("NET-69 other networks are unknown", "[net][resolve]") {
    for (const std::string_view network : {"", "tc", "tcp5", "tcp64", "unix4", "ip", "4", "TCP"}) {
        INFO(network);
        CHECK(resolved(network, "127.0.0.1:80") == failed(errc::unknown_network));
        CHECK(resolved(network, "") == failed(errc::unknown_network));
    }
}

TEST_CASE("NET-72 the forms that throw say what was looked up", "[net][resolve]") {
    fake_resolver names([](const std::string&, int) {
        return fake_resolver::answer{{}, errc::name_server_failure};
    });
    try {
        (void)net::lookup_host("host");
        FAIL("threw nothing");
    } catch (const net::op_error& e) {
        CHECK(e.code() == errc::name_server_failure);
        CHECK(e.op() == "lookup");
        CHECK(e.address() == "host");
        CHECK(e.temporary());
        CHECK(!e.timeout());
    }
    try {
        (void)net::resolve("tcp4", "host:80");
        FAIL("threw nothing");
    } catch (const net::op_error& e) {
        CHECK(e.code() == errc::name_server_failure);
        CHECK(e.op() == "lookup");
        CHECK(e.network() == "tcp4");
        CHECK(e.address() == "host:80");
    }
    CHECK(text_of(net::resolve("tcp4", "127.0.0.1:80")) == "127.0.0.1:80");
}

TEST_CASE("NET-72 localhost is what the hosts file says", "[net][resolve]") {
    std::ifstream file("/etc/hosts");
    std::vector<std::string> listed;
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string address, name;
        words >> address;
        while (words >> name) {
            if (name == "localhost") listed.push_back(address);
        }
    }
    if (listed.empty()) return;
    const std::string text = everywhere([](findings& ok) {
        std::error_code ec;
        const auto all = net::lookup_host("localhost", ec);
        ok.equal(ec, std::error_code());
        ok(!all.empty());
        for (std::size_t i = 0; i < all.size(); ++i) {
            ok.equal(all[i].port(), 0);
            const std::string one = all[i].to_string();
            ok(one == "[::1]:0" || one.starts_with("127."), one);
            for (std::size_t j = 0; j < i; ++j) ok(all[i] != all[j], "twice");
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-72 the system's answers and refusals", "[net][resolve]") {
    // Numeric ones: no name server is asked.
    CHECK(text_of(vole::detail::ask_system("192.0.2.3", AF_UNSPEC).addresses) == "192.0.2.3:0");
    CHECK(text_of(vole::detail::ask_system("2001:db8::3", AF_INET6).addresses) ==
          "[2001:db8::3]:0");
    CHECK(text_of(vole::detail::ask_system("fe80::3%4", AF_UNSPEC).addresses) == "[fe80::3%4]:0");
    CHECK(vole::detail::ask_system("2001:db8::3", AF_INET).error == errc::no_such_host);
    CHECK(vole::detail::ask_system("192.0.2.3", AF_INET6).error == errc::no_such_host);

    using vole::detail::error_of_lookup;
    CHECK(error_of_lookup(EAI_NONAME, 0) == errc::no_such_host);
    CHECK(error_of_lookup(EAI_NODATA, 0) == errc::no_such_host);
    CHECK(error_of_lookup(EAI_ADDRFAMILY, 0) == errc::no_such_host);
    CHECK(error_of_lookup(EAI_AGAIN, ECONNREFUSED) == errc::name_server_failure);
    CHECK(error_of_lookup(EAI_FAIL, 0) == errc::name_server_failure);
    CHECK(error_of_lookup(EAI_MEMORY, 0) == std::errc::not_enough_memory);
    CHECK(error_of_lookup(EAI_SYSTEM, EACCES) == std::errc::permission_denied);
    CHECK(error_of_lookup(EAI_SYSTEM, 0) == std::errc::too_many_files_open);
}
