// Where growth ends: the limit, and memory. Cites STK-5, STK-6, STK-53.
#include <catch2/catch.hpp>

#include "test/growth/growth_support.hpp"
#include "test/support/subprocess.hpp"

#include <sys/resource.h>

#include <cstdio>
#include <fstream>
#include <string>

using namespace vole::test;

namespace {

KEEP_CALL long for_ever(long n) {
    if (n < 0) return 0;  // for the compiler's sake
    long words[100] = {n};
    use(words);
    const long r = for_ever(n + 1) + words[0];
    use(words);
    return r;
}

KEEP_CALL void huge(int n) {
    char block[200U << 20];
    use(block);
    if (n > 0) huge(n - 1);
    use(block);
}

void recurse_for_ever(vole::stack_policy policy) {
    vole::run([policy] {
        auto done = vole::make_chan<long>();
        vole::go({.name = "the deep one", .stack = policy}, [=] { done.send(for_ever(0)); });
        done.recv();
    });
}

// Room for a hundred megabytes more.
void limit_address_space() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit l{};
    l.rlim_cur = l.rlim_max = pages * 4096 + (100U << 20);
    ::setrlimit(RLIMIT_AS, &l);
}

void check_overflow(const subprocess_result& r, const std::string& policy) {
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: stack overflow"));
    CHECK_THAT(r.err, Catch::Contains("stack exceeds 1073741824-byte limit"));
    CHECK_THAT(r.err, Catch::Contains("\"the deep one\""));
    CHECK_THAT(r.err, Catch::Contains("policy " + policy));
    CHECK_THAT(r.err, Catch::Contains("for_ever"));
    CHECK(r.err.size() < 40'000);
}

}  // namespace

TEST_CASE("child: endless recursion, dense", "[.child]") {
    recurse_for_ever(vole::stack_policy::dense());
}
TEST_CASE("child: endless recursion, copying", "[.child]") {
    recurse_for_ever(vole::stack_policy::copying());
}
TEST_CASE("child: endless recursion, reserved", "[.child]") {
    recurse_for_ever(vole::stack_policy::reserved());
}
TEST_CASE("child: endless recursion in little memory", "[.child]") {
    vole::run([] {});
    limit_address_space();
    recurse_for_ever(vole::stack_policy::dense());
}
TEST_CASE("child: frames of 200 MiB", "[.child]") {
    on_stack(vole::stack_policy::dense(), [] {
        huge(5);
        std::puts("never");
    });
}

TEST_CASE("STK-6 endless recursion ends in a report, dense", "[growth]") {
    check_overflow(run_case_in_subprocess("child: endless recursion, dense"), "dense");
}
TEST_CASE("STK-6 endless recursion ends in a report, copying", "[growth]") {
    check_overflow(run_case_in_subprocess("child: endless recursion, copying"), "copying");
}
TEST_CASE("STK-6 endless recursion ends in a report, reserved", "[growth]") {
    check_overflow(run_case_in_subprocess("child: endless recursion, reserved"), "reserved");
}

TEST_CASE("STK-53 a stack that finds no memory ends in a report", "[growth]") {
    const auto r = run_case_in_subprocess("child: endless recursion in little memory");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: out of memory (stack)"));
    CHECK_THAT(r.err, Catch::Contains("\"the deep one\""));
    CHECK_THAT(r.err, Catch::Contains("bytes more stack"));
}

TEST_CASE("STK-3 frames of 200 MiB are held to the limit, too", "[growth]") {
    const auto r = run_case_in_subprocess("child: frames of 200 MiB");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: stack overflow"));
    CHECK_THAT(r.out, !Catch::Contains("never"));
}
