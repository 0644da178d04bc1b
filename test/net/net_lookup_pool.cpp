// How many look-ups the system is asked for at once, where they run, and what they leave behind. Cites NET-70, NET-71.
#include <catch2/catch.hpp>

#include <vole/net/error.hpp>
#include <vole/net/resolve.hpp>
#include <vole/synctest.hpp>
#include <vole/vole.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/net/fake_resolver.hpp"
#include "test/support/heap.hpp"
#include "test/support/subprocess.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <sys/resource.h>

using namespace vole::test;
using namespace std::chrono_literals;
namespace net = vole::net;
using net::errc;
using vole::context;

namespace {

/// All slots but `left` are taken while it lives.
class few_slots {
  public:
    explicit few_slots(std::int64_t left) : taken_(vole::detail::lookup_limit() - left) {
        vole::detail::lookup_slots().acquire(taken_);
    }
    ~few_slots() { give_back(); }
    few_slots(const few_slots&) = delete;
    few_slots& operator=(const few_slots&) = delete;
    void give_back() { vole::detail::lookup_slots().release(std::exchange(taken_, 0)); }

  private:
    std::int64_t taken_;
};

std::string name(int i) { return "host-" + std::to_string(i); }

}  // namespace

TEST_CASE("NET-70 there are as many slots as descriptors suggest", "[net][lookup]") {
    rlimit files{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
    const std::int64_t limit = vole::detail::lookup_limit();
    CHECK(limit == static_cast<std::int64_t>(std::clamp<rlim_t>(files.rlim_cur / 4, 1, 500)));
    auto& slots = vole::detail::lookup_slots();
    slots.acquire(limit);
    CHECK(!slots.try_acquire(1));
    slots.release(limit);
}

TEST_CASE("child: few descriptors", "[.child]") {
    rlimit files{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 256);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
    const auto limit = static_cast<std::int64_t>(files.rlim_cur / 4);
    CHECK(vole::detail::lookup_limit() == limit);
    // Who comes first may be in a bubble.
    vole::synctest::test([] {
        fake_resolver names;
        (void)net::lookup_host("host");
    });
    auto& slots = vole::detail::lookup_slots();
    slots.acquire(limit);
    CHECK(!slots.try_acquire(1));
    slots.release(limit);
}

TEST_CASE("NET-70 few descriptors are few slots", "[net][lookup]") {
    const auto r = run_case_in_subprocess("child: few descriptors");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("NET-70 no more threads are taken than there are slots", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        few_slots slots(2);
        vole::wait_group group;
        for (int i = 0; i < 8; ++i) {
            group.go([&ok, i] { ok.equal(text_of(net::lookup_host(name(i))), "192.0.2.1:0"); });
        }
        for (int i = 0; i < 8; ++i) await_callers(1, name(i));
        wait_until([&] { return names.inside() == 2; }, "look-ups to be under way");
        ok(stays([&] { return names.inside() == 2; }));
        names.let_go();
        group.wait();
        ok.equal(names.calls(), 8);
        ok.equal(names.most_inside(), 2);
    });
    CHECK(text == "");
}

TEST_CASE("NET-71 a look-up that all have left before its turn is taken back", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        few_slots slots(0);
        auto [ctx, cancel] = vole::with_cancel(context::background());
        vole::wait_group group;
        for (int i = 0; i < 8; ++i) {
            group.go([&ok, i, ctx = ctx] {
                std::error_code ec;
                (void)net::lookup_host(name(i / 2), ctx, ec);
                ok.equal(ec, make_error_code(errc::canceled));
            });
        }
        vole::wait_group patient;
        for (int i = 0; i < 4; ++i) await_callers(2, name(i));
        // One of them gets a caller who stays.
        patient.go([&] { ok.equal(text_of(net::lookup_host(name(0))), "192.0.2.1:0"); });
        await_callers(3, name(0));
        cancel();
        group.wait();
        wait_until([] { return vole::detail::lookups_alive() == 1; }, "three of four to end");
        // Who asks now, asks anew.
        patient.go([&] { ok.equal(text_of(net::lookup_host(name(1))), "192.0.2.1:0"); });
        await_callers(1, name(1));
        ok.equal(names.calls(), 0);
        slots.give_back();
        patient.wait();
        ok.equal(names.calls(), 2);
    });
    CHECK(text == "");
}

TEST_CASE("NET-71 a deadline ends the wait for a slot", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        const few_slots slots(0);
        auto [ctx, cancel] = vole::with_timeout(context::background(), 2ms);
        std::error_code ec;
        (void)net::lookup_host("host", ctx, ec);
        ok.equal(ec, make_error_code(errc::timeout));
        wait_until([] { return vole::detail::lookups_alive() == 0; }, "the look-up to end");
        ok.equal(names.calls(), 0);
    });
    CHECK(text == "");
}

TEST_CASE("NET-70 the system is asked on a large stack", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names([](const std::string&, int) {
            volatile std::uint8_t deep[1 << 20];  // four stacks of goroutines
            for (std::size_t i = 0; i < sizeof deep; i += 1024) deep[i] = 1;
            return fake_resolver::answer{{v4(deep[0])}, {}};
        });
        ok.equal(text_of(net::lookup_host("host")), "192.0.2.1:0");
    });
    CHECK(text == "");
}

TEST_CASE("NET-70 a bubble has look-ups of its own, and its time stands still for them",
          "[net][lookup]") {
    findings ok;
    fake_resolver names;
    names.hold();
    vole::wait_group outside;
    outside.go([&] { ok.equal(text_of(net::lookup_host("host")), "192.0.2.1:0"); });
    await_callers(1, "host");
    wait_until([&] { return names.inside() == 1; });
    vole::synctest::test([&] {
        const auto before = vole::clock::now();
        auto [ctx, cancel] = vole::with_timeout(context::background(), 1s);
        vole::wait_group inside;
        for (int i = 0; i < 2; ++i) {
            inside.go([&, ctx = ctx] {
                std::error_code ec;
                ok.equal(text_of(net::lookup_host("host", ctx, ec)), "192.0.2.1:0");
                ok.equal(ec, std::error_code());
            });
        }
        // Let go when the bubble's is under way, too, and both wait for it.
        await_callers(2, "host");
        wait_until([&] { return names.inside() == 2; }, "the bubble's look-up");
        names.let_go();
        inside.wait();
        ok((vole::clock::now() - before) == 0s, "time passed");
        cancel();
        vole::synctest::wait();
    });
    outside.wait();
    CHECK(ok.text() == "");
    CHECK(names.calls() == 2);
}

TEST_CASE("NET-71 nothing is left of look-ups", "[net][lookup]") {
    std::int64_t answered = -1;
    std::int64_t left_alone = -1;
    run_on(1, [&] {
        fake_resolver names;
        answered = bytes_left_by([] { (void)net::lookup_host("a host with a long name"); }, 500);
        const few_slots slots(0);
        left_alone = bytes_left_by(
            [] {
                auto [ctx, cancel] = vole::with_cancel(context::background());
                vole::wait_group group;
                group.go([ctx = ctx] {
                    std::error_code ec;
                    (void)net::lookup_host("another host with a long name", ctx, ec);
                });
                await_callers(1, "another host with a long name");
                cancel();
                group.wait();
                wait_until([] { return vole::detail::lookups_alive() == 0; });
            },
            500);
    });
    CHECK(answered == 0);
    CHECK(left_alone == 0);
    CHECK(vole::detail::lookups_alive() == 0);
}

TEST_CASE("NET-71 callers that come and go at any moment", "[net][lookup]") {
    findings ok;
    std::atomic<int> answered{0};
    std::atomic<int> ended{0};
    const int rounds = scaled(300);
    run_on(4, [&] {
        fake_resolver names;
        few_slots slots(2);
        vole::wait_group group;
        for (int g = 0; g < 8; ++g) {
            group.go([&, g] {
                for (int i = 0; i < rounds; ++i) {
                    auto [ctx, cancel] = vole::with_cancel(context::background());
                    vole::wait_group canceler;
                    canceler.go([&, turns = (i + g) % 5, cancel = cancel] {
                        for (int t = 0; t < turns; ++t) vole::gosched();
                        if (turns != 4) cancel();
                    });
                    std::error_code ec;
                    const auto found = net::lookup_host(name((i + g) % 3), ctx, ec);
                    if (!ec) {
                        ok.equal(text_of(found), "192.0.2.1:0");
                        ++answered;
                    } else {
                        ok.equal(ec, make_error_code(errc::canceled));
                        ok(found.empty());
                        ++ended;
                    }
                    canceler.wait();
                }
            });
        }
        group.wait();
        wait_until([] { return vole::detail::lookups_alive() == 0; }, "look-ups to end");
        ok(names.most_inside() <= 2);
    });
    CHECK(ok.text() == "");
    CHECK(answered + ended == 8 * rounds);
    CHECK(answered > 0);
    CHECK(vole::detail::lookups_alive() == 0);
}
