// What the environment may ask for, and what is made of nonsense in it.
// Cites SCHED-3, SCHED-9, SCHED-11, SCHED-70.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "runtime/src/os/cgroup.hpp"
#include "runtime/src/os/cpus.hpp"
#include "test/death/death_support.hpp"

#include <algorithm>
#include <thread>

using namespace vole::test;

namespace {

/// What a process without any settings takes.
int usual_procs(bool with_quota = true) {
    vole::detail::cpu_quota quota;
    if (with_quota) quota.open();
    const int n = vole::detail::default_procs(quota.read(), vole::detail::affinity_count());
    quota.close();
    return n;
}

subprocess_options with(std::string setting) {
    subprocess_options o;
    o.env = {std::move(setting)};
    return o;
}

std::string line(const char* name, int value) {
    return std::string(name) + "=" + std::to_string(value);
}

}  // namespace

TEST_CASE("child: report procs", "[.child]") {
    say("procs", vole::gomaxprocs());
    say("in run", vole::run([] { return vole::gomaxprocs(); }));
    vole::set_default_gomaxprocs();
    say("default", vole::gomaxprocs());
}
TEST_CASE("child: report procs with options", "[.child]") {
    vole::options opts;
    opts.max_procs = 5;
    say("in run", vole::run(opts, [] { return vole::gomaxprocs(); }));
}

TEST_CASE("SCHED-3 VOLE_MAXPROCS sets the number of Ps", "[death][environment]") {
    for (const int n : {1, 3, 1000, 4096}) {
        const auto r = run_case_in_subprocess("child: report procs",
                                              with("VOLE_MAXPROCS=" + std::to_string(n)));
        INFO(r.text());
        CHECK(r.succeeded());
        CHECK(r.out.find(line("procs", n) + "\n") != std::string::npos);
        CHECK(r.out.find(line("in run", n) + "\n") != std::string::npos);
        // SCHED-9: set_default_gomaxprocs does not look at it.
        CHECK(r.out.find(line("default", usual_procs()) + "\n") != std::string::npos);
    }
}

TEST_CASE("SCHED-3 nonsense in VOLE_MAXPROCS is ignored", "[death][environment]") {
    for (const char* text :
         {"", "0", "-3", "abc", "1000000000", "99999999999999999999", "2.5", "3 ", "4097", "0x2"}) {
        const auto r = run_case_in_subprocess("child: report procs",
                                              with(std::string("VOLE_MAXPROCS=") + text));
        INFO("VOLE_MAXPROCS=" << text << "\n" << r.text());
        CHECK(r.succeeded());
        CHECK(r.out.find(line("procs", usual_procs()) + "\n") != std::string::npos);
    }
}

TEST_CASE("SCHED-3 options.max_procs beats VOLE_MAXPROCS", "[death][environment]") {
    const auto r =
        run_case_in_subprocess("child: report procs with options", with("VOLE_MAXPROCS=3"));
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("in run=5\n") != std::string::npos);
}

TEST_CASE("SCHED-11 containermaxprocs=0 leaves the quota out", "[death][environment]") {
    const auto r =
        run_case_in_subprocess("child: report procs", with("VOLE_DEBUG=containermaxprocs=0"));
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find(line("procs", usual_procs(false)) + "\n") != std::string::npos);
    CHECK(r.err.find("VOLE_DEBUG") == std::string::npos);
}

TEST_CASE("VOLE_DEBUG: a typing error is named once and changes nothing", "[death][environment]") {
    const auto r = run_case_in_subprocess("child: report procs",
                                          with("VOLE_DEBUG=schedtrce=1000,lockrank=maybe"));
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(count_of(r.err, "schedtrce=1000") == 1);
    CHECK(count_of(r.err, "lockrank=maybe") == 1);
    CHECK(count_of(r.err, "\n") == 2);
    CHECK(r.out.find(line("procs", usual_procs()) + "\n") != std::string::npos);
}

TEST_CASE("child: busy for a while", "[.child]") {
    vole::gomaxprocs(3);
    std::atomic<int> ran{0};
    vole::run([&] {
        auto c = vole::make_chan<int>();
        vole::mutex m;
        vole::wait_group done;
        done.go([&] {
            for (const int n : c) ran += n;
        });
        vole::wait_group senders;
        for (int i = 0; i < 50; ++i) {
            senders.go([&] {
                for (int n = 0; n < 100; ++n) {
                    m.lock();
                    m.unlock();
                    c.send(1);
                }
            });
        }
        senders.wait();
        vole::blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); });
        vole::gomaxprocs(2);
        c.close();
        done.wait();
    });
    say("ran", ran);
}

TEST_CASE("SCHED-70 schedtrace prints a line about the scheduler each so many ms",
          "[death][environment]") {
    const auto r =
        run_case_in_subprocess("child: busy for a while", with("VOLE_DEBUG=schedtrace=10"));
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("ran=5000") != std::string::npos);
    CHECK(count_of("\n" + r.err, "\nSCHED ") >= 3);
    CHECK(r.err.find("ms: gomaxprocs=3 idleprocs=") != std::string::npos);
    CHECK(r.err.find(" runqueue=") != std::string::npos);
}

TEST_CASE("lockrank=1: the order of the runtime's locks holds under load", "[death][environment]") {
    const auto r = run_case_in_subprocess("child: busy for a while", with("VOLE_DEBUG=lockrank=1"));
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("ran=5000") != std::string::npos);
    CHECK(r.err.empty());
}
