// Waiting for ever: when nobody is left who could end it, the process says so and ends; and what else
// needs a process of its own.
// Cites CHAN-3, CHAN-7, CHAN-38, CHAN-46, CHAN-47, CHAN-52, CHAN-57, CHAN-70, CHAN-73.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>

#include "test/support/subprocess.hpp"
#include "test/support/wait.hpp"

#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <utility>
#include <vector>

using namespace vole::test;

namespace {

/// The child must end by the deadlock error, and its traceback name this state for the main goroutine.
void expect_deadlock(const std::string& name, const std::string& state) {
    const auto r = run_case_in_subprocess(name);
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::StartsWith("fatal error: all goroutines are asleep - deadlock!"));
    CHECK_THAT(r.err, Catch::Contains("[" + state));
    CHECK_THAT(r.err, !Catch::Contains("caught by a "));  // no handler ran
}

/// f blocks for ever as the main goroutine, in a place that would notice being unwound.
template <class F>
void stuck(F f) {
    struct noisy {
        ~noisy() { std::fputs("caught by a destructor\n", stderr); }
    };
    vole::run([&] {
        try {
            const noisy n;
            f();
        } catch (...) {
            std::fputs("caught by a handler\n", stderr);
        }
    });
}

}  // namespace

TEST_CASE("child: nil send", "[.child]") {
    stuck([] { vole::chan<int>{}.send(1); });
}
TEST_CASE("child: nil receive", "[.child]") {
    stuck([] { vole::chan<int>{}.recv(); });
}
TEST_CASE("child: nil void send", "[.child]") {
    stuck([] { vole::chan<void>{}.send(); });
}
TEST_CASE("child: nil void receive", "[.child]") {
    stuck([] { vole::chan<void>{}.recv(); });
}
TEST_CASE("child: nil range", "[.child]") {
    stuck([] {
        for ([[maybe_unused]] const int v : vole::chan<int>{}) {
        }
    });
}
TEST_CASE("child: nil view receive", "[.child]") {
    stuck([] { vole::recv_chan<int>{}.recv(); });
}
TEST_CASE("child: nil view send", "[.child]") {
    stuck([] { vole::send_chan<std::unique_ptr<int>>{}.send(nullptr); });
}
TEST_CASE("child: receive", "[.child]") {
    stuck([] { vole::make_chan<int>().recv(); });
}
TEST_CASE("child: send", "[.child]") {
    stuck([] { vole::make_chan<int>().send(1); });
}
TEST_CASE("child: send on a full channel", "[.child]") {
    stuck([] {
        auto c = vole::make_chan<int>(1);
        c.send(1);
        c.send(2);
    });
}
TEST_CASE("child: select without cases", "[.child]") {
    stuck([] { vole::select(); });
}
TEST_CASE("child: selector without cases", "[.child]") {
    stuck([] { vole::selector{}.select(); });
}
TEST_CASE("child: select of nil channels", "[.child]") {
    stuck([] {
        vole::chan<int> c;
        vole::chan<void> v;
        vole::select(vole::on_recv(c), vole::on_send(c, 1), vole::on_recv(v));
    });
}
TEST_CASE("child: select of one nil channel", "[.child]") {
    stuck([] {
        vole::chan<int> c;
        vole::select(vole::on_recv(c));
    });
}
TEST_CASE("child: selector of nil channels", "[.child]") {
    stuck([] {
        vole::chan<int> c;
        vole::selector s;
        s.recv(c);
        s.send(c, 1);
        s.select();
    });
}
TEST_CASE("child: select", "[.child]") {
    stuck([] {
        auto c = vole::make_chan<int>();
        auto d = vole::make_chan<int>();
        vole::select(vole::on_recv(c), vole::on_recv(d));
    });
}
TEST_CASE("child: select talks to itself", "[.child]") {
    stuck([] {
        auto c = vole::make_chan<int>();
        vole::select(vole::on_recv(c), vole::on_send(c, 1));
    });
}
TEST_CASE("child: goroutines wait for each other", "[.child]") {
    stuck([] {
        auto c = vole::make_chan<int>();
        auto d = vole::make_chan<int>();
        for (int i = 0; i < 10; ++i) {
            vole::go([=]() mutable {
                c.recv();
                d.send(1);
            });
        }
        d.recv();
    });
}

TEST_CASE("CHAN-7 nil channel: sending and receiving wait for ever", "[chan][fatal]") {
    expect_deadlock("child: nil send", "chan send (nil chan)");
    expect_deadlock("child: nil receive", "chan receive (nil chan)");
    expect_deadlock("child: nil void send", "chan send (nil chan)");
    expect_deadlock("child: nil void receive", "chan receive (nil chan)");
    expect_deadlock("child: nil view send", "chan send (nil chan)");
    expect_deadlock("child: nil view receive", "chan receive (nil chan)");
}

TEST_CASE("CHAN-38 range over a nil channel waits for ever", "[chan][fatal][range]") {
    expect_deadlock("child: nil range", "chan receive (nil chan)");
}

TEST_CASE("CHAN-73 a deadlock names what everybody waits for", "[chan][fatal]") {
    expect_deadlock("child: receive", "chan receive");
    expect_deadlock("child: send", "chan send");
    expect_deadlock("child: send on a full channel", "chan send");
    expect_deadlock("child: goroutines wait for each other", "chan receive");
}

TEST_CASE("CHAN-46 select without cases waits for ever", "[chan][fatal][select]") {
    expect_deadlock("child: select without cases", "select (no cases)");
    expect_deadlock("child: selector without cases", "select (no cases)");
}

TEST_CASE("CHAN-47 select of nil channels only waits for ever", "[chan][fatal][select]") {
    expect_deadlock("child: select of nil channels", "select");
    expect_deadlock("child: selector of nil channels", "select");
}

TEST_CASE("CHAN-57 select of one nil channel waits for ever", "[chan][fatal][select]") {
    // As a plain receive or as a select: what it is called is not promised.
    expect_deadlock("child: select of one nil channel", "");
}

TEST_CASE("CHAN-52 select does not talk to itself", "[chan][fatal][select]") {
    expect_deadlock("child: select talks to itself", "select");
    expect_deadlock("child: select", "select");
}

TEST_CASE("CHAN-7 a goroutine on a nil channel disturbs nobody else", "[chan][fatal]") {
    // It can never be woken: in a process of its own, so that nothing of it is left here.
    const auto r = run_case_in_subprocess("child: nil beside others");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("child: nil beside others", "[.child]") {
    int sum = 0;
    std::size_t left = 0;
    for (const int procs : {1, 4}) {
        vole::gomaxprocs(procs);
        vole::run([&] {
            vole::go([] { vole::chan<int>{}.recv(); });
            vole::go([] { vole::chan<int>{}.send(1); });
            vole::go([] { vole::select(); });
            auto c = vole::make_chan<int>();
            vole::go([=]() mutable {
                for (int i = 0; i < 100; ++i) c.send(1);
                c.close();
            });
            for (const int v : c) sum += v;
            // The sender has closed, and is still to end.
            const std::size_t staying = left + (left == 0 ? 4 : 3);
            wait_until([&] { return vole::num_goroutine() == staying; });
            settle(500);
            left = vole::num_goroutine();
        });
    }
    CHECK(sum == 200);
    CHECK(left == 1 + 2 * 3);
}

TEST_CASE("child: no memory for a channel", "[.child]") {
    vole::run([] {});  // what the runtime reserves is reserved
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_AS, &limit) == 0);
    const rlimit tight{1, limit.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_AS, &tight) == 0);
    // qemu-user accepts the limit and ignores it: then there is nothing to see.
    void* probe =
        ::mmap(nullptr, std::size_t{1} << 26, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe != MAP_FAILED) {
        ::munmap(probe, std::size_t{1} << 26);
        SUCCEED("this system does not hold to RLIMIT_AS");
        return;
    }
    std::string problem;
    try {
        vole::make_chan<int>(std::size_t{1} << 28);
        problem = "made";
    } catch (const std::bad_alloc&) {
    }
    REQUIRE(::setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(problem == "");
    auto c = vole::make_chan<int>(1);
    c.send(1);
    CHECK(c.recv() == 1);
}

TEST_CASE("CHAN-3 a channel there is no memory for is std::bad_alloc", "[chan][fatal]") {
#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
    SUCCEED("the sanitizers' allocators end the process instead");
#else
    const auto r = run_case_in_subprocess("child: no memory for a channel");
    INFO(r.text());
    CHECK(r.succeeded());
#endif
}

TEST_CASE("child: ends with goroutines parked", "[.child]") {
    struct noisy {
        ~noisy() { std::fputs("unwound\n", stderr); }
    };
    vole::run([] {
        auto c = vole::make_chan<int>();
        auto d = vole::make_chan<std::string>();
        auto e = vole::make_chan<void>();
        for (int i = 0; i < 10; ++i) {
            vole::go([=] {
                const noisy n;
                c.recv();
            });
            vole::go([=] {
                const noisy n;
                d.send(std::string(100, 'x'));
            });
            vole::go([=] {
                const noisy n;
                vole::select(vole::on_recv(c), vole::on_recv(e));
            });
        }
        d.recv();
        wait_until([] { return vole::num_goroutine() == 30; }, "the sender to end");
    });
}

TEST_CASE(
    "CHAN-70 the process ends quietly while goroutines are parked; their frames are not unwound",
    "[chan][fatal]") {
    const auto r = run_case_in_subprocess("child: ends with goroutines parked");
    INFO(r.text());
    CHECK(r.succeeded());
    // Main took the value of one sender, which then ended; the other 29 frames are left as they are.
    std::size_t unwound = 0;
    for (std::size_t at = 0; (at = r.err.find("unwound", at)) != std::string::npos; ++at) ++unwound;
    CHECK(unwound == 1);
}
