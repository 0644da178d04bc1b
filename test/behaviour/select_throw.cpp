// Exceptions in and around select. Cites CHAN-31, CHAN-54, CHAN-62, CHAN-67, CHAN-68, CHAN-72.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace vole::test;
using vole::on_recv;
using vole::on_send;
using vole::otherwise;

TEST_CASE("CHAN-62 what a callback throws leaves select; the operation has happened",
          "[select][throw]") {
    CHECK(everywhere([](findings& ok) {
              auto c = vole::make_chan<int>(2);
              const auto fail = [] { throw std::logic_error("callback"); };
              ok.throws<std::logic_error>("callback", [&] { vole::select(on_send(c, 1, fail)); });
              ok.equal(c.len(), 1U);
              int got = 0;
              ok.throws<std::logic_error>("callback", [&] {
                  vole::select(on_recv(c, [&](std::optional<int> v) {
                      got = *v;
                      throw std::logic_error("callback");
                  }));
              });
              ok.equal(got, 1);
              ok.equal(c.len(), 0U);
              ok.throws<std::logic_error>("callback",
                                          [&] { vole::select(on_recv(c), otherwise(fail)); });

              vole::selector s;
              s.recv(c, [&](std::optional<int>) { throw std::logic_error("callback"); });
              c.send(2);
              ok.throws<std::logic_error>("callback", [&] { s.select(); });
              c.send(3);
              ok.throws<std::logic_error>("callback", [&] { s.select(); });
              ok.equal(c.len(), 0U);
          }) == "");
}

TEST_CASE("CHAN-62 after a callback threw no waiter is left", "[select][throw]") {
    findings ok;
    run_on(1, [&] {
        auto a = vole::make_chan<int>();
        auto b = vole::make_chan<int>();
        vole::wait_group all;
        bool caught = false;
        all.go([&] {
            try {
                vole::select(on_recv(a, [] { throw 1; }), on_recv(b), on_send(b, 5));
            } catch (int) {
                caught = true;
            }
        });
        settle();
        a.send(1);
        all.wait();
        ok(caught);
        ok(!a.try_send(1));
        ok(!b.try_send(1));
        ok(b.try_recv().is_empty());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-31 a send case that throws leaves no waiter of its other cases",
          "[select][throw]") {
    findings ok;
    run_on(1, [&] {
        auto a = vole::make_chan<int>();
        auto b = vole::make_chan<std::string>();
        vole::wait_group all;
        {
            // Only one: two of them would pair with each other on a.
            all.go([&] {
                ok.throws<vole::runtime_error>("send on closed channel", [&] {
                    vole::selector s;
                    s.recv(a);
                    s.send(b, std::string(50, 'x'));
                    s.send(a, 1);
                    s.select();
                });
            });
        }
        settle();
        b.close();
        all.wait();
        ok(!a.try_send(1));
        ok(a.try_recv().is_empty());
        ok(b.recv() == std::nullopt);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-67 a move that throws in a send case, on its way to the channel",
          "[select][throw]") {
    throwing_move::reset();
    for (int n = 1; n < 10; ++n) {
        auto a = vole::make_chan<throwing_move>(2);
        auto b = vole::make_chan<throwing_move>(2);
        throwing_move x(1);
        throwing_move y(2);
        throwing_move::arm(n);
        bool failed = false;
        try {
            vole::select(on_send(a, std::move(x)), on_send(b, std::move(y)));
        } catch (const move_failed&) {
            failed = true;
        }
        throwing_move::arm(0);
        CHECK(a.len() + b.len() == (failed ? 0 : 1));
        if (a.len() == 1) CHECK(a.recv()->value == 1);
        if (b.len() == 1) CHECK(b.recv()->value == 2);
        if (!failed) break;
    }
    CHECK(throwing_move::live == 0);
}

TEST_CASE("CHAN-54 a value whose move may throw, in a case that is not taken", "[select][throw]") {
    // To bring it back would need a move that may fail with nobody to tell: the argument may be left moved
    // from. What is promised: nothing is thrown, sent or leaked.
    throwing_move::reset();
    {
        auto busy = vole::make_chan<throwing_move>();
        auto ready = vole::make_chan<int>(1);
        throwing_move x(5);
        ready.send(1);
        CHECK(vole::select(on_send(busy, std::move(x)), on_recv(ready)) == 1);
        CHECK(vole::select(on_send(busy, throwing_move(6)), otherwise()) == 1);
        CHECK(busy.try_recv().is_empty());
        // try_send can tell before it moves anything.
        throwing_move y(7);
        CHECK_FALSE(busy.try_send(std::move(y)));
        CHECK(y.value == 7);  // NOLINT: promised
    }
    CHECK(throwing_move::live == 0);
}

TEST_CASE("CHAN-72 select in catch blocks and in destructors while unwinding",
          "[select][throw][exceptions]") {
    for (const int procs : {1, 4}) {
        findings ok;
        run_on(procs, [&] {
            struct selects {
                vole::chan<int>& c;
                vole::chan<int>& idle;
                int& got;
                ~selects() {
                    vole::select(on_recv(idle),
                                 on_recv(c, [&](std::optional<int> v) { got = v.value_or(-1); }));
                }
            };
            vole::wait_group all;
            for (int g = 0; g < 4; ++g) {
                all.go([&ok, g] {
                    auto c = vole::make_chan<int>();
                    auto idle = vole::make_chan<int>();
                    const int rounds = scaled(100, 10);
                    vole::go([=]() mutable {
                        for (int i = 0; i < 2 * rounds; ++i) {
                            vole::gosched();
                            c.send(i);
                        }
                    });
                    for (int i = 0; i < rounds; ++i) {
                        int first = -1;
                        int second = -1;
                        try {
                            const selects s{c, idle, first};
                            throw std::runtime_error(std::to_string(g));
                        } catch (const std::runtime_error& e) {
                            vole::select(on_recv(idle), on_recv(c, [&](std::optional<int> v) {
                                             second = v.value_or(-1);
                                         }));
                            ok.equal(std::string(e.what()), std::to_string(g));
                        }
                        ok.equal(first, 2 * i);
                        ok.equal(second, 2 * i + 1);
                        ok(std::uncaught_exceptions() == 0);
                    }
                });
            }
            all.wait();
        });
        CHECK(ok.text() == "");
    }
}
