// selector: select over a number of cases known only at run time. Cites CHAN-46, CHAN-58, CHAN-59.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace vole::test;

TEST_CASE("CHAN-58 one, two, a thousand and 65536 cases, ready", "[select][selector]") {
    for (const std::size_t n : {1U, 2U, 1000U, 65536U}) {
        std::vector<vole::chan<int>> c;
        vole::selector s;
        int got = -1;
        for (std::size_t i = 0; i < n; ++i) {
            c.push_back(vole::make_chan<int>(1));
            REQUIRE(s.recv(c[i], [&](std::optional<int> v) { got = v.value_or(-2); }) == i);
        }
        for (const std::size_t which : {std::size_t{0}, n / 2, n - 1}) {
            c[which].send(static_cast<int>(which));
            CHECK(s.select() == which);
            CHECK(got == static_cast<int>(which));
        }
    }
}

TEST_CASE("CHAN-58 one, two, a thousand and 65536 cases, blocked", "[select][selector]") {
    for (const int procs : {1, 4}) {
        for (const std::size_t n : {1U, 2U, 1000U, 65536U}) {
            findings ok;
            run_on(procs, [&] {
                std::vector<vole::chan<int>> c;
                for (std::size_t i = 0; i < n; ++i) c.push_back(vole::make_chan<int>());
                auto results = vole::make_chan<std::size_t>();
                vole::go([&] {
                    vole::selector s;
                    for (auto& x : c) s.recv(x);
                    for (int round = 0; round < 3; ++round) results.send(s.select());
                });
                for (const std::size_t which : {n - 1, std::size_t{0}, n / 2}) {
                    c[which].send(1);
                    ok.equal(results.recv().value(), which);
                }
                for (auto& x : c) ok(!x.try_send(2), "nobody is left");
            });
            CHECK(ok.text() == "");
        }
    }
}

TEST_CASE("CHAN-59 index, value and whether the channel is open", "[select][selector]") {
    CHECK(
        everywhere([](findings& ok) {
            auto a = vole::make_chan<int>(1);
            auto b = vole::make_chan<std::string>(1);
            auto v = vole::make_chan<void>(1);
            auto full = vole::make_chan<int>();
            std::string log;
            vole::selector s;
            ok.equal(s.recv(a, [&](std::optional<int> x) { log += x ? std::to_string(*x) : "a!"; }),
                     0U);
            ok.equal(s.recv(b, [&](std::optional<std::string> x) { log += x.value_or("b!"); }), 1U);
            ok.equal(s.recv(v, [&](bool open) { log += open ? "v" : "v!"; }), 2U);
            ok.equal(s.send(full, 1, [&] { log += "sent"; }), 3U);
            a.send(5);
            ok.equal(s.select(), 0U);
            b.send("text");
            ok.equal(s.select(), 1U);
            v.send();
            ok.equal(s.select(), 2U);
            b.close();
            ok.equal(s.select(), 1U);
            ok.equal(log, std::string("5textvb!"));
        }) == "");
}

TEST_CASE("CHAN-59 send cases", "[select][selector]") {
    CHECK(everywhere([](findings& ok) {
              auto c = vole::make_chan<std::unique_ptr<int>>(1);
              auto v = vole::make_chan<void>(1);
              int sent = 0;
              {
                  vole::selector s;
                  s.send(c, std::make_unique<int>(7), [&] { ++sent; });
                  ok.equal(s.select(), 0U);
                  ok.equal(**c.recv(), 7);
              }
              {
                  vole::selector s;
                  s.send(v, [&] { ++sent; });
                  ok.equal(s.select(), 0U);
                  ok(v.recv());
              }
              {
                  vole::selector s;
                  int n = 3;
                  auto i = vole::make_chan<int>(1);
                  s.send(i, n);
                  n = 4;
                  ok.equal(s.select(), 0U);
                  ok.equal(i.recv().value_or(0), 3);  // as it was when the case was added
              }
              ok.equal(sent, 2);
          }) == "");
}

TEST_CASE("CHAN-59 a closed channel in a send case", "[select][selector]") {
    auto c = vole::make_chan<int>(1);
    c.close();
    vole::selector s;
    s.send(c, 1);
    CHECK_THROWS_WITH(s.select(), "send on closed channel");
    s.clear();
    s.recv(c);
    CHECK(s.select() == 0);
}

TEST_CASE("CHAN-59 nil channels are never ready", "[select][selector]") {
    vole::chan<int> nil;
    auto c = vole::make_chan<int>(1);
    vole::selector s;
    CHECK(s.recv(nil) == 0);
    CHECK(s.send(nil, 1) == 1);
    CHECK(s.recv(c) == 2);
    for (int i = 0; i < 50; ++i) {
        c.send(i);
        REQUIRE(s.select() == 2);
    }
    CHECK(s.otherwise() == 3);
    CHECK(s.select() == 3);
}

TEST_CASE("CHAN-59 otherwise at most once", "[select][selector]") {
    auto c = vole::make_chan<int>(1);
    vole::selector s;
    bool none = false;
    CHECK(s.recv(c) == 0);
    CHECK(s.otherwise([&] { none = true; }) == 1);
    CHECK_THROWS_AS(s.otherwise(), vole::runtime_error);
    CHECK_THROWS_WITH(s.otherwise([] {}), "reflect.Select: multiple default cases");
    CHECK(s.select() == 1);
    CHECK(none);
    c.send(1);
    CHECK(s.select() == 0);
    s.clear();
    CHECK(s.otherwise() == 0);
    CHECK(s.select() == 0);
}

TEST_CASE("CHAN-59 clear starts anew", "[select][selector]") {
    tracked::reset();
    auto a = vole::make_chan<tracked>(1);
    auto b = vole::make_chan<int>(1);
    {
        vole::selector s;
        s.send(a, tracked(1));
        s.clear();
        CHECK(tracked::live == 0);
        CHECK(s.recv(b) == 0);
        b.send(1);
        CHECK(s.select() == 0);
        s.send(a, tracked(2));
    }
    CHECK(tracked::live == 0);
    CHECK(a.len() == 0);
}

TEST_CASE("CHAN-59 a selector keeps its channels", "[select][selector]") {
    vole::selector s;
    int got = 0;
    vole::send_chan<int> out;
    {
        auto c = vole::make_chan<int>(1);
        out = c;
        s.recv(vole::recv_chan<int>(c), [&](std::optional<int> v) { got = v.value_or(-1); });
    }
    out.send(3);
    out = {};
    CHECK(s.select() == 0);
    CHECK(got == 3);
}

TEST_CASE("CHAN-59 selectors serve many clients at once", "[select][selector]") {
    for (const int procs : {1, 2, 4}) {
        const int each = scaled(200, 20);
        constexpr int clients = 20;
        int sum = 0;
        run_on(procs, [&] {
            std::vector<vole::chan<int>> c;
            for (int i = 0; i < clients; ++i)
                c.push_back(vole::make_chan<int>(static_cast<std::size_t>(i % 3)));
            for (int i = 0; i < clients; ++i) {
                vole::go([x = c[static_cast<std::size_t>(i)], each]() mutable {
                    for (int k = 0; k < each; ++k) x.send(1);
                    x.close();
                });
            }
            std::vector<vole::chan<int>> open = c;
            while (!open.empty()) {
                vole::selector s;
                bool ended = false;
                for (auto& x : open) {
                    s.recv(x, [&](std::optional<int> v) {
                        ended = !v;
                        sum += v.value_or(0);
                    });
                }
                std::size_t which = s.select();
                while (!ended) which = s.select();
                open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
            }
        });
        CHECK(sum == clients * each);
    }
}

TEST_CASE("CHAN-46 a selector with otherwise only", "[select][selector]") {
    vole::selector s;
    CHECK(s.otherwise() == 0);
    for (int i = 0; i < 10; ++i) REQUIRE(s.select() == 0);
}
