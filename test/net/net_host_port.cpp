// Hosts and ports as text. Cites NET-69.
#include <catch2/catch.hpp>

#include <vole/net/error.hpp>
#include <vole/net/resolve.hpp>
#include <vole/runtime.hpp>

#include "test/support/findings.hpp"

#include <cctype>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace vole::test;
namespace net = vole::net;
using net::errc;

TEST_CASE("NET-69 host and port are told apart", "[net][host_port]") {
    struct row {
        std::string_view text, host, port;
    };
    // Go's TestSplitHostPort.
    const row rows[] = {
        {"localhost:http", "localhost", "http"},
        {"localhost:80", "localhost", "80"},
        {"localhost%lo0:http", "localhost%lo0", "http"},
        {"[::1%lo]:80", "::1%lo", "80"},
        {"[localhost%lo0]:80", "localhost%lo0", "80"},
        {"127.0.0.1:http", "127.0.0.1", "http"},
        {"127.0.0.1:80", "127.0.0.1", "80"},
        {"[::1]:http", "::1", "http"},
        {"[::1]:80", "::1", "80"},
        {"[::1%lo0]:http", "::1%lo0", "http"},
        {":http", "", "http"},
        {":", "", ""},
        {"[]:", "", ""},
        {"[]:80", "", "80"},
        {"127.0.0.1:", "127.0.0.1", ""},
        {"www.example.com:80", "www.example.com", "80"},
        {"localhost:-", "localhost", "-"},
    };
    for (const row& r : rows) {
        INFO(r.text);
        std::error_code ec = errc::closed;  // is cleared
        const auto parts = net::split_host_port(r.text, ec);
        CHECK(!ec);
        CHECK(parts.host == r.host);
        CHECK(parts.port == r.port);
    }
}

TEST_CASE("NET-69 what is no host and port is refused, and why", "[net][host_port]") {
    struct row {
        std::string_view text;
        errc why;
    };
    const row rows[] = {
        {"", errc::missing_port},
        {"localhost", errc::missing_port},
        {"127.0.0.1", errc::missing_port},
        {"[::1]", errc::missing_port},
        {"[::1]80", errc::missing_port},
        {"[::1]x:80", errc::missing_port},
        {"[::1", errc::invalid_address},
        {"[localhost:80", errc::invalid_address},
        {"::1", errc::invalid_address},
        {"fe80::1%lo0:80", errc::invalid_address},
        {"[::1]:80:90", errc::invalid_address},
        {"[::1]::80", errc::invalid_address},
        {"[[:1]:80", errc::invalid_address},
        {"[foo[bar]:80", errc::invalid_address},
        {"foo[bar:80", errc::invalid_address},
        {"foo[bar]:80", errc::invalid_address},
        {"foo]bar:80", errc::invalid_address},
        {"foo:[80", errc::invalid_address},
        {"[foo]:8]0", errc::invalid_address},
    };
    for (const row& r : rows) {
        INFO(r.text);
        std::error_code ec;
        const auto parts = net::split_host_port(r.text, ec);
        CHECK(ec == r.why);
        CHECK(parts.host.empty());
        CHECK(parts.port.empty());
    }
    try {
        (void)net::split_host_port("here");
        FAIL("threw nothing");
    } catch (const net::op_error& e) {
        CHECK(e.code() == errc::missing_port);
        CHECK(e.code() == std::errc::invalid_argument);
        CHECK(e.address() == "here");
    }
    CHECK(net::split_host_port("here:1").port == "1");
}

TEST_CASE("NET-69 host and port are put together", "[net][host_port]") {
    CHECK(net::join_host_port("localhost", "80") == "localhost:80");
    CHECK(net::join_host_port("::1%lo", "80") == "[::1%lo]:80");
    CHECK(net::join_host_port("", "80") == ":80");
    CHECK(net::join_host_port("h%lo", "") == "h%lo:");
    for (const std::string_view host : {"a", "::1", "fe80::1%eth0", ""}) {
        const auto back = net::split_host_port(net::join_host_port(host, "7"));
        CHECK(back.host == host);
        CHECK(back.port == "7");
    }
}

TEST_CASE("NET-69 ports that are numbers", "[net][service]") {
    struct row {
        std::string_view text;
        int port;  // below 0: refused
        errc why = errc{};
    };
    const row rows[] = {
        {"0", 0},
        {"80", 80},
        {"0080", 80},
        {"65535", 65535},
        {"+80", 80},
        {"-0", 0},
        {"", 0},
        {"65536", -1, errc::invalid_port},
        {"-1", -1, errc::invalid_port},
        {"123456789123456789123456789", -1, errc::invalid_port},
        {"80x", -1, errc::unknown_port},
        {" 80", -1, errc::unknown_port},
        {"+", -1, errc::unknown_port},
        {"0x50", -1, errc::unknown_port},
        {std::string_view("80\0", 3), -1, errc::unknown_port},
    };
    for (const row& r : rows) {
        INFO(r.text);
        std::error_code ec = errc::closed;
        const int port = net::lookup_port("tcp", r.text, ec);
        CHECK(port == (r.port < 0 ? 0 : r.port));
        CHECK(ec == (r.port < 0 ? std::error_code(r.why) : std::error_code()));
    }
}

TEST_CASE("NET-69 names of services are looked up, for each protocol", "[net][service]") {
    const std::string text = everywhere([](findings& ok) {
        for (const char* network : {"tcp", "tcp4", "tcp6"}) {
            ok.equal(net::lookup_port(network, "http"), 80);
            ok.equal(net::lookup_port(network, "HTTP"), 80);
            ok.equal(net::lookup_port(network, "https"), 443);
        }
        for (const char* network : {"udp", "udp4", "udp6"}) {
            ok.equal(net::lookup_port(network, "domain"), 53);
        }
        for (const char* name : {"nosuchservice", "ht tp", "http ", "-", "smtp\n"}) {
            std::error_code ec;
            ok.equal(net::lookup_port("tcp", name, ec), 0);
            ok.equal(ec, make_error_code(errc::unknown_port));
        }
        std::error_code ec;
        (void)net::lookup_port("udp", "smtp", ec);  // TCP's only
        ok.equal(ec, make_error_code(errc::unknown_port));
        (void)net::lookup_port("tcp", std::string_view("http\0", 5), ec);
        ok.equal(ec, make_error_code(errc::unknown_port));
        (void)net::lookup_port("tcp", std::string(100000, 'x'), ec);
        ok.equal(ec, make_error_code(errc::unknown_port));
    });
    CHECK(text == "");
}

TEST_CASE("NET-69 names of services are those of the machine", "[net][service]") {
    // Whatever it has that is known by nobody else: the first of each protocol.
    std::ifstream file("/etc/services");
    std::string line;
    int checked = 0;
    while (std::getline(file, line) && checked < 50) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string name, where;
        if (!(words >> name >> where)) continue;
        const auto slash = where.find('/');
        const std::string protocol = where.substr(slash + 1);
        if (protocol != "tcp") continue;
        INFO(name);
        const int port = std::stoi(where.substr(0, slash));
        CHECK(net::lookup_port(protocol, name) == port);
        std::string loud;
        for (const char c : name) loud += static_cast<char>(std::toupper(c));
        CHECK(net::lookup_port(protocol, loud) == port);
        ++checked;
    }
    if (file.is_open()) CHECK(checked > 0);
}

TEST_CASE("NET-69 ports of other networks are not known", "[net][service]") {
    for (const char* network : {"", "unix", "ip", "tcp5", "tcp46", "TCP", "4"}) {
        INFO(network);
        std::error_code ec;
        CHECK(net::lookup_port(network, "80", ec) == 0);
        CHECK(ec == errc::unknown_network);
    }
    try {
        (void)net::lookup_port("tcp6", "nosuchservice");
        FAIL("threw nothing");
    } catch (const net::op_error& e) {
        CHECK(e.code() == errc::unknown_port);
        CHECK(e.op() == "lookup");
        CHECK(e.network() == "tcp6");
        CHECK(e.address() == "nosuchservice");
    }
}

TEST_CASE("NET-69 services may be looked up by many at once", "[net][service]") {
    findings ok;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int n = scaled(50); n-- > 0;) {
                ok.equal(net::lookup_port("tcp", "http"), 80);
                ok.equal(net::lookup_port("udp", "ntp"), 123);
            }
        });
    }
    threads.clear();
    CHECK(ok.text() == "");
}
