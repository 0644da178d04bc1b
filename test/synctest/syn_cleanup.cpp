// Cleanups of objects that die in a bubble. Cites CLN-9.
#include <vole/managed.hpp>

#include "test/synctest/synctest_support.hpp"

namespace vole::test {

TEST_CASE("CLN-9 a cleanup runs outside of the bubble in which its object died", "[synctest]") {
    std::atomic<int> ran{0};
    std::atomic<bool> virtual_time{false};
    std::atomic<bool> inside{false};
    auto gate = make_chan<void>();
    bubble([&] {
        const auto start = clock::now();  // in the year 2000
        auto p = make_managed<int>(1);
        add_cleanup(
            p,
            [&, start](const chan<void>& outside) {
                virtual_time = clock::now() >= start && clock::now() < start + 24h;
                inside = error_of([] { synctest::random(); }) != not_in_bubble;
                (void)outside.recv();  // a fatal error for a goroutine of a bubble
                ++ran;
            },
            gate);
        p.reset();
        sleep(1s);  // jumps: the cleanup, which waits, is nobody of the bubble's
    });
    const bool waited_for_it = ran != 0;
    gate.close();
    drain_cleanups();
    CHECK(!waited_for_it);
    CHECK(ran == 1);
    CHECK(!virtual_time);
    CHECK(!inside);
}

TEST_CASE("CLN-9 draining in a bubble is not durable", "[synctest]") {
    findings ok;
    std::atomic<int> ran{0};
    bubble([&] {
        const auto start = clock::now();
        auto p = make_managed<int>(1);
        add_cleanup(
            p, [&](int) { sleep(5ms), ++ran; }, 1);
        go([] { sleep(1h); });  // what time would jump to
        p.reset();
        drain_cleanups();
        ok.equal(ran.load(), 1);
        ok(clock::now() == start);
        sleep(2h);
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
