// Who is served when: queues are first in, first out; handing over does not switch.
// On one P the order of events is exact; settle() lets everybody run until he has parked.
// Cites CHAN-15, CHAN-16, CHAN-18, CHAN-20, CHAN-21, CHAN-26, CHAN-60, CHAN-65.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"

#include <numeric>
#include <optional>
#include <string>
#include <vector>

using namespace vole::test;

namespace {

std::vector<int> zero_to(int n) {
    std::vector<int> v(static_cast<std::size_t>(n));
    std::iota(v.begin(), v.end(), 0);
    return v;
}

}  // namespace

TEST_CASE("CHAN-15 a send to a parked receiver goes past the buffer and does not switch",
          "[chan][order]") {
    findings ok;
    run_on(1, [&] {
        for (const std::size_t cap : {0U, 1U, 3U}) {
            auto c = vole::make_chan<int>(cap);
            std::optional<int> got;
            vole::go([&, c]() mutable { got = c.recv(); });
            settle();
            c.send(5);
            ok(got == std::nullopt, "the receiver has not run yet");
            ok.equal(c.len(), 0U);
            vole::gosched();
            ok(got == 5);
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-26 a woken partner runs when the waker yields, not before", "[chan][order]") {
    std::string log;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        auto done = vole::make_chan<void>();
        vole::go([&, c]() mutable {
            for (const int v : c) log += "r" + std::to_string(v) + " ";
            done.send();
        });
        settle();
        c.send(1);
        log += "s1 ";
        vole::gosched();
        c.send(2);
        log += "s2 ";
        c.close();
        log += "closed ";
        done.recv();
    });
    CHECK(log == "s1 r1 s2 closed r2 ");
}

TEST_CASE("CHAN-16 a full channel gives its oldest value, and the parked sender's moves in",
          "[chan][order]") {
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<int>(3);
        for (int i = 0; i < 3; ++i) c.send(i);
        std::vector<int> sent;
        for (int i = 3; i < 6; ++i) {
            vole::go([&, c, i]() mutable {
                c.send(i);
                sent.push_back(i);
            });
            settle();
        }
        ok(sent.empty());
        for (int i = 0; i < 6; ++i) {
            ok.equal(c.recv().value_or(-1), i);
            settle();
            ok.equal(static_cast<int>(sent.size()), std::min(i + 1, 3));
            ok.equal(c.len(), static_cast<std::size_t>(std::min(3, 5 - i)));
        }
        ok(sent == std::vector<int>{3, 4, 5}, "woken in order");
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-16 the ring wraps around with a parked sender", "[chan][order]") {
    // The sender's value lands in the slot just emptied, wherever in the ring that is.
    findings ok;
    run_on(1, [&] {
        for (int start = 0; start < 4; ++start) {
            auto c = vole::make_chan<int>(4);
            for (int i = 0; i < start; ++i) {
                c.send(-1);
                c.recv();
            }
            for (int i = 0; i < 4; ++i) c.send(i);
            vole::go([=]() mutable {
                for (int i = 4; i < 9; ++i) c.send(i);
            });
            settle();
            for (int i = 0; i < 9; ++i) ok.equal(c.recv().value_or(-1), i);
            settle();
            ok.equal(c.len(), 0U);
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-18 parked receivers are served in order of arrival", "[chan][order]") {
    constexpr int count = 200;
    std::vector<int> by_value(count, -1);
    std::vector<int> order;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        vole::wait_group all;
        for (int i = 0; i < count; ++i) {
            all.go([&, i] {
                by_value[static_cast<std::size_t>(c.recv().value())] = i;
                order.push_back(i);
            });
            settle(3);
        }
        for (int i = 0; i < count; ++i) {
            c.send(i);
            settle(3);
        }
        all.wait();
    });
    CHECK(by_value == zero_to(count));
    CHECK(order == zero_to(count));
}

TEST_CASE("CHAN-18 chained receivers get the values in order of their parking", "[chan][order]") {
    // Each goroutine receives, and starts its successor just before: no help from settle(), any number
    // of Ps. The order of parking is the order of the chain, as each waits for its predecessor's word.
    for (const int procs : {1, 4}) {
        const int count = scaled(1000, 50);
        std::vector<int> got(static_cast<std::size_t>(count), -1);
        run_on(procs, [&] {
            auto c = vole::make_chan<int>();
            vole::wait_group all;
            auto in = vole::make_chan<void>();
            const auto first = in;
            for (int i = 0; i < count; ++i) {
                auto out = vole::make_chan<void>();
                all.go([&, in, out, i]() mutable {
                    in.recv();
                    got[static_cast<std::size_t>(i)] = c.recv().value();
                    if (i + 1 < count) out.send();
                });
                in = out;
            }
            auto start = first;
            start.send();
            for (int i = 0; i < count; ++i) c.send(i);
            all.wait();
        });
        CHECK(got == zero_to(count));
    }
}

TEST_CASE("CHAN-18 parked senders are served in order of arrival", "[chan][order]") {
    constexpr int count = 200;
    for (const std::size_t cap : {0U, 5U}) {
        std::vector<int> got;
        run_on(1, [&] {
            auto c = vole::make_chan<int>(cap);
            vole::wait_group all;
            for (int i = 0; i < count; ++i) {
                all.go([&, i] { c.send(i); });
                settle(3);
            }
            for (int i = 0; i < count; ++i) got.push_back(c.recv().value());
            all.wait();
        });
        CHECK(got == zero_to(count));
    }
}

TEST_CASE("CHAN-65 a select stands in the queue at its place", "[chan][order][select]") {
    std::string log;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        auto other = vole::make_chan<int>();
        vole::wait_group all;
        const auto note = [&](const char* who, int v) { log += who + std::to_string(v) + " "; };
        all.go([&] { note("a", c.recv().value()); });
        settle();
        all.go([&] {
            vole::select(vole::on_recv(other),
                         vole::on_recv(c, [&](std::optional<int> v) { note("select", *v); }));
        });
        settle();
        all.go([&] { note("b", c.recv().value()); });
        settle();
        for (int i = 0; i < 3; ++i) {
            c.send(i);
            settle();
        }
        all.wait();
    });
    CHECK(log == "a0 select1 b2 ");
}

TEST_CASE("CHAN-18 a select that another case won is passed over, the rest keep their order",
          "[chan][order][select]") {
    std::string log;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        auto other = vole::make_chan<int>();
        vole::wait_group all;
        const auto note = [&](const char* who, int v) { log += who + std::to_string(v) + " "; };
        all.go([&] { note("a", c.recv().value()); });
        settle();
        all.go([&] {
            vole::select(vole::on_recv(c, [&](std::optional<int> v) { note("wrong", *v); }),
                         vole::on_recv(other, [&](std::optional<int> v) { note("select", *v); }));
        });
        settle();
        all.go([&] { note("b", c.recv().value()); });
        settle();
        // CHAN-60: the select is won, but has not run yet to leave c's queue: the sends must pass it.
        other.send(9);
        c.send(0);
        c.send(1);
        settle();
        all.wait();
    });
    CHECK(log.find("wrong") == std::string::npos);
    CHECK(log.find("a0") != std::string::npos);
    CHECK(log.find("b1") != std::string::npos);
    CHECK(log.find("select9") != std::string::npos);
}

TEST_CASE("CHAN-60 senders pass over a select that was won, on the sending side too",
          "[chan][order][select]") {
    std::vector<int> got;
    int chosen = -1;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        auto other = vole::make_chan<int>();
        vole::wait_group all;
        all.go([&] { c.send(1); });
        settle();
        all.go([&] {
            chosen = static_cast<int>(vole::select(vole::on_send(c, 2), vole::on_send(other, 3)));
        });
        settle();
        all.go([&] { c.send(4); });
        settle();
        got.push_back(other.recv().value());
        got.push_back(c.recv().value());
        got.push_back(c.recv().value());
        all.wait();
        if (c.try_recv()) got.push_back(-1);
    });
    CHECK(got == std::vector<int>{3, 1, 4});
    CHECK(chosen == 1);
}

TEST_CASE("CHAN-20 nobody is woken without a reason", "[chan][order]") {
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        auto full = vole::make_chan<int>(1);
        full.send(0);
        int woken = 0;
        vole::wait_group all;
        for (int i = 0; i < 5; ++i) {
            all.go([&] {
                c.recv();
                ++woken;
            });
            all.go([&] {
                full.send(1);
                ++woken;
            });
        }
        settle(500);
        ok.equal(woken, 0);
        c.send(1);
        settle(100);
        ok.equal(woken, 1);
        full.recv();
        settle(100);
        ok.equal(woken, 2);
        c.close();
        for (int i = 0; i < 5; ++i) full.recv();
        all.wait();
        ok.equal(woken, 10);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-21 at rest one side waits at most", "[chan][order]") {
    // Values inside: no receiver waits, so a new one is served at once. Room inside: no sender waits.
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<int>(2);
        int received = 0;
        vole::wait_group all;
        for (int i = 0; i < 3; ++i) {
            all.go([&] {
                c.recv();
                ++received;
            });
        }
        settle();
        for (int i = 0; i < 5; ++i) {
            c.send(i);
            ok(c.len() == 0 || i >= 3, "a waiting receiver gets it");
        }
        settle();
        ok.equal(received, 3);
        ok.equal(c.len(), 2U);
        bool sent = false;
        all.go([&] {
            c.send(5);
            sent = true;
        });
        settle();
        ok(!sent);
        c.recv();
        ok.equal(c.len(), 2U);
        settle();
        ok(sent);
        c.recv();
        c.recv();
        all.wait();
    });
    CHECK(ok.text() == "");
}
