// What does not survive a move: whatever keeps an address of the stack off the stack, or in disguise.
// Each case is a row of the table in runtime/src/stack/README.md, and runs in a process of its own
// with VOLE_DEBUG=stackverify=1: the use of the old address is caught, never silent (STK-36, STK-37).
#include <catch2/catch.hpp>

#include "test/growth/copying/copying_support.hpp"
#include "test/support/subprocess.hpp"

#include <array>
#include <csetjmp>
#include <cstdio>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <thread>
#include <unordered_map>

using namespace vole::test;
using Catch::Contains;

namespace {

constexpr const char* uncaught = "the old address was used, and nobody noticed";

subprocess_result in_verify_mode(const std::string& child) {
    return run_case_in_subprocess(child, {.env = {"VOLE_DEBUG=stackverify=1"}});
}

/// The report names the stale address, whose stack it was, which growth, and where things are now.
void check_caught(const std::string& child) {
    const subprocess_result r = in_verify_mode(child);
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.out, !Contains(uncaught));
    CHECK_THAT(r.err, Contains("fatal error: stale pointer into a copied stack"));
    CHECK_THAT(r.err, Contains("runtime: stale address 0x"));
    CHECK_THAT(r.err, Contains(", at its growth "));
    CHECK_THAT(r.err, Contains("runtime: what was there has moved to 0x"));
    CHECK_THAT(r.err, Contains("\ngoroutine "));
}

/// Uses the old address and, if that was possible, says so.
template <class F>
void breaks(F f) {
    on_copying_stack([&](outcome&) {
        f();
        std::puts(uncaught);
    });
}

/// What the optimizer must take for a use.
template <class T>
void use(T& value) {
    asm volatile("" : : "m"(value) : "memory");
}

int* kept = nullptr;
std::jmp_buf jump;

}  // namespace

TEST_CASE("child: breaks: list", "[.child]") {
    breaks([] {
        std::list<int> list{1, 2, 3};
        dig(deep_enough);
        int sum = 0;
        for (const int n : list) sum += n;
        use(sum);
    });
}

TEST_CASE("child: breaks: map", "[.child]") {
    breaks([] {
        std::map<int, int> map{{1, 2}, {3, 4}};
        dig(deep_enough);
        int sum = 0;
        for (const auto& [k, n] : map) sum += n;
        use(sum);
    });
}

TEST_CASE("child: breaks: unordered_map", "[.child]") {
    breaks([] {
        std::unordered_map<int, int> map{{1, 2}, {3, 4}};
        dig(deep_enough);
        for (int i = 0; i < 10; ++i) {
            auto found = map.find(i);
            use(found);
        }
    });
}

TEST_CASE("child: breaks: large function", "[.child]") {
    breaks([] {
        int sum = 0;
        std::array<int, 16> numbers{1, 2, 3};
        std::function<void()> add = [&sum, numbers] { sum += numbers[1]; };
        use(add);  // clang finds out that it could do without the heap, else
        dig(deep_enough);
        add();
        use(sum);
    });
}

TEST_CASE("child: breaks: heap block", "[.child]") {
    breaks([] {
        int local = 1;
        auto holder = std::make_unique<int*>(&local);
        use(*holder);
        dig(deep_enough);
        **holder = 2;
        use(local);
    });
}

TEST_CASE("child: breaks: global", "[.child]") {
    breaks([] {
        int local = 1;
        kept = &local;
        dig(deep_enough);
        use(*kept);
        *kept += 1;
        use(local);
    });
}

TEST_CASE("child: breaks: twice moved", "[.child]") {
    breaks([] {
        int local = 1;
        kept = &local;
        std::printf("growths before=%llu\n",
                    static_cast<unsigned long long>(vole::read_stats().stack_copies));
        dig(8 * deep_enough);
        std::printf("now at=0x%llx\n",
                    static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(&local)));
        std::fflush(stdout);
        *kept += 1;
        use(local);
    });
}

TEST_CASE("child: breaks: address in disguise", "[.child]") {
    breaks([] {
        int local = 1;
        auto disguised = ~reinterpret_cast<std::uintptr_t>(&local);
        asm volatile("" : "+m"(disguised));
        dig(deep_enough);
        *reinterpret_cast<volatile int*>(~disguised) = 2;
        use(local);
    });
}

TEST_CASE("child: breaks: setjmp", "[.child]") {
    breaks([] {
        if (setjmp(jump) == 0) {
            dig(deep_enough);
            std::longjmp(jump, 1);
        }
    });
}

TEST_CASE("child: breaks: another goroutine", "[.child]") {
    breaks([] {
        int local = 1;
        vole::wait_group other;
        other.add(1);
        auto gate = vole::make_chan<int>();
        vole::go([&local, gate] {
            gate.recv();
            local = 2;
            std::puts(uncaught);
        });
        dig(deep_enough);
        gate.send(1);
        for (;;) vole::gosched();
    });
}

TEST_CASE("STK-37 breaks, and is caught: a list with elements", "[copying]") {
    check_caught("child: breaks: list");
}
TEST_CASE("STK-37 breaks, and is caught: a map with elements", "[copying]") {
    check_caught("child: breaks: map");
}
TEST_CASE("STK-37 breaks, and is caught: an unordered_map with elements", "[copying]") {
    check_caught("child: breaks: unordered_map");
}
TEST_CASE("STK-37 breaks, and is caught: a std::function that is on the heap", "[copying]") {
    check_caught("child: breaks: large function");
}
TEST_CASE("STK-36 breaks, and is caught: a heap block with an address of the stack", "[copying]") {
    check_caught("child: breaks: heap block");
}
TEST_CASE("STK-36 breaks, and is caught: a global with an address of the stack", "[copying]") {
    check_caught("child: breaks: global");
}
TEST_CASE("STK-36 breaks, and is caught: an address that does not look like one", "[copying]") {
    check_caught("child: breaks: address in disguise");
}
TEST_CASE("STK-37 breaks, and is caught: setjmp and longjmp over a move", "[copying]") {
    check_caught("child: breaks: setjmp");
}
TEST_CASE("STK-36 breaks, and is caught: another goroutine that holds the address", "[copying]") {
    check_caught("child: breaks: another goroutine");
}

TEST_CASE("STK-36 the report follows what has moved several times to where it is now",
          "[copying]") {
    const subprocess_result r = in_verify_mode("child: breaks: twice moved");
    INFO(r.text());
    CHECK(r.aborted());
    const std::size_t at = r.out.find("now at=");
    REQUIRE(at != std::string::npos);
    const std::string now = r.out.substr(at + 7, r.out.find('\n', at) - at - 7);
    CHECK_THAT(r.err, Contains("what was there has moved to " + now + "\n"));
    CHECK_THAT(r.err, Contains(", at its growth 1\n"));
}

// ---- what is sound stays so -------------------------------------------------------------------------------

TEST_CASE("child: verify: many moves", "[.child]") {
    vole::run([] {
        vole::wait_group done;
        for (int i = 0; i < 1600; ++i) {
            done.add(1);
            vole::go({.stack = vole::stack_policy::copying(2048)}, [&done] {
                // From 2 KiB: as many moves as there are doublings.
                if (dig(500) != 501 - 1) std::puts("wrong");
                done.done();
            });
        }
        done.wait();
    });
    std::puts("all done");
}

TEST_CASE("STK-36 sound goroutines run under stackverify, also when more stacks are kept than fit",
          "[copying]") {
    // 1600 goroutines move three times each, on several Ps; 4096 stacks are kept.
    const subprocess_result r = in_verify_mode("child: verify: many moves");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK_THAT(r.out, Contains("all done"));
    CHECK_THAT(r.out, !Contains("wrong"));
}
