// Coroutines in bubbles. Cites SYN-2, SYN-18, CORO-14, CORO-15.
#include "test/synctest/synctest_support.hpp"

#include <vole/iter.hpp>

namespace vole::test {

TEST_CASE("SYN-18 a sequence sleeps in its consumer's bubble", "[synctest]") {
    findings ok;
    bubble([&] {
        const auto start = clock::now();
        auto times = iter::pull([start](iter::yielder<clock::duration> yield) {
            while (yield(clock::now() - start)) sleep(1s);
        });
        for (int i = 0; i < 3; ++i) ok(times.next() == i * 1s);
        times.stop();
        ok(clock::now() - start == 2s);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-18 a sequence that waits for the bubble is durably blocked, one that runs is not",
          "[synctest]") {
    findings ok;
    bubble([&] {
        auto c = make_chan<int>();
        auto values = iter::pull([c](iter::yielder<int> yield) {
            while (yield(c.recv().value_or(-1))) {
            }
        });
        bool got = false;
        go([&] {
            ok(values.next() == 7);
            got = true;
        });
        synctest::wait();
        ok(!got);
        c.send(7);
        synctest::wait();
        ok(got);
        // Time stands still while somebody only pulls.
        const auto start = clock::now();
        auto counted = iter::pull([](iter::yielder<int> yield) {
            for (int i = 0; yield(i); ++i) {
            }
        });
        for (int i = 0; i < 10'000; ++i) counted.next();
        ok(clock::now() == start);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-2 what a sequence starts is in its consumer's bubble", "[synctest]") {
    findings ok;
    bubble([&] {
        const auto start = clock::now();
        auto p = iter::pull([&](iter::yielder<int> yield) {
            go([&] {
                sleep(1h);
                ok(clock::now() - start == 1h);
            });
            yield(1);
        });
        ok(p.next() == 1);
        sleep(2h);  // time stands still once main has returned
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
