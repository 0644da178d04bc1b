// The key-value example's parser, and its store in virtual time. No connection is needed.
#include <catch2/catch.hpp>

#include "test/examples/resp/parser.hpp"
#include "test/examples/resp/store.hpp"

#include <vole/synctest.hpp>
#include <vole/vole.hpp>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// The commands in what was sent, each as "[a][b]", and what stopped it: an error, or "...", for want of more.
std::string parse(const std::vector<std::string_view>& pieces, const resp::limits& most = {}) {
    std::string result;
    resp::parser parser;
    std::string buffer;
    auto piece = pieces.begin();
    while (true) {
        const std::string place(buffer);  // the bytes may move from one call to the next
        const auto found = parser.parse(place, most);
        if (!found.error.empty()) return result + found.error;
        if (found.size != 0) {
            for (const std::string_view a : parser.arguments())
                result += "[" + std::string(a) + "]";
            result += ";";
            buffer.erase(0, found.size);
            continue;
        }
        CHECK(found.wanted > 0);
        if (piece == pieces.end()) return result + (buffer.empty() ? "" : "...");
        buffer += *piece++;
    }
}

std::string parse_all_ways(std::string_view bytes, const resp::limits& most = {}) {
    const std::string whole = parse({bytes}, most);
    for (std::size_t at = 1; at < bytes.size(); ++at) {
        const std::string halves = parse({bytes.substr(0, at), bytes.substr(at)}, most);
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

TEST_CASE("resp example: commands are read, however they come in pieces", "[examples]") {
    CHECK(parse_all_ways("") == "");
    CHECK(parse_all_ways("*1\r\n$4\r\nPING\r\n") == "[PING];");
    CHECK(parse_all_ways("*2\r\n$3\r\nGET\r\n$0\r\n\r\n") == "[GET][];");
    CHECK(parse_all_ways("*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n*1\r\n$1\r\nx\r\n") ==
          "[GET][a\r\nb];[x];");
    CHECK(parse_all_ways("*0\r\n*-1\r\n*1\r\n$1\r\nx\r\n") == ";;[x];");
    CHECK(parse_all_ways("PING\r\n  set  a\tb \nget a\r\n\r\n") == "[PING];[set][a][b];[get][a];;");
    CHECK(parse_all_ways("*2\r\n$3\r\nGET\r\n$5\r\nab") == "...");
    CHECK(parse_all_ways("PING") == "...");
}

TEST_CASE("resp example: errors of the protocol have Redis's words", "[examples]") {
    const std::string error = "ERR Protocol error: ";
    CHECK(parse_all_ways("*x\r\n") == error + "invalid multibulk length");
    CHECK(parse_all_ways("*\r\n") == error + "invalid multibulk length");
    CHECK(parse_all_ways("*01\r\n") == error + "invalid multibulk length");
    CHECK(parse_all_ways("*1048577\r\n") == error + "invalid multibulk length");
    CHECK(parse_all_ways("*99999999999999999999\r\n") == error + "invalid multibulk length");
    CHECK(parse_all_ways("*" + std::string(100, '1')) == error + "invalid multibulk length");
    CHECK(parse_all_ways("*1\r\n:1\r\n") == error + "expected '$', got ':'");
    CHECK(parse_all_ways("*1\r\n$-1\r\n") == error + "invalid bulk length");
    CHECK(parse_all_ways("*1\r\n$x\r\n") == error + "invalid bulk length");
    CHECK(parse_all_ways("*1\r\n$536870913\r\n") == error + "invalid bulk length");
    CHECK(parse_all_ways("*1\r\n$536870912\r\n") == "...");
    CHECK(parse_all_ways("*1\r\n$1\r\nabc") == error + "a bulk string is longer than it says");
    resp::limits small;
    small.line = 10;
    CHECK(parse_all_ways("012345678\n", small) == "[012345678];");
    CHECK(parse_all_ways("0123456789\n", small) == error + "too big inline request");
    small.bulk = 8;
    small.request = 20;
    CHECK(parse_all_ways("*2\r\n$8\r\n12345678\r\n$8\r\n", small) == error + "too big request");
}

TEST_CASE("resp example: what is wanted is no more than what is missing", "[examples]") {
    resp::parser p;
    CHECK(p.parse("*1\r\n$10\r\nabc", {}).wanted == 9);
    CHECK(p.parse("*1\r\n$10\r\nabcdefghij\r", {}).wanted == 1);
    CHECK(p.parse("*1\r\n$10\r\nabcdefghij\r\n", {}).size == 21);
}

TEST_CASE("resp example: integers", "[examples]") {
    using resp::read_integer;
    CHECK(read_integer("0") == 0);
    CHECK(read_integer("-1") == -1);
    CHECK(read_integer("9223372036854775807") == 9223372036854775807LL);
    CHECK(read_integer("-9223372036854775808") == -9223372036854775807LL - 1);
    for (const char* no :
         {"", "-", "-0", "01", "+1", " 1", "1 ", "1.0", "0x1", "9223372036854775808"}) {
        CAPTURE(no);
        CHECK(!read_integer(no));
    }
}

TEST_CASE("resp example: damaged commands are the same in all pieces", "[examples]") {
    const std::string seed =
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n";
    const std::string spice("\r\n*$-0123456789 x\0", 19);
    std::mt19937 random(20240607);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    for (int round = 0; round < 3000; ++round) {
        std::string bytes = seed;
        for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
            const std::size_t at = below(bytes.size());
            switch (below(3)) {
                case 0: bytes[at] = spice[below(spice.size())]; break;
                case 1: bytes.insert(at, 1, spice[below(spice.size())]); break;
                default: bytes.erase(at, 1 + below(3)); break;
            }
        }
        std::vector<std::string_view> pieces;
        for (std::string_view rest = bytes; !rest.empty();) {
            const std::size_t n = 1 + below(std::min<std::size_t>(rest.size(), 9));
            pieces.push_back(rest.substr(0, n));
            rest.remove_prefix(n);
        }
        const std::string whole = parse({bytes});
        const std::string in_pieces = parse(pieces);
        if (in_pieces != whole) {
            CAPTURE(bytes);
            CHECK(in_pieces == whole);
        }
    }
}

TEST_CASE("resp example: the store forgets in time", "[examples]") {
    using namespace std::chrono_literals;
    using vole::clock;
    std::vector<std::string> wrong;
    vole::synctest::test([&] {
        const auto check = [&](bool holds, const char* what) {
            if (!holds) wrong.emplace_back(what);
        };
        resp::store s;
        const auto value = [&](const char* key) {
            std::string v = "(none)";
            s.read(key, [&](std::string_view now) { v = now; });
            return v;
        };
        using when = resp::store::when;
        check(s.set("a", "1", clock::now() + 10s, when::absent), "a new key");
        check(!s.set("a", "2", s.never, when::absent), "NX of a key that is there");
        check(!s.set("b", "2", s.never, when::present), "XX of a key that is not there");
        check(s.add("a", 41).second == 42, "a sum");
        check(s.expiry("a") == clock::now() + 10s, "INCR keeps the expiry");
        vole::sleep(10s - 1ns);
        check(value("a") == "42", "alive to the last nanosecond");
        vole::sleep(1ns);
        check(s.size() == 1, "nobody has asked yet");
        check(value("a") == "(none)", "expired");
        check(s.size() == 0, "and gone");

        check(s.set("a", "x", clock::now() + 1s, when::always), "again");
        check(s.set("a", "y", s.never, when::always), "without an expiry");
        for (int i = 0; i < 1000; ++i)
            s.set("k" + std::to_string(i), "v", clock::now() + std::chrono::seconds(i % 2 + 1),
                  when::always);
        vole::sleep(1s);
        s.sweep();
        check(s.size() == 501, "half of them are swept out");
        check(s.expire("a", clock::now() + 1s), "EXPIRE");
        vole::sleep(1s);
        s.sweep();
        check(s.size() == 0, "all are swept out");
        check(!s.expire("a", clock::now() + 1s), "EXPIRE of what is gone");
        s.set("n", "9223372036854775807", s.never, when::always);
        check(s.add("n", 1).first == resp::store::sum::overflow, "overflow");
        s.set("n", "ten", s.never, when::always);
        check(s.add("n", 1).first == resp::store::sum::not_a_number, "no number");
        check(s.expire("n", clock::now() - 1s) && !s.erase("n"), "a past expiry erases");
    });
    CHECK(wrong == std::vector<std::string>());
}
