// Moving again and again: every pointer to a parent's local is followed, whichever way it was held.
// Cites STK-22, STK-31, STK-74.
#include <catch2/catch.hpp>

#include "test/growth/copying/copying_support.hpp"

#include <cstdint>
#include <vector>

using namespace vole::test;

namespace {

struct level {
    const level* parent;
    std::uint64_t number;
    std::uint64_t seen;
};

PLAIN_CODE std::uint64_t descend(level* parent, std::uint64_t left) {
    level here{parent, parent->number + 1, 0};
    if (left != 0) {
        const std::uint64_t bad = descend(&here, left - 1);
        // The callee has written to where we are now, and our parent is where we think.
        return bad + (here.seen == here.number + 1 ? 0 : 1) +
               (here.parent->number + 1 == here.number ? 0 : 1) + (here.parent == parent ? 0 : 1) +
               ((parent->seen = here.number), 0);
    }
    std::uint64_t bad = 0;
    std::uint64_t expected = here.number;
    for (const level* l = &here; l != nullptr; l = l->parent) bad += l->number != expected--;
    parent->seen = here.number;
    return bad;
}

// Registers that calls preserve hold addresses of this frame while the callees grow.
PLAIN_CODE int in_registers(std::size_t levels) {
    int a = 1;
    int b = 2;
    int c = 3;
    int* pa = &a;
    int* pb = &b;
    int* pc = &c;
    asm volatile("" : "+r"(pa), "+r"(pb), "+r"(pc));
    dig(levels);
    *pa += 10;
    *pb += 20;
    *pc += 30;
    asm volatile("" : "+r"(pa), "+r"(pb), "+r"(pc) : : "memory");
    return pa == &a && pb == &b && pc == &c ? a + b + c : -1;
}

// A counter that starts far from 0 invites the optimizer to keep `array - first` in a register, which
// is no address of the stack: the reason for -fno-ivopts.
PLAIN_CODE std::uint64_t fill(long first, long last, std::size_t levels) {
    std::uint32_t array[100];
    for (long i = first; i < last; ++i) {
        array[i - first] = static_cast<std::uint32_t>(i);
        dig(levels);
    }
    std::uint64_t sum = 0;
    for (long i = 0; i < last - first; ++i) sum += array[i];
    return sum;
}

struct big {
    std::uint64_t words[100];
};

// Everything that can carry an argument, at the call that grows: registers of both kinds, the stack,
// and a hidden pointer to the result.
PLAIN_CODE big many(const int* p1, double d1, const int* p2, float f2, const int* p3, long double x,
                    const int* p4, double d4, const int* p5, const int* p6, const int* p7, big copy,
                    const int* p8) {
    big result = copy;
    result.words[0] = static_cast<std::uint64_t>(*p1 + *p2 + *p3 + *p4 + *p5 + *p6 + *p7 + *p8);
    result.words[1] =
        static_cast<std::uint64_t>(d1 + static_cast<double>(f2) + d4 + static_cast<double>(x));
    return result;
}

PLAIN_CODE std::uint64_t many_at_depth(const int* p, std::size_t levels, const big& pattern) {
    volatile char room[16];
    room[0] = 1;
    std::uint64_t bad = 0;
    if (levels != 0) bad = many_at_depth(p, levels - 1, pattern);
    int own = 8;
    const big r = many(p, 1.5, &own, 2.5f, p, 3.0L, &own, 4.0, p, &own, p, pattern, &own);
    bad += r.words[0] != static_cast<std::uint64_t>(4 * *p + 4 * own);
    bad += r.words[1] != 11;
    bad += r.words[99] != 99;
    return bad + (room[0] == 1 ? 0 : 1);
}

}  // namespace

TEST_CASE("STK-31 pointers to parents' locals are intact over 100,000 levels", "[copying]") {
    std::uint64_t bad = 1;
    std::uint64_t copies = 0;
    on_copying_stack([&](outcome&) {
        copies = vole::read_stats().stack_copies;
        level root{nullptr, 0, 0};
        bad = descend(&root, 100'000);
        bad += root.seen != 1;
        copies = vole::read_stats().stack_copies - copies;
    });
    CHECK(bad == 0);
    CHECK(copies >= 5);
}

TEST_CASE("STK-31 a stack of 2 KiB moves through every size up", "[copying]") {
    // The goroutine calls instrumented code and the runtime, which fits: nothing makes it borrow.
    std::size_t levels = 0;
    [[maybe_unused]] const std::uint64_t before = vole::read_stats().stack_copies;
    vole::run([&] {
        vole::wait_group done;
        done.add(1);
        vole::go({.stack = vole::stack_policy::copying(2048)}, [&] {
            levels = dig(2000);
            done.done();
        });
        done.wait();
    });
    CHECK(levels == 2000);
#if !defined(VOLE_SANITIZED)  // whose calls make it borrow
    // 2, 4, ... 512 KiB.
    CHECK(vole::read_stats().stack_copies - before >= 8);
#endif
}

TEST_CASE("STK-31 addresses in registers that calls preserve move along", "[copying]") {
    int sum = 0;
    on_copying_stack([&](outcome&) { sum = in_registers(deep_enough); });
    CHECK(sum == 66);
}

TEST_CASE("STK-31 loops over an array on the stack go on after a move", "[copying]") {
    std::uint64_t sum = 0;
    long first = 1L << 50;
    asm volatile("" : "+r"(first));  // else it is taken into account at compile time
    on_copying_stack([&](outcome&) { sum = fill(first, first + 100, deep_enough); });
    CHECK(sum == 4950);
}

TEST_CASE("STK-22 arguments of every kind arrive at a call that moves the stack", "[copying]") {
    // Levels of about a kilobyte: from each starting depth another call meets the end.
    std::uint64_t bad = 0;
    for (std::size_t first = 1; first <= 40; ++first) {
        on_copying_stack([&, first](outcome&) {
            big pattern{};
            for (std::uint64_t i = 0; i < 100; ++i) pattern.words[i] = i;
            int seven = 7;
            dig(first);
            bad += many_at_depth(&seven, 100 + first, pattern);
        });
    }
    CHECK(bad == 0);
}

TEST_CASE("STK-70 many goroutines move at once, on several threads", "[copying]") {
    std::vector<std::uint64_t> bad(300, 1);
    [[maybe_unused]] const std::uint64_t before = vole::read_stats().stack_copies;
    vole::run([&] {
        vole::wait_group done;
        for (std::uint64_t& mine : bad) {
            done.add(1);
            vole::go({.stack = vole::stack_policy::copying(2048)}, [&mine, &done] {
                level root{nullptr, 0, 0};
                mine = descend(&root, 2000);
                vole::gosched();
                mine += descend(&root, 3000);
                done.done();
            });
        }
        done.wait();
    });
    std::uint64_t sum = 0;
    for (const std::uint64_t n : bad) sum += n;
    CHECK(sum == 0);
#if !defined(VOLE_SANITIZED)
    // Later ones may start with more than 2 KiB, as the first ones were seen to need it.
    CHECK(vole::read_stats().stack_copies - before >= 300 * 2);
#endif
}

namespace {

// Each level waits in both directions with an element on its own frame.
int exchange(vole::chan<int> to, vole::chan<int> from, int left, bool first) {
    int mine = left;
    if (first) to.send(mine);
    const int theirs = from.recv().value_or(-1);
    if (!first) to.send(mine);
    const int below = left != 0 ? exchange(to, from, left - 1, first) : 0;
    return below + (mine == left && theirs == left ? 0 : 1);
}

}  // namespace

TEST_CASE(
    "STK-33 goroutines that move between channel operations exchange elements on their stacks",
    "[copying]") {
    int bad = 1;
    [[maybe_unused]] const std::uint64_t before = vole::read_stats().stack_copies;
    vole::run([&] {
        auto there = vole::make_chan<int>();
        auto back = vole::make_chan<int>();
        auto result = vole::make_chan<int>();
        const vole::go_options moving{.stack = vole::stack_policy::copying(roomy)};
        vole::go(moving, [=] { result.send(exchange(there, back, 2000, true)); });
        vole::go(moving, [=] { result.send(exchange(back, there, 2000, false)); });
        bad = result.recv().value_or(1) + result.recv().value_or(1);
    });
    CHECK(bad == 0);
#if !defined(VOLE_SANITIZED)
    CHECK(vole::read_stats().stack_copies > before);
#endif
}
