// Endpoints: what is read, what is refused and why, and that what is written can be read again.
#include <catch2/catch.hpp>

#include <vole/net.hpp>

#include <string>
#include <system_error>
#include <vector>

using vole::net::endpoint;
using vole::net::family;

TEST_CASE("endpoint: reads and writes every family", "[net]") {
    struct row {
        std::string text;
        vole::net::family family;
        unsigned port;
        std::string written;
    };
    const std::vector<row> rows = {
        {"192.0.2.1:80", family::ipv4, 80, "192.0.2.1:80"},
        {"0.0.0.0:0", family::ipv4, 0, "0.0.0.0:0"},
        {"255.255.255.255:65535", family::ipv4, 65535, "255.255.255.255:65535"},
        {"[::1]:443", family::ipv6, 443, "[::1]:443"},
        {"[2001:DB8:0:0:0:0:0:1]:1", family::ipv6, 1, "[2001:db8::1]:1"},
        {"[::ffff:192.0.2.1]:9", family::ipv6, 9, "[::ffff:192.0.2.1]:9"},
        {"[fe80::1%7]:22", family::ipv6, 22, "[fe80::1%7]:22"},
        {":8080", family::ipv6, 8080, "[::]:8080"},
        {"/run/x.sock", family::local, 0, "/run/x.sock"},
        {"./x", family::local, 0, "./x"},
        {"../x:1", family::local, 0, "../x:1"},
        {"@abstract", family::local, 0, "@abstract"},
        {"unix:plain:name", family::local, 0, "unix:plain:name"},
        {"unix:/run/x", family::local, 0, "/run/x"},
    };
    for (const row& r : rows) {
        CAPTURE(r.text);
        const endpoint e = endpoint::parse(r.text);
        CHECK(e.family() == r.family);
        CHECK(e.port() == r.port);
        CHECK(e.to_string() == r.written);
        CHECK(endpoint::parse(e.to_string()) == e);
        std::error_code ec = std::make_error_code(std::errc::io_error);
        CHECK(endpoint::parse(r.text, ec) == e);
        CHECK(!ec);
    }
    CHECK(endpoint::parse("[fe80::1%7]:22").zone() == 7);
    CHECK(endpoint::parse("192.0.2.1:80").address().size() == 4);
    CHECK(endpoint::parse("192.0.2.1:80").address()[0] == 192);
    CHECK(endpoint::parse("[::1]:80").address().size() == 16);
    CHECK(endpoint::parse("@x").address().empty());
}

TEST_CASE("endpoint: refuses what it cannot read, and says why", "[net]") {
    struct row {
        std::string text;
        std::string reason;
    };
    const std::string port = "port is not a number from 0 to 65535";
    const std::vector<row> rows = {
        {"", "empty"},
        {"localhost", "missing port"},
        {"localhost:80", "not a numeric address (names are not looked up)"},
        {"192.0.2.1", "missing port"},
        {"192.0.2.1:", port},
        {"192.0.2.1:65536", port},
        {"192.0.2.1:-1", port},
        {"192.0.2.1:+1", port},
        {"192.0.2.1: 80", port},
        {"192.0.2.1:80 ", port},
        {"192.0.2.1:http", port},
        {"192.0.2:80", "not a numeric address (names are not looked up)"},
        {"192.0.2.256:80", "not a numeric address (names are not looked up)"},
        {"::1:80", "an IPv6 address needs brackets: [::1]:80"},
        {"[::1:80", "missing ']'"},
        {"[::1]", "missing port"},
        {"[::1]80", "expected ':' after ']'"},
        {"[::1]:", port},
        {"[]:80", "not an IPv6 address in brackets"},
        {"[192.0.2.1]:80", "not an IPv6 address in brackets"},
        {"[fe80::1%]:80", "zone is not a positive number"},
        {"[fe80::1%eth0]:80", "zone is not a positive number"},
        {"[fe80::1%0]:80", "zone is not a positive number"},
        {"unix:", "empty path"},
        {"@", "empty path"},
        {"/" + std::string(107, 'x'), "path longer than 107 bytes"},
    };
    for (const row& r : rows) {
        CAPTURE(r.text);
        CHECK_THROWS_WITH(endpoint::parse(r.text),
                          "vole::net::endpoint: \"" + r.text + "\": " + r.reason);
        std::error_code ec;
        CHECK(endpoint::parse(r.text, ec).empty());
        CHECK(ec == std::errc::invalid_argument);
    }
}

TEST_CASE("endpoint: a message shows bytes that cannot be printed", "[net]") {
    CHECK_THROWS_WITH(endpoint::parse(std::string("/a\0b", 4)),
                      "vole::net::endpoint: \"/a\\x00b\": NUL in path");
    CHECK_THROWS_WITH(endpoint::parse("a\nb\x7f:1"),
                      "vole::net::endpoint: \"a\\x0ab\\x7f:1\": "
                      "not a numeric address (names are not looked up)");
    CHECK(endpoint::parse("unix:/caf\u00e9").path() == "/caf\u00e9");
}

TEST_CASE("endpoint: the longest path the kernel takes is taken", "[net]") {
    const std::string path = "/" + std::string(106, 'x');
    CHECK(endpoint::parse(path).path() == path);
    CHECK_THROWS_AS(endpoint::local(""), std::invalid_argument);
    CHECK(endpoint::local("plain").to_string() == "unix:plain");
}

TEST_CASE("endpoint: equality sees every part", "[net]") {
    CHECK(endpoint{} == endpoint{});
    CHECK(endpoint{}.empty());
    CHECK(endpoint{}.to_string().empty());
    CHECK(endpoint::parse("1.2.3.4:5") != endpoint::parse("1.2.3.4:6"));
    CHECK(endpoint::parse("1.2.3.4:5") != endpoint::parse("1.2.3.5:5"));
    CHECK(endpoint::parse("0.0.0.0:5") != endpoint::parse("[::]:5"));
    CHECK(endpoint::parse("[fe80::1%1]:5") != endpoint::parse("[fe80::1%2]:5"));
    CHECK(endpoint::parse("/a") != endpoint::parse("/b"));
}
