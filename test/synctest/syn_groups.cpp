// Wait groups and bubbles, and what is built on them. Cites SYN-30 to SYN-35, SYNC-36, SYNC-89.
#include "test/synctest/synctest_support.hpp"

#include <vole/single_flight.hpp>

#include <algorithm>

namespace vole::test {

namespace {

constinit wait_group of_the_program;

constexpr const char* both_sides =
    "sync: WaitGroup.Add called from inside and outside synctest bubble";
constexpr const char* two_bubbles = "sync: WaitGroup.Add called from multiple synctest bubbles";

/// Whether a bubble can use g: raise it, wait for it while time goes on, and be released.
void use_in_bubble(findings& ok, wait_group& g, place where = here()) {
    bubble([&] {
        const stopwatch t;
        for (int i = 1; i <= 3; ++i) {
            g.go([&, i] { sleep(i * 1s); });
        }
        g.wait();
        ok.equal(t.ns(), ns(3s), where);
        g.add(1);
        go([&] {
            sleep(1s);
            g.done();
        });
        g.wait();
        ok.equal(t.ns(), ns(4s), where);
    });
}

/// The same outside of bubbles.
void use_outside(findings& ok, wait_group& g, place where = here()) {
    int plain = 0;
    g.go([&] { plain = 1; });
    g.wait();
    ok.equal(plain, 1, where);
    g.add(2);
    on_thread([&] { g.add(-2); });
    g.wait();
}

}  // namespace

TEST_CASE("SYN-30 a group that was first added to in the bubble is waited for durably",
          "[synctest][wait_group]") {
    findings ok;
    wait_group made_outside;
    use_in_bubble(ok, made_outside);
    bubble([&] {
        wait_group g;
        std::atomic<int> released{0};
        std::vector<std::uint64_t> ids(10);
        g.add(2);
        for (std::uint64_t& id : ids) {
            go([&] {
                id = goroutine_id();
                g.wait();
                ++released;
            });
        }
        synctest::wait();
        for (const std::uint64_t id : ids) {
            ok.equal(state_of(id), std::string("sync.WaitGroup.Wait (durable)"));
        }
        sleep(1h);
        g.done();
        synctest::wait();
        ok.equal(released.load(), 0);
        g.done();
        synctest::wait();
        ok.equal(released.load(), 10);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-30 its errors are what they are outside", "[synctest][wait_group]") {
    findings ok;
    bubble([&] {
        wait_group g;
        ok.throws<runtime_error>("sync: negative WaitGroup counter", [&] { g.done(); });
        g.add(1);
        g.done();
        g.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("child: added to outside, then inside", "[.child]") {
    wait_group g;
    g.add(1);
    doomed([&] { synctest::test([&] { g.add(1); }); });
}
TEST_CASE("child: added to inside, then outside", "[.child]") {
    doomed([] {
        synctest::test([] {
            wait_group g;
            g.add(1);
            on_thread([&] { g.add(1); });
        });
    });
}
TEST_CASE("child: added to inside, with a waiter, then outside", "[.child]") {
    wait_group g;
    doomed([&] {
        synctest::test([&] {
            g.add(1);
            go([&] { g.wait(); });
            synctest::wait();
            on_thread([&] { g.add(1); });
        });
    });
}
TEST_CASE("SYN-31 a counter that was raised on both sides", "[synctest][wait_group]") {
    check_fatal("child: added to outside, then inside", both_sides);
    check_fatal("child: added to inside, then outside", both_sides);
    check_fatal("child: added to inside, with a waiter, then outside", both_sides);
}

TEST_CASE("child: added to in two bubbles", "[.child]") {
    wait_group g;
    doomed([&] {
        synctest::test([&] {
            g.add(1);
            on_thread([&] { synctest::test([&] { g.add(1); }); });
        });
    });
}
TEST_CASE("child: added to in a second bubble when the first is over", "[.child]") {
    wait_group g;
    doomed([&] {
        synctest::test([&] { g.add(1); });
        synctest::test([&] { g.add(1); });
    });
}
TEST_CASE("SYN-31 a counter that was raised in two bubbles", "[synctest][wait_group]") {
    check_fatal("child: added to in two bubbles", two_bubbles);
    check_fatal("child: added to in a second bubble when the first is over", two_bubbles);
}

TEST_CASE("SYN-32 a group is free again when its waiters have been released",
          "[synctest][wait_group]") {
    findings ok;
    wait_group g;
    for (int round = 0; round < 3; ++round) {
        bubble([&] {
            g.add(1);
            go([&] { g.wait(); });
            synctest::wait();
            g.done();  // releases it
        });
        use_outside(ok, g);
        run([&] { use_outside(ok, g); });
        use_in_bubble(ok, g);
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-32 or when wait finds zero", "[synctest][wait_group]") {
    findings ok;
    wait_group g;
    for (int round = 0; round < 3; ++round) {
        bubble([&] {
            g.add(1);
            g.done();
            g.wait();
        });
        use_outside(ok, g);
        bubble([&] {
            g.add(1);
            g.done();
            g.wait();
        });
        use_in_bubble(ok, g);
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-32 with a counter of zero it moves from bubble to bubble",
          "[synctest][wait_group]") {
    findings ok;
    wait_group g;
    for (int round = 0; round < 5; ++round) {
        bubble([&] {
            g.add(1);
            g.done();  // nobody has waited
        });
    }
    use_in_bubble(ok, g);
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-33 a group of outside", "[synctest][wait_group]") {
    findings ok;
    wait_group g;
    g.add(1);
    std::atomic<std::uint64_t> waiter{0};
    std::atomic<std::uint64_t> sleeper{0};
    std::atomic<bool> went_on{false};
    int plain = 0;
    std::thread outside([&] {
        wait_until([&] { return waiter != 0 && sleeper != 0; });
        parked_as(waiter, "sync.WaitGroup.Wait");
        parked_as(sleeper, "sleep (durable)");
        ok(stays([&] { return !went_on; }));
        plain = 1;
        g.done();
    });
    bubble([&] {
        const stopwatch t;
        go([&] {
            sleeper = goroutine_id();
            sleep(1s);
            went_on = true;
        });
        waiter = goroutine_id();
        g.wait();
        ok.equal(plain, 1);
        ok.equal(t.ns(), 0);
        sleep(2s);
        ok(went_on);
    });
    outside.join();
    use_in_bubble(ok, g);
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-34 beyond Go: groups that live as long as the program", "[synctest][wait_group]") {
    findings ok;
    for (int i = 0; i < 3; ++i) {
        use_in_bubble(ok, of_the_program);
        use_outside(ok, of_the_program);
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-35 many bubbles with many groups", "[synctest][wait_group]") {
    const procs_scope guard(4);
    constexpr int tasks = 100;
    const int bubbles = std::min(scaled(100, 10), most_goroutines / (tasks + 2));
    std::atomic<int> ended{0};
    run([&] {
        wait_group all;
        for (int b = 0; b < bubbles; ++b) {
            all.go([&] {
                bubble([&] {
                    std::vector<std::unique_ptr<wait_group>> groups;
                    auto gate = make_chan<void>();
                    wait_group g;
                    for (int i = 0; i < tasks; ++i) {
                        groups.push_back(std::make_unique<wait_group>());
                        groups.back()->add(1);
                        g.go([&, own = groups.back().get()] {
                            own->done();
                            gate.recv();
                            ++ended;
                        });
                    }
                    synctest::wait();
                    for (const auto& one : groups) one->wait();
                    groups.clear();
                    gate.close();
                    g.wait();
                });
            });
        }
        all.wait();
    });
    CHECK(ended == bubbles * tasks);
}

TEST_CASE("SYN-35 groups whose memory is used again", "[synctest][wait_group]") {
    const procs_scope guard(4);
    findings ok;
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&] {
            for (int i = 0; i < scaled(100); ++i) {
                bubble([&] {
                    const stopwatch t;
                    for (int k = 0; k < 10; ++k) {
                        wait_group g;  // at one address, in one bubble after the other
                        g.go([] { sleep(1s); });
                        g.wait();
                    }
                    ok.equal(t.ns(), ns(10s));
                });
            }
        });
    }
    for (auto& t : threads) t.join();
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-89 in a bubble, those who wait for one call wait durably",
          "[synctest][single_flight]") {
    findings ok;
    bubble([&] {
        single_flight<int, int> all;
        const stopwatch t;
        wait_group done;
        int runs = 0;
        for (int i = 0; i < 3; ++i) {
            done.go([&] {
                const auto r = all.call(0, [&] {
                    ++runs;
                    sleep(1s);
                    return 7;
                });
                ok(r.value == 7 && r.shared);
            });
        }
        synctest::wait();
        const auto c = all.call_chan(0, [] { return 8; });
        ok.equal(c.recv()->get(), 7);
        done.wait();
        ok.equal(runs, 1);
        ok.equal(t.ns(), ns(1s));
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
