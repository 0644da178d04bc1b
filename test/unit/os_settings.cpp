// VOLE_DEBUG: what is understood, and what is complained about.
#include <catch2/catch.hpp>

#include "runtime/src/os/settings.hpp"

#include <string>
#include <vector>

using namespace vole::detail;

namespace {

std::vector<std::string> complaints;  // of the last parse(); parse_settings takes a plain function

settings parse(const char* text) {
    complaints.clear();
    return parse_settings(text, [](const char* message) { complaints.emplace_back(message); });
}

}  // namespace

TEST_CASE("VOLE_DEBUG unset or empty gives the defaults", "[unit][settings]") {
    for (const char* text : {static_cast<const char*>(nullptr), "", ",", ",,,"}) {
        const settings s = parse(text);
        CHECK(s.schedtrace_ms == 0);
        CHECK(s.container_maxprocs);
        CHECK(s.update_maxprocs);
        CHECK_FALSE(s.lockrank);
        CHECK(complaints.empty());
    }
}

TEST_CASE("SCHED-11 VOLE_DEBUG: a list of name=value", "[unit][settings]") {
    const settings s = parse("schedtrace=1000,containermaxprocs=0,updatemaxprocs=0,lockrank=1");
    CHECK(s.schedtrace_ms == 1000);
    CHECK_FALSE(s.container_maxprocs);
    CHECK_FALSE(s.update_maxprocs);
    CHECK(s.lockrank);
    CHECK(complaints.empty());
}

TEST_CASE("VOLE_DEBUG: recording", "[unit][settings]") {
    settings s = parse("record=/tmp/a b.rec,recordsize=1000");
    CHECK(complaints.empty());
    CHECK(s.record == "/tmp/a b.rec");
    CHECK(s.recordsize == 1000);
    s = parse("record=,recordsize=-1");
    CHECK(complaints.size() == 2);
    CHECK(s.record.empty());
    CHECK(s.recordsize == 0);
}

TEST_CASE("VOLE_DEBUG: what is to fail", "[unit][settings]") {
    CHECK(parse("fail=mmap@3+read%100").fail == "mmap@3+read%100");
    CHECK(complaints.empty());
    CHECK(parse("fail=mmap@0").fail.empty());
    CHECK(parse("fail=").fail.empty());
    CHECK(complaints.size() == 1);
}

TEST_CASE("VOLE_DEBUG: the last value of a name wins", "[unit][settings]") {
    CHECK(parse("schedtrace=5,lockrank=1,schedtrace=7,lockrank=0,").schedtrace_ms == 7);
    CHECK_FALSE(parse("lockrank=1,lockrank=0").lockrank);
    CHECK(complaints.empty());
}

TEST_CASE("VOLE_DEBUG: each unknown name is named once and left out", "[unit][settings]") {
    const settings s = parse("schedtrce=1,lockrank=1,Lockrank=0,nonsense");
    CHECK(s.schedtrace_ms == 0);
    CHECK(s.lockrank);
    REQUIRE(complaints.size() == 3);
    CHECK(complaints[0].find("schedtrce=1") != std::string::npos);
    CHECK(complaints[1].find("Lockrank=0") != std::string::npos);
    CHECK(complaints[2].find("nonsense") != std::string::npos);
}

TEST_CASE("VOLE_DEBUG: a complaint is one line, whatever was given", "[unit][settings]") {
    parse("a\nb\x1b[1m\x7f=1");
    REQUIRE(complaints.size() == 1);
    CHECK(complaints[0] == "vole: VOLE_DEBUG: unknown setting \"a?b?[1m?=1\" ignored");
    parse(("lockrank=" + std::string(1000, 'x')).c_str());
    REQUIRE(complaints.size() == 1);
    CHECK(complaints[0] ==
          "vole: VOLE_DEBUG: unusable value in \"lockrank=" + std::string(51, 'x') + "\" ignored");
}

TEST_CASE("VOLE_DEBUG: unusable values change nothing and are named", "[unit][settings]") {
    for (const char* text :
         {"schedtrace", "schedtrace=", "schedtrace=-1", "schedtrace=-0", "schedtrace=1s",
          "schedtrace=x", "schedtrace=99999999999", "lockrank=2", "lockrank=yes", "lockrank="}) {
        INFO(text);
        const settings s = parse(text);
        CHECK(s.schedtrace_ms == 0);
        CHECK_FALSE(s.lockrank);
        REQUIRE(complaints.size() == 1);
        CHECK(complaints[0].find(text) != std::string::npos);
    }
}

TEST_CASE("VOLE_DEBUG: very long text is cut in the complaint", "[unit][settings]") {
    const std::string text(100000, 'x');
    const settings s = parse(text.c_str());
    CHECK(s.schedtrace_ms == 0);
    REQUIRE(complaints.size() == 1);
    CHECK(complaints[0].size() < 200);
}

TEST_CASE("VOLE_DEBUG: no listener, no complaint", "[unit][settings]") {
    CHECK(parse_settings("nonsense=1,schedtrace=3", nullptr).schedtrace_ms == 3);
}
