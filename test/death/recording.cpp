// Recordings of processes that end: by themselves, or by a fatal error. Cites TRC-9, SCHED-74.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>

#include "runtime/internal/park.hpp"
#include "test/death/death_support.hpp"
#include "tools/trace/checking.hpp"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <unistd.h>

using namespace vole::test;

namespace {

/// The name of a file that is gone at the end.
struct scratch {
    std::string name = "/tmp/vole-recording-" + std::to_string(::getpid());
    ~scratch() { ::unlink(name.c_str()); }

    vole::trace::result check() const {
        std::ifstream in(name, std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
        return vole::trace::check(std::as_bytes(std::span(bytes)));
    }
};

subprocess_result record(const char* child, const scratch& file, const char* more = "") {
    subprocess_options o;
    o.env = {"VOLE_DEBUG=record=" + file.name + more};
    return run_case_in_subprocess(child, o);
}

/// Parks the calling goroutine, and tells when it may be readied.
void park_for(std::atomic<vole::detail::G*>& parked) {
    using namespace vole::detail;
    const runtime_entry entry;
    park(
        running_g(), [](G* g, void* to) { static_cast<std::atomic<G*>*>(to)->store(g); }, &parked,
        wait_reason::other);
}

}  // namespace

TEST_CASE("child: a program that ends", "[.child]") {
    vole::run([] {
        auto c = vole::make_chan<int>();
        vole::go([=] { c.send(1); });
        c.recv();
    });
}
TEST_CASE("TRC-9 a recording is written at the end of the process", "[death][recording]") {
    const scratch file;
    const auto r = record("child: a program that ends", file, ",recordsize=1000");
    INFO(r.text());
    CHECK(r.succeeded());
    const auto found = file.check();
    INFO(to_text(found));
    CHECK(found.good());
    CHECK(found.checked > 10);
    CHECK_FALSE(found.crashed);
}

TEST_CASE("child: a deadlock", "[.child]") {
    vole::run([] { vole::make_chan<int>().recv(); });
}
TEST_CASE("TRC-9 a recording is written by a fatal error", "[death][recording]") {
    const scratch file;
    const auto r = record("child: a deadlock", file);
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(r.err.find("vole: recorded: " + file.name) != std::string::npos);
    const auto found = file.check();
    INFO(to_text(found));
    CHECK(found.good());
    CHECK(found.crashed);
}

TEST_CASE("child: a double ready", "[.child]") {
    vole::run([] {
        static std::atomic<vole::detail::G*> parked{nullptr};
        vole::go([] { park_for(parked); });
        wait_until([] { return parked.load() != nullptr; });
        const vole::detail::runtime_pin pin;
        vole::detail::ready(parked);
        vole::detail::ready(parked);
        say("still there");
    });
}
TEST_CASE("SCHED-74 a double ready is in the recording of the crash", "[death][recording]") {
    const scratch file;
    const auto r = record("child: a double ready", file);
    INFO(r.text());
    CHECK(r.aborted());
    const auto found = file.check();
    INFO(to_text(found));
    CHECK(found.crashed);
    REQUIRE(found.findings.size() == 1);
    CHECK(found.findings[0].rule == "one ready");
}

TEST_CASE("a recording that cannot be written is no reason to fail", "[death][recording]") {
    scratch file;
    file.name = "/nowhere/recording";
    const auto r = record("child: a program that ends", file);
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.err.find("vole: cannot write the recording: /nowhere/recording\n") !=
          std::string::npos);
}
