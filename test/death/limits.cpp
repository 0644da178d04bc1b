// The system refuses threads or memory: each refusal has a clear outcome.
// Cites SCHED-37; the outcomes are those of <vole/runtime.hpp>.
#include <catch2/catch.hpp>

#include <vole/sync.hpp>

#include "test/death/death_support.hpp"

#include <fstream>
#include <new>
#include <string>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <unistd.h>

using namespace vole::test;

namespace {

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
constexpr bool sanitized = true;  // they reserve terabytes: no limit of address space can be set
#else
constexpr bool sanitized = false;
#endif

/// From here on no thread can be made: root is exempt from RLIMIT_NPROC, so root stops being root.
rlimit forbid_threads() {
    if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) say("still root");
    rlimit old{};
    ::getrlimit(RLIMIT_NPROC, &old);
    const rlimit none{0, old.rlim_max};
    ::setrlimit(RLIMIT_NPROC, &none);
    bool refused = false;
    try {
        std::thread([] {}).join();
    } catch (const std::system_error&) {
        refused = true;
    }
    say(refused ? "threads forbidden" : "threads still allowed");
    return old;
}

std::size_t address_space_in_use() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * 4096;
}

void limit_address_space(std::size_t more) {
    const rlimit l{address_space_in_use() + more, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_AS, &l) != 0) say("no limit set");
}

/// Starts goroutines that wait at the gate until memory runs out; how many it took.
template <class Start>
long long fill(vole::wait_group& done, Start start) {
    long long started = 0;
    try {
        for (; started < 3'000'000; ++started) {
            done.add(1);
            start();
        }
        say("never refused");
    } catch (const std::bad_alloc&) {
        done.done();  // of the one that was not started
        say("refused with bad_alloc");
    }
    return started;
}

}  // namespace

// ---- threads ----------------------------------------------------------------------------------------------

TEST_CASE("child: no thread at the start", "[.child]") {
    const rlimit old = forbid_threads();
    for (int i = 0; i < 2; ++i) {
        try {
            say("ran", vole::run([] { return 1; }));
        } catch (const std::system_error& e) {
            say("refused with system_error", e.code() == std::errc::resource_unavailable_try_again);
        }
        try {
            vole::go([] {});
            say("started");
        } catch (const std::system_error&) {
            say("go refused");
        }
    }
    ::setrlimit(RLIMIT_NPROC, &old);
    say("later", vole::run([] { return 2; }));
}
TEST_CASE("SCHED-37 the runtime's first thread is refused: an error, and a later start works",
          "[death][limits]") {
    const auto r = run_case_in_subprocess("child: no thread at the start");
    INFO(r.text());
    if (r.out.find("threads still allowed") != std::string::npos) return;  // nothing can be shown
    CHECK(r.succeeded());
    CHECK(count_of(r.out, "refused with system_error=1") == 2);
    CHECK(count_of(r.out, "go refused") == 2);
    CHECK(r.out.find("later=2") != std::string::npos);
}

TEST_CASE("child: no more threads later", "[.child]") {
    vole::gomaxprocs(4);
    vole::run([] {});
    forbid_threads();
    std::atomic<int> ran{0};
    vole::run([&] {
        vole::wait_group done;
        for (int i = 0; i < 50; ++i) {
            done.go([&] {
                // Each gives its P away, for which there is no thread.
                for (int n = 0; n < 20; ++n) {
                    vole::blocking([] { std::this_thread::yield(); });
                    vole::gosched();
                }
                ++ran;
            });
        }
        done.wait();
    });
    say("ran", ran);
    vole::gomaxprocs(9);
    say("again", vole::run([] { return 1; }));
}
TEST_CASE("SCHED-37 threads are refused later: goroutines go on with those there are, and it is "
          "said once",
          "[death][limits]") {
    const auto r = run_case_in_subprocess("child: no more threads later");
    INFO(r.text());
    if (r.out.find("threads still allowed") != std::string::npos) return;
    CHECK(r.succeeded());
    CHECK(r.out.find("ran=50") != std::string::npos);
    CHECK(r.out.find("again=1") != std::string::npos);
    CHECK(count_of(r.err, "cannot create another thread") == 1);
}

TEST_CASE("child: tied goroutine ends and no thread can replace it", "[.child]") {
    vole::gomaxprocs(2);
    vole::run([] {});
    forbid_threads();
    int ended = 0;
    vole::run([&] {
        vole::wait_group done;
        done.go([&] {
            vole::lock_os_thread();
            vole::gosched();
            vole::unlock_os_thread();
            ++ended;
        });
        done.wait();
    });
    say("ended", ended);
}
TEST_CASE("SCHED-53 tied goroutines with no thread to be had", "[death][limits]") {
    const auto r =
        run_case_in_subprocess("child: tied goroutine ends and no thread can replace it");
    INFO(r.text());
    if (r.out.find("threads still allowed") != std::string::npos) return;
    // It finishes, or says in plain words why it cannot.
    CHECK_FALSE(r.timed_out);
    CHECK((r.succeeded() || r.err.find("fatal error: ") != std::string::npos));
}

// ---- memory -----------------------------------------------------------------------------------------------

TEST_CASE("child: no memory for goroutines", "[.child]") {
    // Before the start: the stacks' address space is what runs out.
    limit_address_space(std::size_t{1} << 30);
    vole::gomaxprocs(2);
    vole::run([] {
        vole::wait_group gate;
        vole::wait_group done;
        long long counts[2] = {};
        for (long long& n : counts) {
            gate.add(1);
            n = fill(done, [&] {
                vole::go([&] {
                    gate.wait();
                    done.done();
                });
            });
            gate.done();
            done.wait();
        }
        say("first", counts[0] > 100);
        say("as many again", counts[1] >= counts[0] / 2);
    });
    say("went on", vole::run([] { return 1; }));
}
TEST_CASE("out of address space: go throws bad_alloc in the caller, and the program goes on",
          "[death][limits]") {
    if (sanitized) return;
    const auto r = run_case_in_subprocess("child: no memory for goroutines");
    INFO(r.text());
    if (r.out.find("no limit set") != std::string::npos) return;
    CHECK(r.succeeded());
    CHECK(count_of(r.out, "refused with bad_alloc") == 2);
    CHECK(r.out.find("first=1") != std::string::npos);
    CHECK(r.out.find("as many again=1") != std::string::npos);
    CHECK(r.out.find("went on=1") != std::string::npos);
}

TEST_CASE("child: no memory for large stacks", "[.child]") {
    vole::run([] {});
    limit_address_space(std::size_t{512} << 20);
    vole::run([] {
        vole::wait_group gate;
        vole::wait_group done;
        gate.add(1);
        const auto n = fill(done, [&] {
            vole::go(vole::go_options{"large", vole::stack_policy::reserved(64 << 20)}, [&] {
                gate.wait();
                done.done();
            });
        });
        say("some", n > 0 && n < 9);
        vole::wait_group small;
        small.go([] { say("a small one runs"); });
        small.wait();
        gate.done();
        done.wait();
        say("left", static_cast<long long>(vole::num_goroutine()));
    });
}
TEST_CASE("a stack that is asked for and cannot be had", "[death][limits]") {
    if (sanitized) return;
    const auto r = run_case_in_subprocess("child: no memory for large stacks");
    INFO(r.text());
    if (r.out.find("no limit set") != std::string::npos) return;
    CHECK(r.succeeded());
    CHECK(r.out.find("refused with bad_alloc") != std::string::npos);
    CHECK(r.out.find("some=1") != std::string::npos);
    CHECK(r.out.find("a small one runs") != std::string::npos);
}

TEST_CASE("child: no memory at the start", "[.child]") {
    const rlimit tight{address_space_in_use() + 200'000, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &tight);
    bool refused = false;
    try {
        vole::run([] {});
    } catch (const std::bad_alloc&) {
        refused = true;
    } catch (const std::system_error&) {
        refused = true;
    }
    const rlimit wide{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &wide);
    say("refused", refused);
    say("later", vole::run([] { return 2; }));
}
TEST_CASE("no memory when the runtime starts: an error, and a later start works",
          "[death][limits]") {
    if (sanitized) return;
    const auto r = run_case_in_subprocess("child: no memory at the start");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("refused=1") != std::string::npos);
    CHECK(r.out.find("later=2") != std::string::npos);
}

TEST_CASE("child: no descriptors", "[.child]") {
    // Nothing in the runtime needs one: the quota's files only make the default better.
    const rlimit none{3, 3};
    ::setrlimit(RLIMIT_NOFILE, &none);
    say("ran", vole::run([] {
            vole::wait_group done;
            for (int i = 0; i < 100; ++i) done.go([] { vole::gosched(); });
            done.wait();
            return vole::gomaxprocs() >= 1;
        }));
}
TEST_CASE("SCHED-6 no descriptors left when the runtime starts", "[death][limits]") {
    const auto r = run_case_in_subprocess("child: no descriptors");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("ran=1") != std::string::npos);
}
