// The HTTP example's parser: bytes to requests, whole and in pieces, well-formed and not. No connection is needed.
#include <catch2/catch.hpp>

#include "test/examples/http/parser.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using http::status;

/// A server's view of the first request in what was sent, as text.
struct outcome {
    status error = status::none;
    bool complete = false;  // else: there must be more
    std::size_t used = 0;   // bytes, if complete
    std::string request;

    bool operator==(const outcome&) const = default;
};

std::ostream& operator<<(std::ostream& to, const outcome& o) {
    return to << "error " << static_cast<int>(o.error)
              << (o.complete ? " complete " : " incomplete ") << o.used << ": " << o.request;
}

std::string describe(const http::request& r) {
    std::string text = std::string(r.method) + ' ' + std::string(r.target) + " 1." +
                       std::to_string(r.minor_version) + (r.keep_alive ? " keep" : " close") +
                       (r.expects_continue ? " continue" : "");
    for (const http::field& f : r.fields)
        text += " [" + std::string(f.name) + "=" + std::string(f.value) + "]";
    return text + " {" + std::string(r.body) + "}";
}

/// Does with the pieces what a connection does.
outcome parse(const std::vector<std::string_view>& pieces, const http::limits& most = {}) {
    outcome o;
    std::string buffer;
    http::head_scanner scanner;
    auto piece = pieces.begin();
    std::size_t head = 0;
    while (head == 0) {
        if (piece == pieces.end()) return o;
        buffer += *piece++;
        const auto found = scanner.scan(buffer, most);
        o.error = found.error;
        if (found.error != status::none) return o;
        head = found.size;
    }
    http::request r;
    const std::string head_text = buffer.substr(0, head);  // in a place of its own, for ASan
    o.error = http::parse_head(head_text, most, r);
    if (o.error != status::none) return o;

    std::string body;
    std::string behind = buffer.substr(head);
    http::chunk_decoder decoder;
    std::size_t used = head;
    while (true) {
        if (r.chunked) {
            const auto got = decoder.feed(behind, most, body);
            o.error = got.error;
            if (got.error != status::none) return o;
            used += got.used;
            if (got.done) break;
            REQUIRE(got.used == behind.size());
            behind.clear();
        } else if (behind.size() >= r.content_length) {
            body = behind.substr(0, r.content_length);
            used += r.content_length;
            break;
        }
        if (piece == pieces.end()) return o;
        behind += *piece++;
    }
    r.body = body;
    o.complete = true;
    o.used = used;
    o.request = describe(r);
    return o;
}

/// In one piece; and any other way must come to the same.
outcome parse_all_ways(std::string_view bytes, const http::limits& most = {}) {
    const outcome whole = parse({bytes}, most);
    for (std::size_t at = 1; at < bytes.size(); ++at) {
        const outcome halves = parse({bytes.substr(0, at), bytes.substr(at)}, most);
        if (halves != whole) {
            CAPTURE(at, bytes);
            CHECK(halves == whole);
        }
    }
    std::vector<std::string_view> single;
    for (std::size_t at = 0; at < bytes.size(); ++at) single.push_back(bytes.substr(at, 1));
    CHECK(parse(single, most) == whole);
    return whole;
}

}  // namespace

TEST_CASE("http example: requests are read, however they come in pieces", "[examples]") {
    struct row {
        std::string bytes;
        std::string request;
        std::size_t behind = 0;  // bytes that belong to the next one
    };
    const std::vector<row> rows = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 keep [Host=a] {}"},
        {"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close {}"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "GET / 1.0 keep [Connection=Keep-Alive] {}"},
        {"GET / HTTP/1.7\r\nHost:\r\n\r\n", "GET / 1.7 keep [Host=] {}"},
        {"GET /a?b=c%20d HTTP/1.1\r\nHost: [::1]:80\r\nX-Empty:\r\nX:  \t padded \t\r\n\r\n",
         "GET /a?b=c%20d 1.1 keep [Host=[::1]:80] [X-Empty=] [X=padded] {}"},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: foo , close\r\n\r\n",
         "OPTIONS * 1.1 close [Host=a] [Connection=foo , close] {}"},
        {"GET http://a/b HTTP/1.1\r\nHost: a\r\nUnicode: \xc3\xa4\r\n\r\n",
         "GET http://a/b 1.1 keep [Host=a] [Unicode=\xc3\xa4] {}"},
        {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET", "GET / 1.1 keep [Host=a] {}", 3},
        {"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
         "POST /e 1.1 keep [Host=a] [Content-Length=5] {hello}", 18},
        {"POST /e HTTP/1.1\r\nHost: a\r\ncontent-length: 000\r\n\r\n",
         "POST /e 1.1 keep [Host=a] [content-length=000] {}"},
        {"POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
         "POST /e 1.1 keep continue [Host=a] [Expect=100-Continue] [Content-Length=1] {x}"},
        {"POST /e HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
         "POST /e 1.0 close [Expect=100-continue] [Content-Length=1] {x}"},
        {"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
         "5\r\nhello\r\n00A;x=\"y\"\r\n, \r\nworld!\r\n0\r\n\r\nnext",
         "POST /e 1.1 keep [Host=a] [Transfer-Encoding=Chunked] {hello, \r\nworld!}", 4},
        {"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1 ;x\r\n\n\r\n0\r\nTrailer: is\r\nforgotten\r\n\r\n",
         "POST /e 1.1 keep [Host=a] [Transfer-Encoding=chunked] {\n}"},
        {"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "POST /e 1.1 keep [Host=a] [Transfer-Encoding=chunked] {}"},
    };
    for (const row& r : rows) {
        CAPTURE(r.bytes);
        const outcome o = parse_all_ways(r.bytes);
        CHECK(o.error == status::none);
        CHECK(o.complete);
        CHECK(o.request == r.request);
        CHECK(o.used == r.bytes.size() - r.behind);
        // Nothing less is a request.
        for (std::size_t n = 0; n < r.bytes.size() - r.behind; ++n) {
            const outcome cut = parse({std::string_view(r.bytes).substr(0, n)});
            CHECK_FALSE(cut.complete);
            CHECK(cut.error == status::none);
        }
    }
}

TEST_CASE("http example: what is malformed or ambiguous is refused", "[examples]") {
    struct row {
        std::string bytes;
        status error;
    };
    const std::string host = "Host: a\r\n";
    const auto with = [&](const std::string& fields, const std::string& body = "") {
        return "POST / HTTP/1.1\r\n" + host + fields + "\r\n" + body;
    };
    const auto chunks = [&](const std::string& body) {
        return with("Transfer-Encoding: chunked\r\n", body);
    };
    const std::vector<row> rows = {
        // the request line
        {"GET /\r\n\r\n", status::bad_request},
        {"GET  / HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {"GET / HTTP/1.1 \r\n" + host + "\r\n", status::bad_request},
        {" GET / HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {"GET /a b HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {"GET\t/ HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {"G(T / HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {"GET /\x01 HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {"GET a HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {"GET * HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {"GET / http/1.1\r\n" + host + "\r\n", status::bad_request},
        {"GET / HTTP/1.10\r\n" + host + "\r\n", status::bad_request},
        {"GET / HTTP/2.0\r\n" + host + "\r\n", status::version_not_supported},
        {"PRI * HTTP/2.0\r\n\r\n", status::version_not_supported},
        // lines
        {"GET / HTTP/1.1\n" + host + "\r\n", status::bad_request},
        {"GET / HTTP/1.1\r\nHost: a\n\r\n", status::bad_request},
        {"\nGET / HTTP/1.1\r\n" + host + "\r\n", status::bad_request},
        {with("X: a\rb\r\n"), status::bad_request},
        {with("X: a\r\n b\r\n"), status::bad_request},
        {with(" X: a\r\n"), status::bad_request},
        {with("X : a\r\n"), status::bad_request},
        {with("X\r\n"), status::bad_request},
        {with(": a\r\n"), status::bad_request},
        {with(std::string("X: a\0b\r\n", 8)), status::bad_request},
        {with("X\xe4: a\r\n"), status::bad_request},
        // Host
        {"GET / HTTP/1.1\r\n\r\n", status::bad_request},
        {with("Host: a\r\n"), status::bad_request},
        {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", status::bad_request},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", status::bad_request},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", status::bad_request},
        // how long the body is
        {with("Content-Length: 1\r\nContent-Length: 2\r\n", "xx"), status::bad_request},
        {with("Content-Length: 1\r\nContent-Length: 1\r\n", "x"), status::bad_request},
        {with("Content-Length: 1, 1\r\n", "x"), status::bad_request},
        {with("Content-Length: +1\r\n", "x"), status::bad_request},
        {with("Content-Length: -1\r\n", "x"), status::bad_request},
        {with("Content-Length: 1 2\r\n", "x"), status::bad_request},
        {with("Content-Length: 0x1\r\n", "x"), status::bad_request},
        {with("Content-Length:\r\n", "x"), status::bad_request},
        {with("Content-Length: 1048577\r\n"), status::content_too_large},
        {with("Content-Length: 18446744073709551617\r\n"), status::content_too_large},
        {with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
         status::bad_request},
        {with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
         status::bad_request},
        {with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), status::bad_request},
        {with("Transfer-Encoding: chunked, chunked\r\n"), status::bad_request},
        {with("Transfer-Encoding: chunked, gzip\r\n"), status::bad_request},
        {with("Transfer-Encoding: identity\r\n"), status::bad_request},
        {with("Transfer-Encoding: xchunked\r\n"), status::bad_request},
        {with("Transfer-Encoding:\r\n"), status::bad_request},
        {with("Transfer-Encoding: gzip, chunked\r\n"), status::not_implemented},
        {with("Transfer-Encoding : chunked\r\n"), status::bad_request},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", status::bad_request},
        {with("Expect: a miracle\r\n"), status::expectation_failed},
        // chunks
        {chunks("\r\n"), status::bad_request},
        {chunks("x\r\n"), status::bad_request},
        {chunks(" 1\r\nx\r\n"), status::bad_request},
        {chunks("-1\r\n"), status::bad_request},
        {chunks("0x1\r\n"), status::bad_request},
        {chunks("1\nx\r\n"), status::bad_request},
        {chunks("1;a\nx\r\n"), status::bad_request},
        {chunks("1\r\nxy\r\n"), status::bad_request},
        {chunks("1\r\nx\n"), status::bad_request},
        {chunks("1\r\rx"), status::bad_request},
        {chunks("0\r\n\n"), status::bad_request},
        {chunks("0\r\nA: b\n"), status::bad_request},
        {chunks("100001\r\n"), status::content_too_large},
        {chunks("FFFFFFFFFFFFFFFFFFFF\r\n"), status::content_too_large},
        {chunks("1;" + std::string(300, 'x') + "\r\n"), status::bad_request},
        {chunks(std::string(300, '0') + "\r\n"), status::bad_request},
    };
    for (const row& r : rows) {
        CAPTURE(r.bytes);
        const outcome o = parse_all_ways(r.bytes);
        CHECK(static_cast<int>(o.error) == static_cast<int>(r.error));
    }
}

TEST_CASE("http example: limits hold to the byte", "[examples]") {
    http::limits small;
    small.head = 64;
    small.fields = 3;
    small.body = 10;
    const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";  // 28 bytes
    const auto head_of = [&](std::size_t size) {
        return begin + std::string(size - begin.size() - 4, 'x') + "\r\n\r\n";
    };
    CHECK(parse_all_ways(head_of(64), small).complete);
    CHECK(parse_all_ways(head_of(65), small).error == status::fields_too_large);
    CHECK(parse_all_ways(std::string(64, 'x'), small).error == status::none);
    CHECK(parse_all_ways(std::string(65, 'x'), small).error == status::uri_too_long);
    CHECK(parse_all_ways(begin + std::string(64, 'x'), small).error == status::fields_too_large);
    std::string empty_lines;
    for (int i = 0; i < 40; ++i) empty_lines += "\r\n";
    CHECK(parse_all_ways(empty_lines, small).error == status::uri_too_long);

    const std::string fields = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n";
    CHECK(parse_all_ways(fields + "\r\n", small).complete);
    CHECK(parse_all_ways(fields + "C: 3\r\n\r\n", small).error == status::fields_too_large);

    small.head = 1000;
    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
    CHECK(parse_all_ways(post + "Content-Length: 10\r\n\r\n0123456789", small).complete);
    CHECK(parse_all_ways(post + "Content-Length: 11\r\n\r\n", small).error ==
          status::content_too_large);
    const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n";
    CHECK(parse_all_ways(chunked + "5\r\n56789\r\n0\r\n\r\n", small).complete);
    CHECK(parse_all_ways(chunked + "6\r\n", small).error == status::content_too_large);
    CHECK(parse_all_ways(chunked + "0\r\n" + std::string(2000, 'x'), small).error ==
          status::fields_too_large);
}

TEST_CASE("http example: paths, queries and fields are found", "[examples]") {
    http::request r;
    const auto look = [&](std::string_view target) {
        r.target = target;
        return std::string(r.path()) + " " + std::string(r.query());
    };
    CHECK(look("/") == "/ ");
    CHECK(look("/a/b?c?d") == "/a/b c?d");
    CHECK(look("http://host:80/a?b") == "/a b");
    CHECK(look("http://host?b") == "/ b");
    CHECK(look("https://host") == "/ ");
    CHECK(look("*") == "* ");
    CHECK(look("/a?to=http://x/y") == "/a to=http://x/y");
    r.fields = {{"One", "1"}, {"Two", "2"}, {"one", "3"}};
    REQUIRE(r.find("oNE") != nullptr);
    CHECK(*r.find("oNE") == "1");
    CHECK(r.find("On") == nullptr);
}

TEST_CASE("http example: damaged requests are the same in all pieces", "[examples]") {
    // A parser that reads behind the end, or loses its place, shows under a sanitizer or by a difference.
    const std::vector<std::string> seeds = {
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: "
        "x\r\n\r\n",
    };
    const std::string spice("\r\n\0 :;,\t0123456789aZ\x7f\xff", 22);
    std::mt19937 random(20240607);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    for (int round = 0; round < 3000; ++round) {
        std::string bytes = seeds[below(seeds.size())];
        for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
            const std::size_t at = below(bytes.size());
            switch (below(4)) {
                case 0: bytes[at] = spice[below(spice.size())]; break;
                case 1: bytes.insert(at, 1, spice[below(spice.size())]); break;
                case 2: bytes.erase(at, 1 + below(3)); break;
                default: bytes.insert(at, bytes.substr(below(bytes.size()), below(20))); break;
            }
            if (bytes.empty()) bytes = "x";
        }
        const outcome whole = parse({bytes});
        std::vector<std::string_view> pieces;
        for (std::string_view rest = bytes; !rest.empty();) {
            const std::size_t n = 1 + below(std::min<std::size_t>(rest.size(), 9));
            pieces.push_back(rest.substr(0, n));
            rest.remove_prefix(n);
        }
        const outcome in_pieces = parse(pieces);
        if (in_pieces != whole) {
            CAPTURE(bytes);
            CHECK(in_pieces == whole);
        }
    }
}
