// VOLE_DEBUG=stackexplain=1: what a student reads about each growth; stacktrace=1: one line each.
#include <catch2/catch.hpp>

#include "test/growth/copying/copying_support.hpp"
#include "test/support/subprocess.hpp"

#include <algorithm>
#include <cstdio>
#include <regex>
#include <string>

using namespace vole::test;
using Catch::Contains;

namespace {

subprocess_result told(const std::string& child, const std::string& setting) {
    subprocess_result r =
        run_case_in_subprocess(child, {.env = {"VOLE_DEBUG=" + setting, "VOLE_MAXPROCS=1"}});
    return r;
}

/// Some line of the text is, as a whole, what the expression says.
bool has_line(const std::string& text, const std::string& expression) {
    const std::regex line(expression);
    std::size_t from = 0;
    while (from < text.size()) {
        const std::size_t to = std::min(text.find('\n', from), text.size());
        if (std::regex_match(text.substr(from, to - from), line)) return true;
        from = to + 1;
    }
    return false;
}

}  // namespace

TEST_CASE("child: tell: a move", "[.child]") {
    on_copying_stack([](outcome&) { dig(300); });
}
TEST_CASE("child: tell: a link", "[.child]") {
    vole::run([] { dig(1200); });
}
TEST_CASE("child: tell: a loan", "[.child]") {
    on_copying_stack(
        [](outcome& out) {
            char text[32];
            out.held = std::snprintf(text, sizeof text, "%f", 1.5) == 8;
        },
        2048);
}

TEST_CASE("a move is explained: who asked, what was copied, adjusted, and left", "[copying]") {
    const subprocess_result r = told("child: tell: a move", "stackexplain=1");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(has_line(r.err, "vole: stack: goroutine \\d+ moves its stack \\(growth 1\\)"));
    CHECK(has_line(
        r.err,
        "  asked by    (vole::test::dig\\(unsigned long\\)|0x[0-9a-f]+): its frame takes \\d+ "
        "bytes, the stack pointer is \\d+ (above|below) the guard"));
    CHECK(has_line(r.err, "  live        \\d+ of 98304 bytes: .*"));
    CHECK(has_line(r.err, "  new         196608 bytes, 2 times the size: .*"));
    CHECK(has_line(r.err, "  moves       from \\[0x.*\\) to \\[0x.*\\): (up|down) by 0x[0-9a-f]+"));
    CHECK(has_line(r.err, "  adjusted    [1-9]\\d* of \\d+ words: .*"));
    CHECK(has_line(r.err, "  registers   \\d+ of 13 saved ones among them"));
    CHECK(has_line(r.err, "  old stack   is unmapped, .*"));
    CHECK(has_line(r.err, "  took        [1-9]\\d* ns"));
#if defined(VOLE_HAVE_LIBUNWIND)
    CHECK(has_line(r.err, "  frames      \\d\\d\\d on this stack, innermost first: "
                          "vole::test::dig\\(unsigned long\\) \\(10 times\\), \\.\\.\\."));
#endif
}

TEST_CASE("a link is explained: nothing moves", "[copying]") {
    const subprocess_result r = told("child: tell: a link", "stackexplain=1");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(has_line(r.err, "vole: stack: goroutine \\d+ links a segment"));
    CHECK(has_line(r.err, "  asked by    (vole::test::dig\\(unsigned long\\)|0x[0-9a-f]+): .*"));
    CHECK(has_line(r.err, "  new         segment of \\d+ bytes at \\[0x.*\\), linked behind one of "
                          "262144"));
    CHECK_THAT(r.err, Contains("  nothing moves: "));
    CHECK_THAT(r.err, Contains("  afterwards  the segment is kept"));
}

#if !defined(VOLE_TSAN)  // where no stack is that small
TEST_CASE("a loan is explained: uninstrumented code asks for it", "[copying]") {
    const subprocess_result r = told("child: tell: a loan", "stackexplain=1");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(has_line(r.err, "vole: stack: goroutine \\d+ borrows a segment"));
    CHECK_THAT(r.err, Contains("  why         code that is not instrumented"));
    CHECK_THAT(r.err, Contains("  new         65536 bytes of this thread's list"));
}
#endif

TEST_CASE("stacktrace tells each growth in one line, and without it none is told", "[copying]") {
    const subprocess_result one = told("child: tell: a move", "stacktrace=1");
    INFO(one.text());
    CHECK(has_line(one.err, "vole: stack: goroutine \\d+ moves from 98304 to 196608 bytes: \\d+ "
                            "bytes copied, \\d+ words adjusted, at 0x[0-9a-f]+"));
    CHECK_THAT(one.err, !Contains("asked by"));
    const subprocess_result none = told("child: tell: a move", "stacktrace=0");
    CHECK_THAT(none.err, !Contains("vole: stack:"));
}
