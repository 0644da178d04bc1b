// Moves that throw in the middle of an operation: the exception reaches the goroutine that runs, the channel
// and the partner are as they were. Cites CHAN-67, CHAN-68.
//
// What is decided beyond the specification: an element whose move may throw travels in a box of its own. If
// the receiver's move out of the box throws, the value goes back to the head of the channel, and the
// next receive gets it; a parked sender whose box was taken counts as having sent.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace vole::test;

namespace {

using element = throwing_move;

bool fails(auto f) {
    try {
        f();
    } catch (const move_failed&) {
        return true;
    }
    return false;
}

/// Without a throw, and with the fuse as lit or unlit afterwards as before.
std::vector<int> drain(vole::chan<element>& c) {
    const bool left = element::armed();
    element::arm(0);
    std::vector<int> values;
    for (;;) {
        auto r = c.try_recv();
        if (!r) break;
        values.push_back((*r).value);
    }
    element::arm(left ? 1 : 0);
    return values;
}

/// Arms the first, second, ... move in turn and calls f(n) until the fuse outlives f: each move that
/// happens in there has then thrown once. Gives how many there were.
template <class F>
int for_each_move(F f) {
    for (int n = 1; n < 50; ++n) {
        f(n);
        const bool unburnt = element::armed();
        element::arm(0);
        if (unburnt) return n - 1;
    }
    return -1;
}

}  // namespace

TEST_CASE("CHAN-67 a throw on the way into the buffer changes nothing", "[chan][throw]") {
    element::reset();
    const int moves = for_each_move([](int n) {
        auto c = vole::make_chan<element>(3);
        c.send(element(1));
        element two(2);
        element::arm(n);
        const bool failed = fails([&] { c.send(std::move(two)); });
        const bool burnt = !element::armed();
        CHECK(failed == burnt);
        if (failed) {
            CHECK(two.value == 2);
            CHECK(c.len() == 1);
        }
        element::arm(0);
        c.send(element(3));
        CHECK(drain(c) == (failed ? std::vector<int>{1, 3} : std::vector<int>{1, 2, 3}));
        element::arm(burnt ? 0 : 1);
    });
    CHECK(moves >= 1);
    CHECK(element::live == 0);
}

TEST_CASE("CHAN-67 a throw of try_send or a select on the way into the buffer",
          "[chan][throw][select]") {
    element::reset();
    for (const bool by_select : {false, true}) {
        const int moves = for_each_move([&](int n) {
            auto c = vole::make_chan<element>(3);
            c.send(element(1));
            element two(2);
            element::arm(n);
            const bool failed = fails([&] {
                if (by_select)
                    vole::select(vole::on_send(c, std::move(two)));
                else
                    c.try_send(std::move(two));
            });
            CHECK(failed == !element::armed());
            if (failed) CHECK(two.value == 2);
            CHECK(drain(c) == (failed ? std::vector<int>{1} : std::vector<int>{1, 2}));
        });
        CHECK(moves >= 1);
    }
    CHECK(element::live == 0);
}

TEST_CASE("CHAN-67 a throw on the way out of the buffer leaves the value at the head",
          "[chan][throw]") {
    element::reset();
    for (const int how : {0, 1, 2}) {
        const int moves = for_each_move([&](int n) {
            auto c = vole::make_chan<element>(3);
            for (int i = 1; i <= 3; ++i) c.send(element(i));
            int got = 0;
            element::arm(n);
            const bool failed = fails([&] {
                if (how == 0)
                    got = c.recv()->value;
                else if (how == 1)
                    got = (*c.try_recv()).value;
                else
                    vole::select(
                        vole::on_recv(c, [&](std::optional<element>&& v) { got = v->value; }));
            });
            CHECK(failed == !element::armed());
            if (failed) {
                CHECK(c.len() == 3);
                CHECK(drain(c) == std::vector<int>{1, 2, 3});
            } else {
                CHECK(got == 1);
                CHECK(drain(c) == std::vector<int>{2, 3});
            }
        });
        CHECK(moves >= 1);
    }
    CHECK(element::live == 0);
}

TEST_CASE("CHAN-67 a throw on the way out of a full buffer with a parked sender loses no value",
          "[chan][throw]") {
    element::reset();
    const int moves = for_each_move([](int n) {
        std::vector<int> rest;
        bool sent = false;
        bool failed = false;
        int got = 0;
        run_on(1, [&] {
            auto c = vole::make_chan<element>(2);
            c.send(element(1));
            c.send(element(2));
            vole::wait_group all;
            all.go([&] {
                c.send(element(3));
                sent = true;
            });
            settle();
            element::arm(n);
            failed = fails([&] { got = c.recv()->value; });
            const bool left = element::armed();
            rest = drain(c);
            all.wait();
            const auto more = drain(c);
            rest.insert(rest.end(), more.begin(), more.end());
            element::arm(left ? 1 : 0);
        });
        CHECK(sent);
        if (failed)
            CHECK(rest == std::vector<int>{1, 2, 3});
        else
            CHECK(rest == std::vector<int>{2, 3});
        CHECK(got == (failed ? 0 : 1));
    });
    CHECK(moves >= 1);
    CHECK(element::live == 0);
}

TEST_CASE("CHAN-68 a throw of the sender leaves the parked receiver parked", "[chan][throw]") {
    element::reset();
    const int moves = for_each_move([](int n) {
        int got = 0;
        bool woken_early = false;
        bool failed = false;
        bool kept = true;
        run_on(1, [&] {
            auto c = vole::make_chan<element>();
            bool woken = false;
            vole::wait_group all;
            all.go([&] {
                // Its own moves must not burn the fuse: what it may do when it has a value comes later.
                for (;;) {
                    try {
                        got = c.recv().value().value;
                        break;
                    } catch (const move_failed&) {
                    }  // goes back, and is received once more
                }
                woken = true;
            });
            settle();
            element v(5);
            element::arm(n);
            failed = fails([&] { c.send(std::move(v)); });
            if (failed) {
                kept = v.value == 5;
                settle();
                woken_early = woken;
                c.send(element(6));
            }
            const bool left = element::armed();
            all.wait();
            element::arm(left && element::armed() ? 1 : 0);
        });
        CHECK_FALSE(woken_early);
        CHECK(kept);
        CHECK(got == (failed ? 6 : 5));
    });
    CHECK(moves >= 1);
    CHECK(element::live == 0);
}

TEST_CASE("CHAN-68 a throw while a parked sender's value is taken: the next receive gets it",
          "[chan][throw]") {
    element::reset();
    for (const bool by_select : {false, true}) {
        const int moves = for_each_move([&](int n) {
            std::vector<int> got;
            bool failed = false;
            bool sent = false;
            run_on(1, [&] {
                auto c = vole::make_chan<element>();
                vole::wait_group all;
                all.go([&] {
                    c.send(element(1));
                    sent = true;
                });
                settle();
                all.go([&] { c.send(element(2)); });
                settle();
                element::arm(n);
                const auto receive = [&] {
                    if (by_select) {
                        vole::select(vole::on_recv(
                            c, [&](std::optional<element>&& v) { got.push_back(v->value); }));
                    } else {
                        got.push_back(c.recv()->value);
                    }
                };
                failed = fails(receive);
                const bool left = element::armed();
                element::arm(0);
                while (got.size() < 2) receive();
                all.wait();
                element::arm(left ? 1 : 0);
            });
            CHECK(got == std::vector<int>{1, 2});
            CHECK(sent);
        });
        CHECK(moves >= 1);
    }
    CHECK(element::live == 0);
}

TEST_CASE("CHAN-68 a value that came back is there for try_recv, select and after close",
          "[chan][throw]") {
    element::reset();
    findings ok;
    run_on(1, [&] {
        for (const int how : {0, 1, 2, 3}) {
            auto c = vole::make_chan<element>();
            vole::wait_group all;
            all.go([&] { c.send(element(7)); });
            settle();
            // Every move fails once, until one receive has failed.
            bool failed = false;
            for (int n = 1; !failed && n < 20; ++n) {
                element::arm(n);
                int got = 0;
                failed = fails([&] { got = c.recv()->value; });
                element::arm(0);
                if (!failed) {
                    ok.equal(got, 7);
                    all.go([&] { c.send(element(7)); });
                    settle();
                }
            }
            if (!ok(failed, "some move on the way out can fail")) continue;
            all.wait();  // the sender has sent
            int got = 0;
            switch (how) {
                case 0: got = c.recv()->value; break;
                case 1: got = (*c.try_recv()).value; break;
                case 2:
                    vole::select(vole::on_recv(c, [&](std::optional<element>&& v) {
                        if (v) got = v->value;
                    }));
                    break;
                default: c.close(); got = c.recv()->value;
            }
            ok.equal(got, 7);
            if (how < 3)
                ok(c.try_recv().is_empty());
            else
                ok(c.try_recv().is_closed());
        }
    });
    CHECK(ok.text() == "");
    CHECK(element::live == 0);
}

TEST_CASE("CHAN-68 a value that came back and was never fetched dies with the channel",
          "[chan][throw]") {
    element::reset();
    run_on(1, [&] {
        auto c = vole::make_chan<element>();
        vole::wait_group all;
        all.go([&] { c.send(element(7)); });
        settle();
        for (int n = 1; n < 20; ++n) {
            element::arm(n);
            if (fails([&] { c.recv(); })) break;
            element::arm(0);
            all.go([&] { c.send(element(7)); });
            settle();
        }
        element::arm(0);
        all.wait();
    });
    CHECK(element::live == 0);
}

TEST_CASE("CHAN-68 a value comes back while another receiver has parked: it is his",
          "[chan][throw]") {
    // The failing move itself lets the others run, so that somebody parks between taking and giving back.
    struct fails_late {
        int value;
        std::function<void()>* hook;
        fails_late(int v, std::function<void()>* h) : value(v), hook(h) {}
        fails_late(fails_late&& o) noexcept(false) : value(o.value), hook(o.hook) {
            if (hook != nullptr && *hook) {
                const auto f = std::exchange(*hook, nullptr);
                f();
                throw move_failed();
            }
        }
        fails_late(const fails_late&) = delete;
        fails_late& operator=(const fails_late&) = delete;
        fails_late& operator=(fails_late&&) = delete;
        ~fails_late() = default;
    };
    for (const bool by_select : {false, true}) {
        for (const bool buffered : {false, true}) {
            bool failed = false;
            int got = 0;
            run_on(1, [&] {
                auto c = vole::make_chan<fails_late>(buffered ? 1 : 0);
                auto idle = vole::make_chan<int>();
                std::function<void()> hook;
                vole::wait_group all;
                all.go([&] { c.send(fails_late(5, &hook)); });
                settle();
                hook = [&] {
                    all.go([&] {
                        if (by_select) {
                            vole::select(vole::on_recv(idle),
                                         vole::on_recv(c, [&](std::optional<fails_late>&& v) {
                                             got = v->value;
                                         }));
                        } else {
                            got = c.recv()->value;
                        }
                    });
                    settle();
                };
                failed = fails([&] { c.recv(); });
                // Hangs if the value lies in the channel while its receiver sleeps.
                all.wait();
                c.close();
                if (c.recv()) got = -1;
            });
            CHECK(failed);
            CHECK(got == 5);
        }
    }
}

TEST_CASE("CHAN-67 copies that throw leave channel and argument alone", "[chan][throw]") {
    throwing_copy::reset();
    auto c = vole::make_chan<throwing_copy>(2);
    const throwing_copy one(1);
    c.send(one);
    throwing_copy::arm(1);
    CHECK_THROWS_AS(c.send(one), move_failed);
    CHECK(c.len() == 1);
    throwing_copy::arm(1);
    CHECK_THROWS_AS(c.try_send(one), move_failed);
    CHECK(c.len() == 1);
    throwing_copy::arm(0);
    c.send(throwing_copy(2));
    CHECK(c.recv()->value == 1);
    CHECK(c.recv()->value == 2);
}

TEST_CASE("CHAN-67 elements whose moves throw now and then, many at once", "[chan][throw]") {
    // Every value arrives exactly once, whoever's move failed: a sender tries again with the value it
    // still has, a receiver receives again.
    for (const int procs : {1, 2, 4}) {
        for (const std::size_t cap : {0U, 2U}) {
            element::reset();
            const int each = scaled(300, 30);
            std::vector<int> seen(static_cast<std::size_t>(3 * each));
            std::atomic<bool> stop{false};
            std::atomic<int> failures{0};
            run_on(procs, [&] {
                auto c = vole::make_chan<element>(cap);
                vole::wait_group senders;
                vole::wait_group receivers;
                vole::wait_group saboteur;
                std::mutex lock;
                saboteur.go([&] {
                    while (!stop) {
                        element::arm(5);
                        vole::gosched();
                    }
                });
                for (int s = 0; s < 3; ++s) {
                    senders.go([&, s] {
                        for (int i = 0; i < each; ++i) {
                            element v(s * each + i);
                            while (fails([&] { c.send(std::move(v)); })) ++failures;
                        }
                    });
                }
                for (int r = 0; r < 3; ++r) {
                    receivers.go([&] {
                        for (bool open = true; open;) {
                            const bool failed = fails([&] {
                                auto v = c.recv();
                                open = v.has_value();
                                if (!v) return;
                                std::lock_guard hold(lock);
                                ++seen[static_cast<std::size_t>(v->value)];
                            });
                            if (failed) ++failures;
                        }
                    });
                }
                senders.wait();
                c.close();
                receivers.wait();
                stop = true;
                saboteur.wait();
                element::arm(0);
            });
            CHECK(seen == std::vector<int>(seen.size(), 1));
            CHECK(element::live == 0);
        }
    }
}
