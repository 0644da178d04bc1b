// Closing: what is left comes out first, then the end is seen by everybody and for ever; sending is over.
// Cites CHAN-9, CHAN-24, CHAN-27 to CHAN-35, CHAN-37, CHAN-56.
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
#include <vector>

using namespace vole::test;

TEST_CASE("CHAN-9 close of a nil channel", "[chan][close]") {
    CHECK(everywhere([](findings& ok) {
              vole::chan<int> c;
              ok.throws<vole::runtime_error>("close of nil channel", [&] { c.close(); });
              vole::send_chan<int> s;
              ok.throws<vole::runtime_error>("close of nil channel", [&] { s.close(); });
              vole::chan<void> v;
              ok.throws<vole::runtime_error>("close of nil channel", [&] { v.close(); });
              ok.equal(c.len(), 0U);
              ok(c.try_recv().is_empty());
          }) == "");
}

TEST_CASE("CHAN-27 what was buffered comes before the end", "[chan][close]") {
    CHECK(everywhere([](findings& ok) {
              auto c = vole::make_chan<int>(3);
              c.send(1);
              c.send(2);
              c.send(3);
              c.close();
              ok.equal(c.recv().value_or(0), 1);
              ok.equal(*c.try_recv(), 2);
              ok.equal(c.recv().value_or(0), 3);
              for (int i = 0; i < 100; ++i) {
                  ok(c.recv() == std::nullopt);
                  ok(c.try_recv().is_closed());
              }

              auto v = vole::make_chan<void>(2);
              v.send();
              v.close();
              ok(v.recv());
              for (int i = 0; i < 100; ++i) ok(!v.recv());
              ok(v.try_recv().is_closed());

              auto u = vole::make_chan<std::string>();
              u.close();
              ok(u.recv() == std::nullopt);
          }) == "");
}

TEST_CASE("CHAN-28 close wakes all parked receivers with the end", "[chan][close]") {
    for (const int procs : {1, 4}) {
        constexpr int count = 100;
        std::array<int, count> ended{};
        run_on(procs, [&] {
            auto c = vole::make_chan<int>();
            auto v = vole::make_chan<void>(3);
            vole::wait_group all;
            for (int i = 0; i < count; ++i) {
                all.go([&, i] {
                    int& mine = ended[static_cast<std::size_t>(i)];
                    if (i % 2 == 0)
                        mine = c.recv() == std::nullopt ? 1 : -1;
                    else
                        mine = v.recv() ? -1 : 1;
                });
            }
            settle();
            c.close();
            v.close();
            all.wait();
        });
        CHECK(std::count(ended.begin(), ended.end(), 1) == count);
    }
}

TEST_CASE("CHAN-28 close makes all parked senders throw in their own goroutines", "[chan][close]") {
    constexpr int count = 50;
    std::vector<std::string> texts;
    std::vector<std::optional<int>> received;
    bool closer_went_on = false;
    run_on(1, [&] {
        auto c = vole::make_chan<int>(1);
        c.send(-7);
        vole::wait_group all;
        for (int i = 0; i < count; ++i) {
            all.go([&, i] {
                try {
                    c.send(i);
                    texts.emplace_back("sent");
                } catch (const vole::runtime_error& e) {
                    texts.emplace_back(e.what());
                }
            });
        }
        settle();
        c.close();
        closer_went_on = texts.empty();  // CHAN-34: nobody was waited for
        all.wait();
        received = {c.recv(), c.recv()};
    });
    CHECK(closer_went_on);
    CHECK(texts == std::vector<std::string>(count, "send on closed channel"));
    // Their values are not delivered; the buffered one is.
    CHECK(received == std::vector<std::optional<int>>{-7, std::nullopt});
}

TEST_CASE("CHAN-28 a value that close turned away goes back to its sender", "[chan][close]") {
    tracked::reset();
    bool thrown = false;
    int left = 0;
    run_on(1, [&] {
        auto c = vole::make_chan<tracked>();
        vole::wait_group all;
        all.go([&] {
            tracked mine(5);
            try {
                c.send(std::move(mine));
            } catch (const vole::runtime_error&) {
                thrown = true;
                left = mine.value;  // NOLINT: promised
            }
        });
        settle();
        c.close();
        all.wait();
    });
    CHECK(thrown);
    CHECK(left == 5);
    CHECK(tracked::live == 0);
}

TEST_CASE("CHAN-29 send on a closed channel throws and takes nothing", "[chan][close]") {
    CHECK(everywhere([](findings& ok) {
              const char* const text = "send on closed channel";
              for (const std::size_t cap : {0U, 1U, 4U}) {
                  auto c = vole::make_chan<std::unique_ptr<int>>(cap);
                  c.close();
                  auto p = std::make_unique<int>(1);
                  ok.throws<vole::runtime_error>(text, [&] { c.send(std::move(p)); });
                  ok(p != nullptr, "send left its argument");
                  ok.throws<vole::runtime_error>(text, [&] { c.try_send(std::move(p)); });
                  ok(p != nullptr, "try_send left its argument");
                  ok.throws<vole::runtime_error>(
                      text, [&] { vole::select(vole::on_send(c, std::move(p))); });
                  ok(p != nullptr, "on_send left its argument");
                  ok.throws<vole::runtime_error>(text, [&] {
                      vole::select(vole::on_send(c, std::move(p)), vole::otherwise([] {}));
                  });
                  ok(p != nullptr, "on_send with otherwise left its argument");
                  ok.equal(c.len(), 0U);

                  auto v = vole::make_chan<void>(cap);
                  v.close();
                  ok.throws<vole::runtime_error>(text, [&] { v.send(); });
                  ok.throws<vole::runtime_error>(text, [&] { v.try_send(); });
                  vole::send_chan<void> view = v;
                  ok.throws<vole::runtime_error>(text, [&] { view.send(); });
              }
          }) == "");
}

TEST_CASE("CHAN-30 close of a closed channel", "[chan][close]") {
    CHECK(everywhere([](findings& ok) {
              auto c = vole::make_chan<int>(1);
              c.send(1);
              c.close();
              for (int i = 0; i < 3; ++i) {
                  ok.throws<vole::runtime_error>("close of closed channel", [&] { c.close(); });
              }
              vole::send_chan<int> view = c;
              ok.throws<vole::runtime_error>("close of closed channel", [&] { view.close(); });
              ok.equal(c.recv().value_or(0), 1);  // and it stays usable
              ok(c.recv() == std::nullopt);
          }) == "");
}

TEST_CASE("CHAN-30 of many that close at once exactly one succeeds", "[chan][close]") {
    for (const int procs : {2, 4}) {
        for (int round = 0; round < scaled(200, 20); ++round) {
            std::atomic<int> closed{0};
            std::atomic<int> refused{0};
            run_on(procs, [&] {
                auto c = vole::make_chan<int>();
                vole::wait_group all;
                for (int i = 0; i < 4; ++i) {
                    all.go([&] {
                        try {
                            c.close();
                            ++closed;
                        } catch (const vole::runtime_error&) {
                            ++refused;
                        }
                    });
                }
                all.wait();
            });
            REQUIRE(closed == 1);
            REQUIRE(refused == 3);
        }
    }
}

TEST_CASE(
    "CHAN-31 close wakes a select that wanted to send, which throws and leaves its other cases",
    "[chan][close][select]") {
    std::string text;
    bool value_left = false;
    bool others_clean = false;
    run_on(1, [&] {
        auto c = vole::make_chan<std::unique_ptr<int>>();
        auto other = vole::make_chan<int>();
        auto third = vole::make_chan<int>();
        vole::wait_group all;
        all.go([&] {
            auto p = std::make_unique<int>(3);
            try {
                vole::select(vole::on_recv(other), vole::on_send(c, std::move(p)),
                             vole::on_send(third, 1));
            } catch (const vole::runtime_error& e) {
                text = e.what();
            }
            value_left = p != nullptr && *p == 3;
        });
        settle();
        c.close();
        all.wait();
        // Nobody waits there any more.
        others_clean = !other.try_send(1) && third.try_recv().is_empty();
    });
    CHECK(text == "send on closed channel");
    CHECK(value_left);
    CHECK(others_clean);
}

TEST_CASE("CHAN-24 a receiver woken by a value has it, whatever happens before it runs",
          "[chan][close]") {
    std::optional<int> got;
    std::optional<int> second = 0;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        vole::wait_group all;
        all.go([&] {
            got = c.recv();
            second = c.recv();
        });
        settle();
        c.send(4);
        c.close();
        all.wait();
    });
    CHECK(got == 4);
    CHECK(second == std::nullopt);
}

TEST_CASE("CHAN-32 what happened before close is seen by who learns of it", "[chan][close]") {
    // ThreadSanitizer judges the plain variable.
    for (int round = 0; round < scaled(300, 30); ++round) {
        std::array<int, 3> seen{};
        run_on(4, [&] {
            int value = 0;
            auto c = vole::make_chan<int>(round % 2 == 0 ? 0 : 2);
            vole::wait_group all;
            all.go([&] {
                c.recv();
                seen[0] = value;
            });
            all.go([&] {
                while (!c.try_recv().is_closed()) vole::gosched();
                seen[1] = value;
            });
            all.go([&] {
                vole::select(vole::on_recv(c));
                seen[2] = value;
            });
            value = 42;
            c.close();
            all.wait();
        });
        REQUIRE(seen == std::array<int, 3>{42, 42, 42});
    }
}

TEST_CASE("CHAN-33 len counts down after close, cap stays", "[chan][close]") {
    auto c = vole::make_chan<int>(5);
    for (int i = 0; i < 5; ++i) c.send(i);
    c.close();
    for (std::size_t left = 5; left > 0; --left) {
        CHECK(c.len() == left);
        CHECK(c.cap() == 5);
        c.recv();
    }
    CHECK(c.recv() == std::nullopt);
    CHECK(c.len() == 0);
    CHECK(c.cap() == 5);
}

TEST_CASE("CHAN-34 close waits for nobody", "[chan][close]") {
    std::string log;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        vole::wait_group all;
        for (int i = 0; i < 3; ++i) {
            all.go([&] {
                c.recv();
                log += "r";
            });
        }
        settle();
        c.close();
        log += "closed ";
        all.wait();
    });
    CHECK(log == "closed rrr");
}

TEST_CASE("CHAN-35 between a value and the end there is no moment of neither", "[chan][close]") {
    for (const int procs : {2, 4}) {
        const int rounds = scaled(5000, 200);
        int empties = 0;
        run_on(procs, [&] {
            auto verdicts = vole::make_chan<bool>();
            for (int i = 0; i < rounds; ++i) {
                auto c = vole::make_chan<int>(1);
                c.send(1);
                vole::go([=]() mutable { verdicts.send(c.try_recv().is_empty()); });
                c.close();
                c.recv();
                if (verdicts.recv().value()) ++empties;
            }
        });
        CHECK(empties == 0);
    }
}

TEST_CASE("CHAN-37 the last handle takes the buffered values with it, and is no close",
          "[chan][close]") {
    tracked::reset();
    {
        auto c = vole::make_chan<tracked>(4);
        for (int i = 0; i < 3; ++i) c.send(tracked(i));
        auto other = c;
        c = {};
        CHECK(tracked::live == 3);
        CHECK(other.len() == 3);
        vole::recv_chan<tracked> view = other;
        other = {};
        CHECK(tracked::live == 3);
        CHECK(view.recv()->value == 0);
        CHECK(tracked::live == 2);
    }
    CHECK(tracked::live == 0);
}

TEST_CASE("CHAN-37 a channel lives as long as somebody waits on it", "[chan][close]") {
    tracked::reset();
    int got = 0;
    run_on(1, [&] {
        vole::wait_group all;
        {
            auto c = vole::make_chan<tracked>();
            all.go([c, &got]() mutable { got = c.recv()->value; });
            settle();
            vole::send_chan<tracked> last = c;
            c = {};
            last.send(tracked(6));
        }
        all.wait();
    });
    CHECK(got == 6);
    CHECK(tracked::live == 0);
}
