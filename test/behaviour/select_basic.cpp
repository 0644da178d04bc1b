// select when it is clear which case fires, and what is left behind. Cites CHAN-46, CHAN-47, CHAN-50 to
// CHAN-54, CHAN-56, CHAN-57, CHAN-62.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace vole::test;
using vole::on_recv;
using vole::on_send;
using vole::otherwise;

TEST_CASE("CHAN-46 only otherwise: it is taken at once", "[select]") {
    CHECK(everywhere([](findings& ok) {
              int ran = 0;
              ok.equal(vole::select(otherwise([&] { ++ran; })), 0U);
              ok.equal(vole::select(otherwise()), 0U);
              ok.equal(ran, 1);
          }) == "");
}

TEST_CASE("CHAN-47 nil channels are never chosen", "[select]") {
    CHECK(everywhere([](findings& ok) {
              const vole::chan<int> nil;
              const vole::chan<void> nothing_here;
              bool other = false;
              const auto wrong = [&] { ok(false, "a nil case"); };
              ok.equal(vole::select(on_recv(nil, wrong), on_send(nil, 1, wrong),
                                    on_recv(nothing_here, wrong), on_send(nothing_here, wrong),
                                    otherwise([&] { other = true; })),
                       4U);
              ok(other);
              auto c = vole::make_chan<int>(1);
              for (int i = 0; i < 50; ++i) {
                  ok.equal(vole::select(on_recv(nil, wrong), on_send(c, i), on_send(nil, 1, wrong)),
                           1U);
                  ok.equal(vole::select(on_send(nil, 1, wrong), on_recv(nil, wrong), on_recv(c)),
                           2U);
              }
          }) == "");
}

TEST_CASE("CHAN-57 one case is like the plain operation", "[select]") {
    CHECK(everywhere([](findings& ok) {
              auto c = vole::make_chan<int>();
              vole::go([=]() mutable {
                  for (int i = 0; i < 10; ++i) vole::select(on_send(c, i));
                  c.close();
              });
              for (int i = 0; i < 10; ++i) {
                  vole::select(on_recv(c, [&](std::optional<int> v) { ok(v == i); }));
              }
              vole::select(on_recv(c, [&](std::optional<int> v) { ok(v == std::nullopt); }));
          }) == "");
}

TEST_CASE("CHAN-57 one case and otherwise are like a try", "[select]") {
    CHECK(everywhere([](findings& ok) {
              auto c = vole::make_chan<int>(1);
              ok.equal(vole::select(on_recv(c), otherwise()), 1U);
              ok.equal(vole::select(otherwise(), on_send(c, 1)), 1U);
              ok.equal(vole::select(on_send(c, 2), otherwise()), 1U);
              int got = 0;
              ok.equal(vole::select(on_recv(c, [&](std::optional<int> v) { got = v.value_or(-1); }),
                                    otherwise()),
                       0U);
              ok.equal(got, 1);
              c.close();
              ok.equal(vole::select(on_recv(c, [&](std::optional<int> v) { got = v.value_or(-1); }),
                                    otherwise()),
                       0U);
              ok.equal(got, -1);
          }) == "");
}

TEST_CASE("CHAN-50 callbacks, with and without argument, with and without element", "[select]") {
    CHECK(everywhere([](findings& ok) {
              auto i = vole::make_chan<int>(1);
              auto v = vole::make_chan<void>(1);
              std::string log;
              vole::select(on_send(i, 3, [&] { log += "sent "; }));
              vole::select(
                  on_recv(i, [&](std::optional<int> x) { log += std::to_string(*x) + " "; }));
              vole::select(on_send(i, 3));
              vole::select(on_recv(i, [&] { log += "some "; }));
              vole::select(on_send(v, [&] { log += "void "; }));
              vole::select(on_recv(v, [&](bool open) { log += open ? "open " : "shut "; }));
              vole::select(on_send(v));
              vole::select(on_recv(v, [&] { log += "signal "; }));
              v.close();
              i.close();
              vole::select(on_recv(v, [&](bool open) { log += open ? "open " : "shut "; }));
              vole::select(on_recv(i, [&](std::optional<int> x) { log += x ? "value" : "end"; }));
              ok.equal(log, std::string("sent 3 some void open signal shut end"));

              // Through the views.
              auto c = vole::make_chan<int>(1);
              const vole::send_chan<int> out = c;
              const vole::recv_chan<int> in = c;
              ok.equal(vole::select(on_send(out, 4)), 0U);
              ok.equal(vole::select(on_recv(in)), 0U);
          }) == "");
}

TEST_CASE("CHAN-50 a blocked select fires exactly one case, each in turn", "[select]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            std::array<vole::chan<int>, 4> c;
            for (auto& x : c) x = vole::make_chan<int>();
            auto results = vole::make_chan<std::pair<std::size_t, int>>();
            vole::go([=]() mutable {
                for (int round = 0; round < 40; ++round) {
                    int got = -1;
                    const auto take = [&](std::optional<int> v) { got = v.value_or(-2); };
                    const std::size_t i =
                        vole::select(on_recv(c[0], take), on_recv(c[1], take),
                                     on_send(c[2], round, [&] { got = -3; }), on_recv(c[3], take));
                    results.send({i, got});
                }
                results.close();
            });
            for (int round = 0; round < 40; ++round) {
                const auto which = static_cast<std::size_t>(round % 4);
                if (which == 2)
                    ok.equal(c[2].recv().value(), round);
                else
                    c[which].send(round);
                const auto r = results.recv().value();
                ok.equal(r.first, which);
                ok.equal(r.second, which == 2 ? -3 : round);
            }
            ok(results.recv() == std::nullopt);
            for (auto& x : c) {
                ok(!x.try_send(1));
                ok(x.try_recv().is_empty());
            }
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("CHAN-51 selects on a quiet channel leave nothing there", "[select]") {
    findings ok;
    run_on(1, [&] {
        auto quiet = vole::make_chan<int>();
        auto busy = vole::make_chan<int>();
        const int rounds = scaled(20'000, 200);
        vole::go([=]() mutable {
            for (int i = 0; i < rounds; ++i) busy.send(i);
        });
        for (int i = 0; i < rounds; ++i) {
            vole::select(on_recv(quiet, [&] { ok(false); }), on_send(quiet, 1, [&] { ok(false); }),
                         on_recv(busy));
        }
        ok(!quiet.try_send(1));
        ok(quiet.try_recv().is_empty());
        // And it works as a fresh one: order of two parked receivers.
        vole::wait_group all;
        for (int r = 0; r < 2; ++r) {
            all.go([&, r] {
                // The first to park gets the first value, whoever runs first afterwards.
                ok.equal(*quiet.recv(), r + 1);
            });
            settle();
        }
        quiet.send(1);
        quiet.send(2);
        all.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-51 a select that lost does not swallow values or disorder others", "[select]") {
    // Both channels get waiters of the same selects, several deep, and are then served one by one.
    findings ok;
    run_on(1, [&] {
        auto a = vole::make_chan<int>();
        auto b = vole::make_chan<int>();
        // By the order in which they parked, not in which they run afterwards.
        std::vector<int> got(6);
        vole::wait_group all;
        for (int i = 0; i < 6; ++i) {
            all.go([&, i] {
                const auto keep = [&, i](std::optional<int> v) {
                    got[static_cast<std::size_t>(i)] = *v;
                };
                vole::select(on_recv(a, keep), on_recv(b, keep));
            });
            settle();
        }
        for (int i = 0; i < 3; ++i) {
            a.send(i);
            b.send(10 + i);
        }
        all.wait();
        ok(got == std::vector<int>{0, 10, 1, 11, 2, 12});
        ok(!a.try_send(9));
        ok(!b.try_send(9));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-52 a select that sends and receives on one channel pairs with another, not itself",
          "[select]") {
    for (const int procs : {1, 2, 4}) {
        for (const std::size_t cap : {0U, 10U}) {
            findings ok;
            run_on(procs, [&] {
                auto c = vole::make_chan<int>(cap);
                vole::wait_group both;
                const int rounds = scaled(1000, 50);
                for (int me = 0; me < 2; ++me) {
                    both.go([&, me] {
                        for (int i = 0; i < rounds; ++i) {
                            const auto received = [&](std::optional<int> v) {
                                if (cap == 0) ok(*v != me, "received from itself");
                            };
                            if (i % 2 == 0)
                                vole::select(on_send(c, me), on_recv(c, received));
                            else
                                vole::select(on_recv(c, received), on_send(c, me));
                        }
                    });
                }
                // Unbuffered, each operation of one pairs with one of the other: nobody is left over.
                both.wait();
            });
            CHECK(ok.text() == "");
        }
    }
}

TEST_CASE("CHAN-52 on a buffered channel a select may receive what it sent", "[select]") {
    auto c = vole::make_chan<int>(1);
    int sent = 0;
    int received = 0;
    for (int i = 0; i < 100; ++i) {
        vole::select(on_send(c, 5, [&] { ++sent; }), on_recv(c, [&](std::optional<int> v) {
                         CHECK(v == 5);
                         ++received;
                     }));
    }
    CHECK(sent == 50);
    CHECK(received == 50);
}

TEST_CASE("CHAN-53 one channel in several cases", "[select]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            auto c = vole::make_chan<int>();
            auto d = vole::make_chan<int>();
            for (int i = 0; i < scaled(500, 20); ++i) {
                auto done = vole::make_chan<int>();
                vole::go([=]() mutable {
                    int got = -1;
                    const auto take = [&](std::optional<int> v) { got = *v; };
                    vole::select(on_recv(c, take), on_recv(d, take), on_recv(c, take));
                    done.send(got);
                });
                c.send(i);
                ok.equal(done.recv().value(), i);
                ok(!c.try_send(1), "nobody is left");
                // Used again, with other waiters.
                vole::go([=]() mutable { done.send(c.recv().value()); });
                c.send(i + 1);
                ok.equal(done.recv().value(), i + 1);
            }
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("CHAN-54 operands are evaluated once, in order, also those of nil and unchosen cases",
          "[select]") {
    // Braces fix the order of evaluation; a function call alone leaves it to the compiler, so what a select
    // promises is that everything is evaluated by the caller, once.
    std::vector<std::string> log;
    auto c = vole::make_chan<int>(1);
    const vole::chan<int> nil;
    const auto channel = [&](const char* name, const vole::chan<int>& ch) {
        log.emplace_back(name);
        return ch;
    };
    const auto value = [&](const char* name, int v) {
        log.emplace_back(name);
        return v;
    };
    vole::select(on_send(channel("c", c), value("v", 1)),
                 on_send(channel("nil", nil), value("w", 2)), on_recv(channel("nil2", nil)),
                 otherwise());
    std::sort(log.begin(), log.end());
    CHECK(log == std::vector<std::string>{"c", "nil", "nil2", "v", "w"});
    CHECK(c.recv() == 1);
}

TEST_CASE("CHAN-54 a value whose case is not taken stays with the caller", "[select]") {
    CHECK(everywhere([](findings& ok) {
              auto ready = vole::make_chan<std::unique_ptr<int>>(1);
              auto full = vole::make_chan<std::unique_ptr<int>>();
              const vole::chan<std::unique_ptr<int>> nil;
              auto a = std::make_unique<int>(1);
              auto b = std::make_unique<int>(2);
              auto n = std::make_unique<int>(3);
              vole::select(on_send(full, std::move(a)), on_send(ready, std::move(b)),
                           on_send(nil, std::move(n)));
              ok(a != nullptr && *a == 1);
              ok(b == nullptr);
              ok(n != nullptr && *n == 3);

              b = std::make_unique<int>(4);
              vole::select(on_send(full, std::move(a)), on_send(ready, std::move(b)), otherwise());
              ok(a != nullptr && *a == 1);
              ok(b != nullptr && *b == 4);

              // Nor is a copy made of an lvalue into the wrong hands.
              auto strings = vole::make_chan<std::string>(1);
              const std::string text(100, 'x');
              vole::select(on_send(strings, text));
              ok(strings.recv() == text);
              ok.equal(text.size(), 100U);
          }) == "");

    // After having waited.
    bool kept = false;
    run_on(1, [&] {
        auto c = vole::make_chan<std::unique_ptr<int>>();
        auto other = vole::make_chan<int>();
        vole::wait_group all;
        all.go([&] {
            auto p = std::make_unique<int>(7);
            vole::select(on_send(c, std::move(p)), on_recv(other));
            kept = p != nullptr && *p == 7;
        });
        settle();
        other.send(1);
        all.wait();
    });
    CHECK(kept);

    tracked::reset();
    {
        auto c = vole::make_chan<tracked>();
        move_only::reset();
        auto m = vole::make_chan<move_only>();
        tracked t(3);
        move_only o(4);
        vole::select(on_send(c, std::move(t)), on_send(m, std::move(o)), otherwise());
        CHECK(t.value == 3);  // NOLINT: promised
        CHECK(o.value == 4);  // NOLINT: promised, although it cannot be assigned to
    }
    CHECK(tracked::live == 0);
    CHECK(move_only::live == 0);
}

TEST_CASE("CHAN-56 a closed channel is always ready", "[select]") {
    CHECK(everywhere([](findings& ok) {
              auto closed = vole::make_chan<int>();
              closed.close();
              auto idle = vole::make_chan<int>();
              for (int i = 0; i < 20; ++i) {
                  bool end = false;
                  ok.equal(vole::select(on_recv(idle),
                                        on_recv(closed, [&](std::optional<int> v) { end = !v; })),
                           1U);
                  ok(end);
                  end = false;
                  vole::select(on_recv(closed, [&](std::optional<int> v) { end = !v; }),
                               otherwise());
                  ok(end, "before otherwise");
              }
              ok.throws<vole::runtime_error>("send on closed channel", [&] {
                  vole::select(on_recv(idle), on_send(closed, 1));
              });
              // Beside another ready case either may be taken.
              auto full = vole::make_chan<int>(200);
              int threw = 0;
              int received = 0;
              for (int i = 0; i < 200; ++i) full.send(i);
              for (int i = 0; i < 200; ++i) {
                  try {
                      vole::select(on_recv(full, [&] { ++received; }), on_send(closed, 1));
                  } catch (const vole::runtime_error&) {
                      ++threw;
                  }
              }
              ok.equal(threw + received, 200);
              ok(threw > 20 && received > 20, "both get their turns");
          }) == "");
}

TEST_CASE("CHAN-62 callbacks run without locks and may use the same channels", "[select]") {
    CHECK(everywhere([](findings& ok) {
              auto a = vole::make_chan<int>(2);
              auto b = vole::make_chan<int>(2);
              a.send(1);
              int inner = 0;
              vole::select(on_recv(a,
                                   [&](std::optional<int> v) {
                                       a.send(*v + 1);
                                       vole::select(on_recv(b),
                                                    on_recv(a, [&](std::optional<int> w) {
                                                        inner = *w;
                                                        b.send(5);
                                                        a.close();
                                                    }));
                                   }),
                           on_recv(b));
              ok.equal(inner, 2);
              ok.equal(b.recv().value_or(0), 5);
              ok(a.recv() == std::nullopt);
          }) == "");
}

TEST_CASE("CHAN-62 leaving a callback leaves the select only", "[select]") {
    auto c = vole::make_chan<int>(5);
    int rounds = 0;
    for (; rounds < 5; ++rounds) {
        vole::select(on_send(c, rounds, [] { return; }));
    }
    CHECK(rounds == 5);
    CHECK(c.len() == 5);
}
