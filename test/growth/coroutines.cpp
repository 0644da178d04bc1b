// Coroutines of goroutines whose stacks are small, grow or move, and coroutines that use up their own. Cites STK-74, CORO-10.
#include <catch2/catch.hpp>

#include "test/growth/growth_support.hpp"

#include <vole/coro.hpp>
#include <vole/iter.hpp>

#include <atomic>
#include <stdexcept>
#include <string>

using namespace vole::test;

namespace {

std::atomic<int> wrong{0};
void expect(bool ok) {
    if (!ok) ++wrong;
}

KEEP_CALL int deep_sum(int depth) {
    char pad[200];
    use(pad);
    return depth == 0 ? 0 : 1 + deep_sum(depth - 1);
}

const vole::stack_policy each_policy[] = {
    vole::stack_policy::dense(2048), vole::stack_policy::dense(4096),
    vole::stack_policy::copying(2048), vole::stack_policy::copying(8192),
    vole::stack_policy::reserved(256 * 1024)};

// At every place of a small stack: next, the body's first turn, its end and its exceptions.
KEEP_CALL void one_of_each() {
    auto p = vole::iter::pull([](vole::iter::yielder<int> yield) {
        for (int i = 0; i < 3; ++i) {
            if (!yield(i)) return;
        }
        throw std::runtime_error("end");
    });
    for (int i = 0; i < 3; ++i) expect(p.next() == i);
    try {
        p.next();
        expect(false);
    } catch (const std::runtime_error& e) {
        expect(std::string(e.what()) == "end");
    }
    expect(!p.next());
}

}  // namespace

TEST_CASE("STK-74 coroutines resumed at every depth of a stack that grows") {
    wrong = 0;
    for (const auto policy : each_policy) {
        on_stack(policy, [] {
            for (std::size_t n = 0; n < 4096; n += 48) {
                auto op = [] { one_of_each(); };
                dig(n, op);
            }
        });
    }
    CHECK(wrong == 0);
}

TEST_CASE("STK-74 a body that needs more than its stack's 256 KiB") {
    wrong = 0;
    for (const auto policy : each_policy) {
        on_stack(policy, [] {
            auto p = vole::iter::pull([](vole::iter::yielder<int> yield) {
                for (int depth = 10; depth <= 10'000; depth *= 10) {
                    if (!yield(deep_sum(depth))) return;
                }
            });
            for (int depth = 10; depth <= 10'000; depth *= 10) {
                expect(p.next() == depth);
                expect(deep_sum(50) == 50);  // the consumer's grows, or moves, in between
            }
        });
    }
    CHECK(wrong == 0);
}

TEST_CASE("CORO-10 a consumer's stack that moves between two turns") {
    wrong = 0;
    on_stack(vole::stack_policy::copying(2048), [] {
        vole::coro<int, int> c([](auto& yield, int first) {
            for (int n = first;;) n = yield(n * 2);
        });
        for (int i = 1; i < 200; ++i) {
            expect(c.resume(i) == 2 * i);
            expect(deep_sum(i * 3) == i * 3);
        }
    });
    CHECK(wrong == 0);
}
