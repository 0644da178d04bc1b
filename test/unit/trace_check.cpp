// The checker of recordings: accepts what may happen, and finds each rule's violation. Cites SCHED-74.
#include <catch2/catch.hpp>

#include "test/unit/trace_tape.hpp"
#include "tools/trace/checking.hpp"

#include <functional>
#include <string>
#include <vector>

using namespace vole::test;
using vole::trace::check;

namespace {

// M 1 has P 0, and goroutine 7 runs on it.
tape started() {
    tape t;
    t.p(hand, 0, no, no, 1).p(acquire, 0, 1, 0);
    return t.g(7, idle, runnable, no, no).g(7, runnable, running, 1, 0);
}

struct violation {
    const char* rule;
    const char* what;
    std::function<void(tape&)> add;  // to started()
};

const std::vector<violation>& violations() {
    static const std::vector<violation> all = {
        {"transition", "a waiting goroutine runs",
         [](tape& t) { t.g(7, running, waiting, 1, 0).g(7, waiting, running, 1, 0); }},
        {"transition", "it dies in a system call",
         [](tape& t) { t.g(7, running, in_call, 1, 0).g(7, in_call, dead, 1, 0); }},
        {"continuity", "it runs twice",
         [](tape& t) { t.g(7, running, runnable, 1, 0).g(7, running, waiting, 1, 0); }},
        {"continuity", "it goes on after its end",
         [](tape& t) { t.g(7, running, dead, 1, 0).g(7, runnable, running, 1, 0); }},
        {"one ready", "a double ready",
         [](tape& t) {
             t.g(7, running, waiting, 1, 0).g(7, waiting, runnable, no, no);
             t.g(7, waiting, runnable, no, no);
         }},
        {"one ready", "a ready of one that runs",
         [](tape& t) { t.g(7, waiting, runnable, no, no); }},
        {"identity", "an id in two places", [](tape& t) { t.g(7, idle, runnable, no, no, 99); }},
        {"identity", "an id that was used before",
         [](tape& t) {
             t.g(7, running, dead, 1, 0).g(7, dead, idle, 1, 0).g(7, idle, runnable, no, no);
         }},
        {"identity", "memory that changes hands while in use",
         [](tape& t) { t.g(8, running, waiting, 1, 0, 7); }},
        {"one thread", "another thread parks it",
         [](tape& t) { t.p(acquire, 1, 2, 1).g(7, running, waiting, 2, 1); }},
        {"one thread", "it runs on no thread of ours",
         [](tape& t) { t.g(7, running, waiting, 1, 0).g(8, runnable, running, no, no); }},
        {"one goroutine", "two on one M",
         [](tape& t) { t.g(8, idle, runnable, no, no).g(8, runnable, running, 1, 0); }},
        {"one goroutine", "one leaves that was not there",
         [](tape& t) { t.g(8, running, waiting, 1, 0); }},
        {"one owner", "a P is acquired that another M has", [](tape& t) { t.p(acquire, 0, 2, 0); }},
        {"one owner", "a P is acquired by another than it was handed to",
         [](tape& t) { t.p(hand, 1, no, no, 3).p(acquire, 1, 2, 1); }},
        {"one owner", "a P is handed out while somebody has it",
         [](tape& t) { t.p(hand, 0, no, no, 2); }},
        {"one owner", "an M acts with a P that another one has",
         [](tape& t) { t.g(8, idle, runnable, 2, 0); }},
        {"one P", "an M acquires a second one", [](tape& t) { t.p(acquire, 1, 1, 1); }},
        {"ownership", "a P is retaken that is in no system call",
         [](tape& t) { t.p(retake, 0, no, no); }},
        {"ownership", "an M comes back to a P that was retaken",
         [](tape& t) {
             t.g(7, running, in_call, 1, 0).p(leave, 0, 1, 0);
             t.p(retake, 0, no, no).p(back, 0, 1, 0);
         }},
        {"ownership", "an M gives up what it does not have",
         [](tape& t) { t.p(release, 1, 2, no); }},
        {"ownership", "a P is taken back that was handed to nobody",
         [](tape& t) { t.p(unhand, 0, no, no, 1); }},
        {"ownership", "a P is taken from an M that does not have it",
         [](tape& t) { t.g(7, running, in_call, no, no).p(detach, 0, no, no, 2, 7); }},
        {"pair", "an M has lost its P without an event",
         [](tape& t) { t.g(8, waiting, runnable, 1, no); }},
        {"pair", "a thread that is not ours has a P",
         [](tape& t) { t.g(8, waiting, runnable, no, 0); }},
        {"needs a P", "a goroutine begins on an M without one",
         [](tape& t) { t.g(8, idle, runnable, 2, no).g(8, runnable, running, 2, no); }},
        {"needs a P", "an M gives up its P while a goroutine runs on it",
         [](tape& t) { t.p(release, 0, 1, 0); }},
        {"needs a P", "a P is taken from a goroutine that still runs",
         [](tape& t) { t.p(detach, 0, no, no, 1, 7); }},
    };
    return all;
}

}  // namespace

TEST_CASE("check-trace: each rule, violated once, is found", "[unit][trace]") {
    for (const violation& v : violations()) {
        INFO(v.rule << ": " << v.what);
        tape t = started();
        v.add(t);
        const auto r = check(t.bytes());
        INFO(to_text(r));
        CHECK(r.unreadable.empty());
        REQUIRE(!r.findings.empty());
        CHECK(r.findings[0].rule == v.rule);
    }
}

TEST_CASE("check-trace: a finding names goroutine, events and threads", "[unit][trace]") {
    tape t = started();
    t.g(7, running, waiting, 1, 0).g(7, waiting, runnable, no, no).g(7, waiting, runnable, no, no);
    const auto r = check(t.bytes());
    REQUIRE(r.findings.size() == 1);
    CHECK(r.findings[0].event == 7);
    CHECK(r.findings[0].earlier == 6);
    CHECK(to_text(r) ==
          "event 7, one ready: goroutine 7: waiting -> runnable, by no M with no P: but it was "
          "left runnable (event 6)\n"
          "7 of 7 events checked, 1 run without a gap, the longest of 7; 1 findings\n");
}

TEST_CASE("check-trace: what may happen is accepted", "[unit][trace]") {
    tape t = started();
    SECTION("a life") {
        t.g(8, idle, runnable, 1, 0).g(7, running, waiting, 1, 0).g(8, runnable, running, 1, 0);
        t.g(7, waiting, runnable, 1, 0).g(8, running, dead, 1, 0).g(7, runnable, running, 1, 0);
        t.g(8, dead, idle, 1, 0).g(9, idle, runnable, 1, 0, 8).g(7, running, runnable, 1, 0);
        t.p(release, 0, 1, 0).p(acquire, 0, 2, 0).g(9, runnable, running, 2, 0, 8);
    }
    SECTION("a system call that keeps its P") {
        t.g(7, running, in_call, 1, 0).p(leave, 0, 1, 0);
        t.p(back, 0, 1, 0).g(7, in_call, running, 1, 0);
    }
    SECTION("a system call that loses its P, and finds none") {
        t.g(7, running, in_call, 1, 0).p(leave, 0, 1, 0);
        t.p(retake, 0, no, no).p(hand, 0, no, no, 2).p(acquire, 0, 2, 0);
        t.g(7, in_call, runnable, 1, no).g(7, runnable, running, 2, 0);
    }
    SECTION("blocking(), and another P afterwards") {
        t.g(7, running, in_call, 1, 0).p(release, 0, 1, 0);
        t.p(acquire, 3, 1, 3).g(7, in_call, running, 1, 3);
    }
    SECTION("a P that is taken by sysmon") {
        t.g(7, running, in_call, no, no).p(detach, 0, no, no, 1, 7);
        t.p(acquire, 1, 1, 1).g(7, in_call, running, 1, 1);
    }
    SECTION("a goroutine that waits on its thread") {
        t.g(7, running, runnable, 1, 0).p(release, 0, 1, 0).p(hand, 0, 1, no, 2);
        t.p(acquire, 0, 2, 0).p(release, 0, 2, 0).p(hand, 0, 2, no, 1).p(acquire, 0, 1, 0);
        t.g(7, runnable, running, 1, 0);
    }
    SECTION("a thread that could not be made") {
        t.p(hand, 1, 1, 0, 4).p(unhand, 1, 1, 0, 4).p(acquire, 1, 2, 1);
    }
    const auto r = check(t.bytes());
    INFO(to_text(r));
    CHECK(r.good());
    CHECK(r.runs == 1);
    CHECK(r.checked == r.given_out);
}

TEST_CASE("check-trace: behind a gap nothing is known", "[unit][trace]") {
    // Each of these contradicts what was before the gap.
    tape t = started();
    t.gap().g(7, waiting, runnable, no, no).g(8, running, waiting, 1, 2).p(acquire, 0, 2, 0);
    const auto r = check(t.bytes());
    INFO(to_text(r));
    CHECK(r.good());
    CHECK(r.runs == 2);
    CHECK(r.longest_run == 4);
    CHECK(r.given_out == 8);
    CHECK(r.checked == 7);
}

TEST_CASE("check-trace: what an event says of the time before it counts", "[unit][trace]") {
    tape t;
    t.g(7, running, waiting, 1, 0);  // so M 1 has P 0
    SECTION("M") { t.p(acquire, 1, 1, 1); }
    SECTION("P") { t.p(acquire, 0, 2, 0); }
    SECTION("goroutine") { t.g(7, running, dead, 1, 0); }
    SECTION("on M") { t.g(8, running, dead, 1, 0); }
    CHECK_FALSE(check(t.bytes()).good());
}

TEST_CASE("check-trace: ids are not used again behind a gap, either", "[unit][trace]") {
    tape t = started();
    t.gap().g(7, running, dead, 1, 0).g(7, dead, idle, 1, 0).gap(100);
    CHECK(check(t.bytes()).good());
    t.g(7, idle, runnable, no, no);
    CHECK(check(t.bytes()).findings.at(0).rule == "identity");
}

TEST_CASE("check-trace: many findings are counted, not kept", "[unit][trace]") {
    tape t = started();
    for (int i = 0; i < 1000; ++i) t.g(7, waiting, runnable, no, no);
    const auto r = check(t.bytes());
    CHECK(r.findings.size() == vole::trace::most_findings);
    CHECK(r.findings.size() + r.more_findings == 1000);
}
