// What tests need around a bubble. Cites SYN-60 to SYN-64; contexts do not exist yet.
#include "test/synctest/synctest_support.hpp"

namespace vole::test {

namespace {

/// The first numbers of a bubble's source.
std::vector<std::uint64_t> numbers(std::uint64_t seed) {
    std::vector<std::uint64_t> got;
    bubble(seed, [&] {
        for (int i = 0; i < 20; ++i) got.push_back(synctest::random());
    });
    return got;
}

/// Whether f() is called while a wait() in the bubble waits, and time stands still.
template <class F>
void held_up(findings& ok, F release, place where = here()) {
    std::atomic<bool> released{false};
    std::atomic<bool> waited{false};
    std::atomic<std::uint64_t> waiter{0};
    std::thread outside([&] {
        wait_until([&] { return waiter != 0; });
        parked_as(waiter, "synctest.Wait (durable)", where);
        ok(stays([&] { return !waited; }), "wait returns early", where);
        released = true;
        release();
    });
    const stopwatch t;
    go([&] { sleep(1s); });
    waiter = goroutine_id();
    synctest::wait();
    ok(released, "wait returned before", where);
    waited = true;
    ok.equal(t.ns(), 0, where);
    sleep(2s);
    blocking([&] { outside.join(); });
}

}  // namespace

TEST_CASE("SYN-60 cleanups run in the bubble when main has returned, the last one first",
          "[synctest][glue]") {
    findings ok;
    std::string order;
    bubble([&] {
        for (const char name : {'a', 'b', 'c'}) {
            synctest::on_cleanup([&, name] {
                order += name;
                ok(synctest::in_bubble());
            });
        }
        go([&] { synctest::on_cleanup([&] { order += 'd'; }); });
        synctest::wait();
        order += '-';
    });
    CHECK(order == "-dcba");
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-60 cleanups run before the others are waited for", "[synctest][glue]") {
    findings ok;
    int plain = 0;
    bubble([&] {
        auto c = make_chan<int>();
        synctest::on_cleanup([c] { c.close(); });
        go([&, c] {
            ok(!c.recv());
            plain = 1;
        });
    });
    CHECK(plain == 1);
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-60 time still goes on in cleanups, and they may wait", "[synctest][glue]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        auto stop = make_chan<void>();
        auto woken = std::make_shared<int>(0);
        synctest::on_cleanup([&ok, t, stop, woken] {
            sleep(1s);
            ok.equal(t.ns(), ns(1s));
            ok.equal(*woken, 1);
            stop.close();
            synctest::wait();
            ok.equal(*woken, 2);
        });
        go([stop, woken] {
            sleep(500ms);
            ++*woken;
            stop.recv();
            ++*woken;
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-60 cleanups run, too, when main ends by an exception or by goexit",
          "[synctest][glue]") {
    const stderr_capture quiet;
    int ran = 0;
    CHECK_THROWS_AS(bubble([&] {
                        synctest::on_cleanup([&] { ++ran; });
                        throw std::logic_error("of main");
                    }),
                    std::logic_error);
    CHECK(ran == 1);
    bubble([&] {
        synctest::on_cleanup([&] { ++ran; });
        goexit();
    });
    CHECK(ran == 2);
}

TEST_CASE("SYN-60 a cleanup may be move-only, and is destroyed after its call",
          "[synctest][glue]") {
    const auto token = std::make_shared<int>(1);
    long alive = 0;
    bubble([&] {
        synctest::on_cleanup([&alive, t = token] { alive = t.use_count(); });
        synctest::on_cleanup([p = std::make_unique<int>(3), t = token] { (void)*p; });
        const auto lvalue = [t = token] {};
        synctest::on_cleanup(lvalue);
    });
    CHECK(alive == 2);  // the other two are gone
    CHECK(token.use_count() == 1);
}

TEST_CASE("SYN-60 cleanups outside of a bubble are refused", "[synctest][glue]") {
    const auto token = std::make_shared<int>(1);
    const auto add = [&] { synctest::on_cleanup([token] {}); };
    CHECK(error_of(add) == not_in_bubble);
    CHECK(run([&] { return error_of(add); }) == not_in_bubble);
    CHECK(token.use_count() == 1);
}

TEST_CASE("SYN-61 test from threads, goroutines, tied goroutines", "[synctest][glue]") {
    findings ok;
    const auto body = [&] {
        bubble([&] {
            const stopwatch t;
            wait_group g;
            for (int i = 1; i <= 10; ++i) g.go([i] { sleep(i * 1s); });
            g.wait();
            ok.equal(t.ns(), ns(10s));
        });
    };
    body();
    std::thread(body).join();
    run(body);
    run([&] {
        lock_os_thread();
        const auto thread = thread_id();
        body();
        ok.equal(thread_id(), thread);
        unlock_os_thread();
        wait_group g;
        for (int i = 0; i < 10; ++i) {
            g.go([&] { on_thread(body); });
            g.go(body);
        }
        g.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-62 the number of Ps and stack policies are what they were", "[synctest][glue]") {
    findings ok;
    for (const int procs : {1, 3}) {
        const procs_scope guard(procs);
        bubble([&] {
            ok.equal(gomaxprocs(), procs);
            wait_group g;
            g.add(1);
            go({.name = "large", .stack = stack_policy::reserved(1 << 20)}, [&] {
                ok(stack::size() >= (1 << 20));
                sleep(1s);
                g.done();
            });
            g.wait();
        });
        CHECK(gomaxprocs() == procs);
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-63 the goroutines of a bubble count", "[synctest][glue]") {
    // Asked again when one of an earlier test has ended in between.
    const auto counts = [] {
        const std::size_t before = num_goroutine();
        std::size_t with_main = 0;
        std::size_t with_all = 0;
        bubble([&] {
            with_main = num_goroutine();
            auto gate = make_chan<void>();
            for (int i = 0; i < 10; ++i) go([gate] { gate.recv(); });
            with_all = num_goroutine();
            gate.close();
        });
        return with_main == before + 1 && with_all == with_main + 10 &&
               wait_until([&] { return num_goroutine() <= before; });
    };
    CHECK(run([&] {
        for (int i = 0; i < 10; ++i) {
            if (counts()) return true;
        }
        return false;
    }));
}

TEST_CASE("SYN-63 what tracebacks say of a bubble's goroutines", "[synctest][glue]") {
    findings ok;
    run([&] {
        const std::uint64_t root = goroutine_id();
        auto outside = make_chan<int>();
        std::string of_bubble;
        bubble([&] {
            of_bubble = brackets_of(goroutine_id());
            ok.equal(of_bubble.substr(0, 25), std::string("running, synctest bubble "));
            of_bubble = of_bubble.substr(7);
            auto c = make_chan<int>();
            const auto check = [&](const char* state, auto block) {
                std::atomic<std::uint64_t> id{0};
                go([&id, block] {
                    id = goroutine_id();
                    block();
                });
                wait_until([&] { return id != 0; });
                parked_as(id, state);
                ok.equal(brackets_of(id), state + of_bubble);
            };
            check("chan receive (durable)", [c] { c.recv(); });
            c.send(1);
            check("chan send (durable)", [c] { c.send(1); });
            c.recv();
            check("select (durable)", [c] { select(on_recv(c), on_send(c, 1)); });
            c.send(1);
            check("chan receive", [outside] { outside.recv(); });
            check("select", [c, outside] { select(on_recv(c), on_recv(outside)); });
            check("sleep (durable)", [] { sleep(1h); });
            check("synctest.Wait (durable)", [] { synctest::wait(); });
            ok.equal(state_of(root).substr(0, 12), std::string("synctest.Run"));
            outside.close();
            sleep(2h);
        });
        ok(traceback().find(of_bubble + "]") == std::string::npos, "a bubble that is over");
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-64 a hold keeps the bubble active", "[synctest][glue]") {
    findings ok;
    bubble([&] {
        auto one = std::make_unique<synctest::hold>();
        held_up(ok, [&] { one.reset(); });
        auto first = std::make_unique<synctest::hold>();
        auto second = std::make_unique<synctest::hold>();
        held_up(ok, [&] {
            first.reset();
            second.reset();
        });
        const stopwatch t;
        {
            const synctest::hold briefly;
            ok(synctest::in_bubble());
        }
        sleep(1s);
        ok.equal(t.ns(), ns(1s));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-64 a hold for work that is given to a thread", "[synctest][glue]") {
    findings ok;
    bubble([&] {
        const stopwatch t;
        int result = 0;
        std::thread worker([&result, held = std::make_unique<synctest::hold>()]() mutable {
            for (int i = 0; i < 200; ++i) std::this_thread::yield();
            result = 42;
            held.reset();
        });
        synctest::wait();  // for the thread, too
        ok.equal(result, 42);
        ok.equal(t.ns(), 0);
        blocking([&] { worker.join(); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("beyond Go: random numbers of the bubble", "[synctest][glue]") {
    CHECK(numbers(1) == numbers(1));
    CHECK(numbers(1) != numbers(2));
    CHECK(numbers(3)[0] != numbers(3)[1]);
    CHECK(error_of([] { synctest::random(); }) == not_in_bubble);
    CHECK(run([] { return error_of([] { synctest::random(); }); }) == not_in_bubble);
}

TEST_CASE("beyond Go: the bubble's seed", "[synctest][glue]") {
    std::uint64_t got = 0;
    bubble(42, [&] {
        wait_group g;
        g.go([&] { got = synctest::seed(); });
        g.wait();
    });
    CHECK(got == 42);
    CHECK(error_of([] { synctest::seed(); }) == not_in_bubble);
}

TEST_CASE("child: seeds by chance", "[.child]") {
    for (int i = 0; i < 3; ++i) {
        bubble(
            [&] { std::printf("seed=%llu\n", static_cast<unsigned long long>(synctest::seed())); });
    }
    bubble(77,
           [] { std::printf("seed=%llu\n", static_cast<unsigned long long>(synctest::seed())); });
    std::fflush(stdout);
}
TEST_CASE("beyond Go: VOLE_SYNCTEST_SEED, else another seed each time", "[synctest][glue]") {
    const auto seeds = [](const std::string& value) {
        const auto r = run_case_in_subprocess("child: seeds by chance",
                                              {.env = {"VOLE_SYNCTEST_SEED=" + value}});
        CHECK(r.succeeded());
        std::vector<std::string> all;
        for (std::size_t at = 0; (at = r.out.find("seed=", at)) != std::string::npos; ++at) {
            all.push_back(r.out.substr(at + 5, r.out.find('\n', at) - at - 5));
        }
        return all;
    };
    const std::vector<std::string> given{"123456789", "123456789", "123456789", "77"};
    CHECK(seeds("123456789") == given);
    const auto by_chance = seeds("");
    REQUIRE(by_chance.size() == 4);
    CHECK(by_chance[0] != by_chance[1]);
    CHECK(by_chance[1] != by_chance[2]);
    CHECK(by_chance[0] != "0");
    CHECK(by_chance[3] == "77");
}

}  // namespace vole::test
