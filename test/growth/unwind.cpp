// Exceptions and goexit over the ends of segments, at every place of the split. Cites STK-37, STK-71,
// STK-74.
#include <catch2/catch.hpp>

#include "test/growth/growth_support.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

using namespace vole::test;

namespace {

std::atomic<int> wrong{0};
std::atomic<long> alive{0};

void expect(bool ok) {
    if (!ok) ++wrong;
}

struct counted {
    counted() { ++alive; }
    ~counted() { --alive; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
};

KEEP_CALL int thrower(int what) {
    counted c;
    char pad[80];
    use(pad);
    if (what == 0) throw 42;
    if (what == 1) throw std::runtime_error("text");
    return what;
}

KEEP_CALL int passes_on(int what) {
    counted c;
    std::string local = "local";
    use(local);
    return thrower(what) + static_cast<int>(local.size());
}

KEEP_CALL int rethrower(int what) {
    try {
        return passes_on(what);
    } catch (...) {
        counted c;
        throw;
    }
}

KEEP_CALL void grow_more() {
    char pad[600];
    use(pad);
}

// Growth in a destructor while an exception passes.
struct grows_when_destroyed {
    ~grows_when_destroyed() {
        grow_more();
        try {
            thrower(0);
        } catch (int e) {
            expect(e == 42);
        }
    }
};

KEEP_CALL void unwinds_through_growth() {
    grows_when_destroyed d;
    thrower(1);
}

KEEP_CALL int deep_throw(int n) {
    counted c;
    std::string s = "some text that is too long for the small string optimisation";
    use(s);
    if (n == 0) throw std::runtime_error("bottom");
    return deep_throw(n - 1) + static_cast<int>(s.size());
}

KEEP_CALL void deep_exit(int n) {
    if (n < 0) return;  // for the compiler's sake
    counted c;
    char pad[100];
    use(pad);
    if (n == 0) vole::goexit();
    deep_exit(n - 1);
    use(pad);
}

}  // namespace

TEST_CASE("STK-74 exceptions thrown and caught over the split", "[growth]") {
    wrong = 0;
    sweep_all([](std::size_t) {
        int caught = 0;
        try {
            passes_on(0);
        } catch (int e) {
            caught = e;
        }
        expect(caught == 42);
        std::string text;
        try {
            rethrower(1);
        } catch (const std::exception& e) {
            grow_more();
            text = e.what();
        }
        expect(text == "text");
        expect(passes_on(7) == 12);
    });
    CHECK(wrong == 0);
    CHECK(alive == 0);
}

TEST_CASE("STK-74 frames, deferred calls and recovery over the split", "[growth]") {
    wrong = 0;
    sweep_all([](std::size_t) {
        const int result = vole::recovering<int>([](int& out) {
            vole::defer last{[&] {
                grow_more();
                const auto p = vole::recover();
                expect(p && std::string(p->what()) == "std::runtime_error: text");
                grow_more();
                out += 5;
            }};
            vole::defer replaces{[] { thrower(1); }};
            vole::defer grows{[] { grow_more(); }};
            out = passes_on(7);
            thrower(0);
        });
        expect(result == 17);
        grow_more();
        expect(!vole::recover());
    });
    CHECK(wrong == 0);
    CHECK(alive == 0);
}

TEST_CASE("STK-74 growth inside destructors while unwinding, and in catch blocks", "[growth]") {
    wrong = 0;
    sweep_all([](std::size_t) {
        bool caught = false;
        try {
            unwinds_through_growth();
        } catch (const std::runtime_error& e) {
            caught = std::string(e.what()) == "text";
            try {
                thrower(0);
            } catch (int) {
                grow_more();
            }
        }
        expect(caught);
    });
    CHECK(wrong == 0);
    CHECK(alive == 0);
}

TEST_CASE("STK-74 exceptions from the bottom of 10,000 and 100,000 levels", "[growth]") {
    const auto op = [] {
#if defined(VOLE_TSAN)
        const std::vector<int> depths = {10'000, 10'000};
#else
        const std::vector<int> depths = {10'000, 10'000, 100'000};
#endif
        for (const int levels : depths) {
            std::string text;
            try {
                deep_throw(levels);
            } catch (const std::exception& e) {
                text = e.what();
            }
            expect(text == "bottom");
        }
    };
    wrong = 0;
    for (const auto policy : policies(256 * 1024)) on_stack(policy, op);
    CHECK(wrong == 0);
    CHECK(alive == 0);
}

#if !defined(VOLE_SANITIZED)
TEST_CASE("STK-74 an exception from the bottom of 1,000,000 levels", "[growth]") {
    wrong = 0;
    on_stack(vole::stack_policy::dense(), [] {
        bool caught = false;
        try {
            deep_throw(1'000'000);
        } catch (const std::exception&) {
            caught = true;
        }
        expect(caught);
    });
    CHECK(wrong == 0);
    CHECK(alive == 0);
}
#endif

TEST_CASE("STK-71 goexit at every position of the split", "[growth]") {
    for (const auto policy : policies(36 * 1024)) {
        vole::run([policy] {
            for (std::size_t bytes = 0; bytes < sweep_bytes; bytes += 16) {
                for (int calm = calm_before(policy); calm >= 0; --calm) {
                    vole::wait_group ended;
                    ended.add(1);
                    vole::go({.stack = policy}, [&] {
                        struct at_end {
                            vole::wait_group& w;
                            ~at_end() { w.done(); }
                        } last{ended};
                        auto op = [] { deep_exit(0); };
                        if (calm == 0) dig(bytes, op);
                    });
                    ended.wait();
                }
            }
        });
    }
    CHECK(alive == 0);
}

TEST_CASE("STK-71 goexit from 2,000 levels down runs every destructor", "[growth]") {
    vole::run([] {
        for (const auto policy : policies(64 * 1024)) {
            vole::wait_group ended;
            ended.add(1);
            vole::go({.stack = policy}, [&] {
                struct at_end {
                    vole::wait_group& w;
                    ~at_end() { w.done(); }
                } last{ended};
                deep_exit(2'000);
            });
            ended.wait();
        }
    });
    CHECK(alive == 0);
}
