// vole::wait_group. Cites SYNC-28 to SYNC-38 and SYNC-94 to SYNC-97.
#include <catch2/catch.hpp>

#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

static_assert(!std::is_copy_constructible_v<vole::wait_group>);
static_assert(!std::is_move_constructible_v<vole::wait_group>);
static_assert(!std::is_copy_assignable_v<vole::wait_group>);
static_assert(sizeof(vole::wait_group) <= 16);  // SYNC-38

namespace {

constinit vole::wait_group global;  // SYNC-95

template <class F>
std::string error_of(F f) {
    try {
        f();
    } catch (const vole::runtime_error& e) {
        return e.what();
    }
    return "no error";
}

constexpr const char* negative = "sync: negative WaitGroup counter";

}  // namespace

TEST_CASE("SYNC-28 a counter of zero does not wait", "[sync][wait_group]") {
    vole::wait_group g;
    g.wait();
    g.wait();
    global.wait();
    bool ended = false;
    vole::run([&] {
        g.wait();
        g.add(0);
        g.wait();
        ended = true;
    });
    CHECK(ended);
}

TEST_CASE("SYNC-28 wait returns when the counter is back at zero, and not before",
          "[sync][wait_group]") {
    bool shown = false;
    bool waited = true;
    bool returned = false;
    vole::run([&] {
        vole::wait_group g;
        vole::wait_group done;
        std::atomic<std::uint64_t> id{0};
        std::atomic<bool> past{false};
        g.add(3);
        done.go([&] {
            id = vole::goroutine_id();
            g.wait();
            past = true;
        });
        wait_until([&] { return id != 0; });
        shown = parked_as(id, "sync.WaitGroup.Wait");
        for (int i = 0; i < 3; ++i) {
            waited = waited && stays([&] { return !past; }, 50);
            g.done();
        }
        done.wait();
        returned = past;
    });
    CHECK(shown);
    CHECK(waited);
    CHECK(returned);
}

TEST_CASE("SYNC-28 a group may be used again", "[sync][wait_group]") {
    const procs_scope guard(2);
    int total = 0;
    vole::run([&] {
        vole::wait_group g;
        for (int round = 0; round < 500; ++round) {
            std::atomic<int> n{0};
            for (int i = 0; i < 5; ++i) g.go([&] { ++n; });
            g.wait();
            total += n;
        }
    });
    CHECK(total == 2500);
}

TEST_CASE("SYNC-29 a negative counter is an error that leaves the group usable",
          "[sync][wait_group]") {
    vole::wait_group fresh;
    CHECK(error_of([&] { fresh.done(); }) == negative);
    vole::wait_group two;
    two.add(2);
    CHECK(error_of([&] { two.add(-5); }) == negative);
    std::string inside;
    bool usable = false;
    vole::run([&] {
        vole::wait_group g;
        inside = error_of([&] { g.add(-1); });
        g.add(1);  // whatever the counter was left at, a new group of the same kind works
        vole::wait_group h;
        h.go([] {});
        h.wait();
        usable = true;
    });
    CHECK(inside == negative);
    CHECK(usable);
}

TEST_CASE("SYNC-32 several waiters are all released", "[sync][wait_group]") {
    for (const int procs : {1, 2, 4}) {
        const procs_scope guard(procs);
        std::atomic<int> released{0};
        int early = 0;
        long plain = 0;
        std::atomic<long> seen{0};
        vole::run([&] {
            vole::wait_group gate;
            vole::wait_group done;
            gate.add(1);
            for (int i = 0; i < 50; ++i) {
                done.go([&] {
                    gate.wait();
                    seen += plain;  // ordered after done()
                    ++released;
                });
            }
            for (int i = 0; i < 20; ++i) vole::gosched();
            early = released;
            plain = 1;
            gate.done();
            done.wait();
        });
        CHECK(early == 0);
        CHECK(released == 50);
        CHECK(seen == 50);
    }
}

TEST_CASE("SYNC-32 what was done before done is seen after wait", "[sync][wait_group]") {
    const procs_scope guard(4);
    long sum = 0;
    vole::run([&] {
        for (int round = 0; round < 200; ++round) {
            std::vector<long> plain(16);
            vole::wait_group g;
            for (std::size_t i = 0; i < plain.size(); ++i) g.go([&, i] { plain[i] = 1; });
            g.wait();
            for (const long v : plain) sum += v;
        }
    });
    CHECK(sum == 200 * 16);
}

TEST_CASE("SYNC-34 go starts a task; a task may start more", "[sync][wait_group]") {
    const procs_scope guard(2);
    std::atomic<int> ran{0};
    vole::run([&] {
        vole::wait_group g;
        std::function<void(int)> tree = [&](int depth) {
            ++ran;
            if (depth == 0) return;
            g.go([&, depth] { tree(depth - 1); });
            g.go([&, depth] { tree(depth - 1); });
        };
        g.go([&] { tree(9); });
        g.wait();
    });
    CHECK(ran == 1023);
}

TEST_CASE("SYNC-34 goexit in a task counts as its end", "[sync][wait_group]") {
    bool ended = false;
    vole::run([&] {
        vole::wait_group g;
        g.go([] { vole::goexit(); });
        g.wait();
        ended = true;
    });
    CHECK(ended);
}

TEST_CASE("SYNC-34 a task may be move-only, and is destroyed before wait returns",
          "[sync][wait_group]") {
    const procs_scope guard(2);
    int result = 0;
    long alive_after_wait = 0;
    vole::run([&] {
        vole::wait_group g;
        g.go([p = std::make_unique<int>(4), &result] { result = *p; });
        g.wait();
        for (int i = 0; i < 200; ++i) {
            const auto token = std::make_shared<int>(1);
            g.go([token] {});
            g.wait();
            alive_after_wait += token.use_count() != 1;
        }
    });
    CHECK(result == 4);
    CHECK(alive_after_wait == 0);
}

TEST_CASE("SYNC-35 an exception in a task does not leave wait hanging", "[sync][wait_group]") {
    bool ended = false;
    vole::run([&] {
        vole::wait_group g;
        g.go([] { throw std::runtime_error("expected by this test"); });
        g.wait();
        ended = true;
    });
    CHECK(ended);
    CHECK(only_left(0));
}

TEST_CASE("SYNC-94 go of a null function throws in the caller and counts nothing",
          "[sync][wait_group]") {
    std::string text;
    bool ended = false;
    vole::run([&] {
        vole::wait_group g;
        text = error_of([&] { g.go(std::function<void()>{}); });
        g.wait();
        ended = true;
    });
    CHECK(text == "go of nil func value");
    CHECK(ended);
}

TEST_CASE("SYNC-97 threads wait for goroutines and goroutines for threads", "[sync][wait_group]") {
    std::atomic<int> ran{0};
    vole::wait_group g;
    for (int i = 0; i < 10; ++i) g.go([&] { ++ran; });
    g.wait();  // this thread
    CHECK(ran == 10);

    int seen = 0;
    vole::run([&] {
        vole::wait_group h;
        std::vector<std::thread> threads;
        int plain[4] = {};
        h.add(4);
        for (int& p : plain) {
            threads.emplace_back([&] {
                p = 1;
                h.done();
            });
        }
        h.wait();
        for (const int p : plain) seen += p;
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
    });
    CHECK(seen == 4);
    CHECK(only_left(0));
}

TEST_CASE("SYNC-96 the waiter may destroy the group as soon as wait returns",
          "[sync][wait_group]") {
    const procs_scope guard(2);
    const int rounds = scaled(5000);
    int ended = 0;
    vole::run([&] {
        for (int i = 0; i < rounds; ++i) {
            auto g = std::make_unique<vole::wait_group>();
            g->add(2);
            for (int t = 0; t < 2; ++t) vole::go([p = g.get()] { p->done(); });
            g->wait();
            g.reset();
            ++ended;
        }
    });
    CHECK(ended == rounds);

    // The same with threads on both sides.
    for (int i = 0; i < 200; ++i) {
        auto g = std::make_unique<vole::wait_group>();
        g->add(1);
        std::thread t([p = g.get()] { p->done(); });
        g->wait();
        g.reset();
        t.join();
    }
}
