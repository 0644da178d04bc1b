// The operations that do not wait. Cites CHAN-8, CHAN-40 to CHAN-45.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

using namespace vole::test;

TEST_CASE("CHAN-8 nil channel: never ready, never closed", "[chan][try]") {
    CHECK(everywhere([](findings& ok) {
              vole::chan<int> c;
              vole::chan<void> v;
              vole::chan<std::unique_ptr<int>> u;
              for (int i = 0; i < 3; ++i) {
                  ok(!c.try_send(1));
                  ok(c.try_recv().is_empty());
                  ok(!c.try_recv().is_closed());
                  ok(!v.try_send());
                  ok(v.try_recv().is_empty());
              }
              auto p = std::make_unique<int>(1);
              ok(!u.try_send(std::move(p)));
              ok(p != nullptr);
              vole::send_chan<int> s;
              vole::recv_chan<int> r;
              ok(!s.try_send(1));
              ok(r.try_recv().is_empty());
          }) == "");
}

TEST_CASE("CHAN-40 unbuffered: try_send wants a parked receiver", "[chan][try]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            auto c = vole::make_chan<int>();
            ok(!c.try_send(1));
            auto done = vole::make_chan<int>(1);
            vole::go([=]() mutable { done.send(c.recv().value_or(-1)); });
            ok(wait_until([&] { return c.try_send(2); }, "a receiver"));
            ok.equal(done.recv().value_or(0), 2);
            ok(!c.try_send(3));

            vole::go([=]() mutable {
                vole::select(
                    vole::on_recv(c, [&](std::optional<int> v) { done.send(v.value_or(-1)); }));
            });
            ok(wait_until([&] { return c.try_send(4); }, "a select that receives"));
            ok.equal(done.recv().value_or(0), 4);

            auto other = vole::make_chan<int>();
            vole::go([=]() mutable {
                vole::select(vole::on_recv(other), vole::on_recv(c, [&](std::optional<int> v) {
                                 done.send(v.value_or(-1));
                             }));
            });
            ok(wait_until([&] { return c.try_send(5); }, "a select over two"));
            ok.equal(done.recv().value_or(0), 5);
            ok(!other.try_send(6));
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("CHAN-40 unbuffered: try_recv wants a parked sender or the end", "[chan][try]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            auto c = vole::make_chan<int>();
            ok(c.try_recv().is_empty());
            vole::go([=]() mutable { c.send(1); });
            int got = 0;
            const auto receive = [&] {
                auto r = c.try_recv();
                if (r) got = *r;
                return r.is_value();
            };
            wait_until(receive, "a sender");
            ok.equal(got, 1);
            ok(c.try_recv().is_empty());

            vole::go([=]() mutable { vole::select(vole::on_send(c, 2)); });
            wait_until(receive, "a select that sends");
            ok.equal(got, 2);

            auto other = vole::make_chan<int>();
            vole::go([=]() mutable { vole::select(vole::on_send(c, 3), vole::on_send(other, 4)); });
            wait_until(receive, "a select over two");
            ok.equal(got, 3);
            ok(other.try_recv().is_empty());
            c.close();
            ok(c.try_recv().is_closed());
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("CHAN-40 a value tried into a parked receiver is moved, a refused one is not",
          "[chan][try]") {
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<std::unique_ptr<int>>();
        auto p = std::make_unique<int>(5);
        ok(!c.try_send(std::move(p)));
        ok(p != nullptr && *p == 5, "refused");
        std::unique_ptr<int> got;
        vole::wait_group all;
        all.go([&] { got = std::move(c.recv().value()); });
        settle();
        ok(c.try_send(std::move(p)));
        ok(p == nullptr, "taken");
        all.wait();
        ok(got != nullptr && *got == 5);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-41 buffered: try_send wants room, try_recv a value", "[chan][try]") {
    CHECK(everywhere([](findings& ok) {
              auto c = vole::make_chan<int>(2);
              ok(c.try_recv().is_empty());
              ok(c.try_send(1));
              ok(c.try_send(2));
              ok(!c.try_send(3));
              ok.equal(c.len(), 2U);
              ok.equal(*c.try_recv(), 1);
              ok(c.try_send(4));
              ok.equal(*c.try_recv(), 2);
              ok.equal(*c.try_recv(), 4);
              ok(c.try_recv().is_empty());
              const int lvalue = 5;
              ok(c.try_send(lvalue));
              ok.equal(*c.try_recv(), 5);

              auto p = std::make_unique<int>(1);
              auto q = std::make_unique<int>(2);
              auto u = vole::make_chan<std::unique_ptr<int>>(1);
              ok(u.try_send(std::move(p)));
              ok(!u.try_send(std::move(q)));
              ok(q != nullptr && *q == 2, "refused: not moved from");
          }) == "");
}

TEST_CASE("CHAN-41 a parked sender counts for try_recv on a full channel: the oldest comes first",
          "[chan][try]") {
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<int>(1);
        c.send(1);
        bool sent = false;
        vole::go([&, c]() mutable {
            c.send(2);
            sent = true;
        });
        settle();
        ok.equal(*c.try_recv(), 1);
        ok.equal(c.len(), 1U);
        settle();
        ok(sent);
        ok.equal(*c.try_recv(), 2);
        ok(c.try_recv().is_empty());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-42 two that only try never meet on an unbuffered channel", "[chan][try]") {
    for (const int procs : {1, 4}) {
        std::atomic<int> met{0};
        run_on(procs, [&] {
            auto c = vole::make_chan<int>();
            vole::wait_group both;
            const int rounds = scaled(20'000, 500);
            both.go([&] {
                for (int i = 0; i < rounds; ++i) {
                    if (c.try_send(i)) ++met;
                    if (i % 100 == 0) vole::gosched();
                }
            });
            both.go([&] {
                for (int i = 0; i < rounds; ++i) {
                    if (c.try_recv()) ++met;
                    if (i % 100 == 0) vole::gosched();
                }
            });
            both.wait();
        });
        CHECK(met == 0);
    }
}

TEST_CASE("CHAN-43 try_recv tells value, closed and empty apart", "[chan][try]") {
    auto c = vole::make_chan<int>(1);
    {
        const auto r = c.try_recv();
        CHECK(r.is_empty());
        CHECK_FALSE(r.is_closed());
        CHECK_FALSE(r.is_value());
        CHECK_FALSE(static_cast<bool>(r));
    }
    c.send(0);
    c.close();
    {
        const auto r = c.try_recv();
        CHECK(r.is_value());  // closed is reported only when drained
        CHECK_FALSE(r.is_closed());
        CHECK_FALSE(r.is_empty());
        CHECK(static_cast<bool>(r));
        CHECK(*r == 0);
    }
    {
        const auto r = c.try_recv();
        CHECK(r.is_closed());
        CHECK_FALSE(r.is_empty());
        CHECK_FALSE(r.is_value());
        CHECK_FALSE(static_cast<bool>(r));
    }
    auto v = vole::make_chan<void>(1);
    CHECK(v.try_recv().is_empty());
    v.send();
    CHECK(v.try_recv().is_value());
    v.send();
    v.close();
    CHECK(static_cast<bool>(v.try_recv()));
    CHECK(v.try_recv().is_closed());

    auto u = vole::make_chan<std::unique_ptr<int>>(1);
    u.send(std::make_unique<int>(3));
    const std::unique_ptr<int> p = *u.try_recv();
    CHECK(*p == 3);
}

TEST_CASE("CHAN-44 not ready is said only if there was such a moment", "[chan][try]") {
    // The channel always holds a value until it is closed and drained by its only receiver, or is full
    // until it is closed: a try that said "empty" or "full" would be wrong at every moment.
    for (const int procs : {2, 4}) {
        const int rounds = scaled(2000, 100);
        int empties = 0;
        int fulls = 0;
        run_on(procs, [&] {
            for (int i = 0; i < rounds; ++i) {
                auto c = vole::make_chan<int>(2);
                c.send(1);
                auto verdict = vole::make_chan<bool>(1);
                vole::go([=]() mutable {
                    auto r = c.try_recv();
                    verdict.send(r.is_empty());
                });
                c.try_send(2);
                c.close();
                if (verdict.recv().value()) ++empties;

                auto f = vole::make_chan<int>(1);
                vole::go([=]() mutable {
                    try {
                        verdict.send(!f.try_send(1));
                    } catch (const vole::runtime_error&) {
                        verdict.send(false);
                    }
                });
                f.close();
                if (verdict.recv().value()) ++fulls;
            }
        });
        CHECK(empties == 0);
        CHECK(fulls == 0);
    }
}

TEST_CASE("CHAN-45 a try that fails leaves nothing behind", "[chan][try]") {
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        for (int i = 0; i < 1000; ++i) {
            c.try_send(i);
            c.try_recv();
        }
        // Who comes now meets a partner, not the rest of a try.
        auto done = vole::make_chan<int>(1);
        vole::go([=]() mutable { done.send(c.recv().value_or(-1)); });
        settle();
        ok.equal(done.len(), 0U);
        c.send(7);
        ok.equal(done.recv().value_or(0), 7);
        ok(!c.try_send(8));
        ok(c.try_recv().is_empty());
    });
    CHECK(ok.text() == "");
}
