// Look-ups that several callers share. Cites NET-70 to NET-72.
#include <catch2/catch.hpp>

#include <vole/net/error.hpp>
#include <vole/net/resolve.hpp>
#include <vole/vole.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/net/fake_resolver.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <new>
#include <string>
#include <thread>
#include <vector>

using namespace vole::test;
using namespace std::chrono_literals;
namespace net = vole::net;
using net::errc;
using vole::context;

namespace {

/// A caller in a goroutine of its own, and what came of it.
class caller {
  public:
    explicit caller(std::string host, context ctx = context::background()) {
        group_.go([this, host = std::move(host), ctx = std::move(ctx)] {
            found_ = text_of(net::lookup_host(host, ctx, error_));
            back_ = true;
        });
    }
    ~caller() { group_.wait(); }
    caller(const caller&) = delete;
    caller& operator=(const caller&) = delete;

    bool back() const { return back_; }
    const std::string& found() {
        group_.wait();
        return found_;
    }
    std::error_code error() {
        group_.wait();
        return error_;
    }

  private:
    vole::wait_group group_;
    std::string found_;
    std::error_code error_;
    std::atomic<bool> back_{false};
};

bool await_inside(const fake_resolver& names, int n) {
    return wait_until([&] { return names.inside() == n; }, "look-ups to be under way");
}

const std::error_code none;

}  // namespace

TEST_CASE("NET-70 those who ask for the same at the same time share one look-up", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        {
            caller a("host"), b("host"), c("host"), d("host");
            await_callers(4, "host");
            await_inside(names, 1);
            ok(stays([&] { return !a.back() && names.calls() == 1; }));
            names.let_go();
            for (caller* one : {&a, &b, &c, &d}) {
                ok.equal(one->found(), "192.0.2.1:0");
                ok.equal(one->error(), none);
            }
        }
        ok.equal(names.calls(), 1);
        // It is forgotten then.
        ok.equal(text_of(net::lookup_host("host")), "192.0.2.1:0");
        ok.equal(names.calls(), 2);
    });
    CHECK(text == "");
}

TEST_CASE("NET-70 other names and other families are other look-ups", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        caller a("a"), b("b");
        vole::wait_group group;
        for (const char* network : {"tcp", "tcp4", "udp6"}) {
            group.go([&ok, network] {
                std::error_code ec;
                (void)net::resolve(network, "a:1", context::background(), ec);
                ok.equal(ec, network == std::string("udp6") ? make_error_code(errc::no_such_host)
                                                            : none);
            });
        }
        await_inside(names, 4);
        await_callers(2, "a");  // "tcp" is no other family
        await_callers(1, "a", AF_INET);
        await_callers(1, "a", AF_INET6);
        await_callers(1, "b");
        names.let_go();
        group.wait();
        ok.equal(a.error(), none);
        ok.equal(b.error(), none);
        ok.equal(names.calls(), 4);
    });
    CHECK(text == "");
}

TEST_CASE("NET-70 goroutines go on while the system is asked", "[net][lookup]") {
    int turns = 0;
    std::uint64_t handed_over = 0;
    run_on(1, [&] {
        fake_resolver names;
        names.hold();
        const auto before = vole::read_stats().handoffs;
        caller one("host");
        await_inside(names, 1);
        handed_over = vole::read_stats().handoffs - before;  // at once, not by sysmon
        vole::wait_group others;
        for (int i = 0; i < 10; ++i) others.go([&] { ++turns; });
        others.wait();
        names.let_go();
    });
    CHECK(turns == 10);
    CHECK(handed_over == 1);
}

TEST_CASE("NET-70 threads and goroutines share look-ups", "[net][lookup]") {
    findings ok;
    fake_resolver names;
    names.hold();
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] { ok.equal(text_of(net::lookup_host("host")), "192.0.2.1:0"); });
    }
    run_on(2, [&] {
        caller one("host");
        await_callers(4, "host");
        names.let_go();
        ok.equal(one.found(), "192.0.2.1:0");
    });
    threads.clear();
    CHECK(ok.text() == "");
    CHECK(names.calls() == 1);
}

TEST_CASE("NET-71 who began a look-up may leave it to the others", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        auto [ctx, cancel] = vole::with_cancel(context::background());
        caller first("host", ctx);
        await_callers(1, "host");
        caller second("host");
        await_callers(2, "host");
        await_inside(names, 1);
        cancel();
        ok.equal(first.error(), make_error_code(errc::canceled));  // while the other waits
        ok.equal(first.found(), "");
        ok.equal(names.inside(), 1);
        ok(!second.back());
        names.let_go();
        ok.equal(second.found(), "192.0.2.1:0");
        ok.equal(names.calls(), 1);
    });
    CHECK(text == "");
}

TEST_CASE("NET-71 who joined a look-up may leave it, too", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        caller first("host");
        await_callers(1, "host");
        auto [ctx, cancel] = vole::with_cancel(context::background());
        caller second("host", ctx);
        await_callers(2, "host");
        cancel();
        ok.equal(second.error(), make_error_code(errc::canceled));
        await_callers(1, "host");
        names.let_go();
        ok.equal(first.found(), "192.0.2.1:0");
    });
    CHECK(text == "");
}

TEST_CASE("NET-71 a deadline ends the wait with a timeout", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        const auto before = vole::clock::now();
        auto [ctx, cancel] = vole::with_timeout(context::background(), 5ms);
        std::error_code ec;
        ok(net::lookup_host("host", ctx, ec).empty());
        ok.equal(ec, make_error_code(errc::timeout));
        ok(vole::clock::now() - before >= 5ms);
        (void)net::resolve("tcp", "host:80", ctx, ec);
        ok.equal(ec, make_error_code(errc::timeout));
        try {
            (void)net::lookup_host("host", ctx);
            ok(false, "threw nothing");
        } catch (const net::op_error& e) {
            ok(e.timeout());
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-71 a context that has ended looks up nothing", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        auto [ctx, cancel] = vole::with_cancel(context::background());
        cancel();
        auto [late, cancel_late] =
            vole::with_deadline(context::background(), vole::clock::now() - 1s);
        std::error_code ec;
        (void)net::lookup_host("host", ctx, ec);
        ok.equal(ec, make_error_code(errc::canceled));
        (void)net::lookup_host("host", late, ec);
        ok.equal(ec, make_error_code(errc::timeout));
        ok.equal(vole::detail::lookups_alive(), 0U);
        ok.equal(names.calls(), 0);
        ok.throws<vole::runtime_error>("use of nil context",
                                       [] { (void)net::lookup_host("host", {}); });
    });
    CHECK(text == "");
}

TEST_CASE("NET-71 a look-up that all have left runs on, and who asks again joins it",
          "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        {
            auto [ctx, cancel] = vole::with_cancel(context::background());
            caller a("host", ctx), b("host", ctx);
            await_callers(2, "host");
            await_inside(names, 1);
            cancel();
            ok.equal(a.error(), make_error_code(errc::canceled));
            ok.equal(b.error(), make_error_code(errc::canceled));
        }
        ok.equal(vole::detail::lookups_alive(), 1U);
        ok.equal(names.inside(), 1);
        caller again("host");
        await_callers(1, "host");
        names.let_go();
        ok.equal(again.found(), "192.0.2.1:0");
        ok.equal(names.calls(), 1);
    });
    CHECK(text == "");
}

TEST_CASE("NET-71 the answer nobody waits for is dropped", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names;
        names.hold();
        {
            auto [ctx, cancel] = vole::with_cancel(context::background());
            caller one("host", ctx);
            await_inside(names, 1);
            cancel();
            ok.equal(one.error(), make_error_code(errc::canceled));
        }
        names.let_go();
        wait_until([] { return vole::detail::lookups_alive() == 0; }, "the look-up to end");
        ok.equal(text_of(net::lookup_host("host")), "192.0.2.1:0");
        ok.equal(names.calls(), 2);
    });
    CHECK(text == "");
}

TEST_CASE("NET-71 a thread whose context ends comes back at once", "[net][lookup]") {
    fake_resolver names;
    names.hold();
    auto [ctx, cancel] = vole::with_cancel(context::background());
    std::error_code ec;
    std::jthread thread([&, ctx = ctx] { (void)net::lookup_host("host", ctx, ec); });
    await_callers(1, "host");
    await_inside(names, 1);
    cancel();
    thread.join();
    CHECK(ec == errc::canceled);
    CHECK(names.inside() == 1);
}

TEST_CASE("NET-72 all who share a look-up share its error", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        for (const std::error_code e :
             {make_error_code(errc::no_such_host), make_error_code(errc::name_server_failure),
              std::make_error_code(std::errc::too_many_files_open)}) {
            fake_resolver names([e](const std::string&, int) {
                return fake_resolver::answer{{}, e};
            });
            names.hold();
            caller a("host"), b("host");
            await_callers(2, "host");
            names.let_go();
            ok.equal(a.error(), e);
            ok.equal(b.error(), e);
            ok.equal(a.found(), "");
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-72 without memory for an answer there is an error", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names(
            [](const std::string&, int) -> fake_resolver::answer { throw std::bad_alloc(); });
        std::error_code ec;
        (void)net::lookup_host("host", ec);
        ok(ec == std::errc::not_enough_memory, ec.message());
    });
    CHECK(text == "");
}

TEST_CASE("NET-72 addresses come in the system's order, each once", "[net][lookup]") {
    const std::string text = everywhere([](findings& ok) {
        fake_resolver names([](const std::string& host, int) {
            if (host == "empty") return fake_resolver::answer{};
            return fake_resolver::answer{{v4(2), v6(1), v4(2), v4(1), v6(1), v4(2), v6(2)}, {}};
        });
        ok.equal(text_of(net::lookup_host("host")),
                 "192.0.2.2:0 [2001:db8::1]:0 192.0.2.1:0 [2001:db8::2]:0");
        std::error_code ec;
        (void)net::lookup_host("empty", ec);
        ok.equal(ec, make_error_code(errc::no_such_host));
    });
    CHECK(text == "");
}
