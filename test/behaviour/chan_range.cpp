// for (auto& v : channel). Cites CHAN-38, CHAN-39.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>

#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <iterator>
#include <memory>
#include <numeric>
#include <ranges>
#include <vector>

using namespace vole::test;

TEST_CASE("CHAN-38 range visits everything until the end", "[chan][range]") {
    CHECK(everywhere([](findings& ok) {
              for (const std::size_t cap : {0U, 1U, 5U}) {
                  auto c = vole::make_chan<int>(cap);
                  vole::go([=]() mutable {
                      for (int i = 0; i < 20; ++i) c.send(i);
                      c.close();
                  });
                  std::vector<int> got;
                  for (const int v : c) got.push_back(v);
                  std::vector<int> wanted(20);
                  std::iota(wanted.begin(), wanted.end(), 0);
                  ok(got == wanted);
                  for ([[maybe_unused]] const int v : c) ok(false, "a second loop finds nothing");
              }
          }) == "");
}

TEST_CASE("CHAN-38 a loop over a closed empty channel runs zero times", "[chan][range]") {
    auto c = vole::make_chan<int>(3);
    c.close();
    int rounds = 0;
    for ([[maybe_unused]] const int v : c) ++rounds;
    CHECK(rounds == 0);
}

TEST_CASE("CHAN-38 range hands elements out to be moved from", "[chan][range]") {
    auto c = vole::make_chan<std::unique_ptr<int>>(3);
    for (int i = 0; i < 3; ++i) c.send(std::make_unique<int>(i));
    c.close();
    std::vector<std::unique_ptr<int>> got;
    for (auto& p : c) got.push_back(std::move(p));
    REQUIRE(got.size() == 3);
    for (int i = 0; i < 3; ++i) CHECK(*got[static_cast<std::size_t>(i)] == i);

    auto m = vole::make_chan<move_only>(2);
    m.send(move_only(1));
    m.send(move_only(2));
    m.close();
    int sum = 0;
    for (auto&& v : m) sum += v.value;
    CHECK(sum == 3);
}

TEST_CASE("CHAN-38 range over a receive-only view and over a temporary", "[chan][range]") {
    auto c = vole::make_chan<int>(2);
    c.send(1);
    c.send(2);
    c.close();
    int sum = 0;
    for (const int v : vole::recv_chan<int>(c)) sum += v;
    CHECK(sum == 3);

    const auto filled = [] {
        auto t = vole::make_chan<int>(1);
        t.send(5);
        t.close();
        return t;
    };
    for (const int v : filled()) sum += v;
    CHECK(sum == 8);
}

TEST_CASE("CHAN-39 a loop that is left leaves the rest", "[chan][range]") {
    auto c = vole::make_chan<int>(5);
    for (int i = 0; i < 5; ++i) c.send(i);
    for (const int v : c) {
        if (v == 1) break;
    }
    CHECK(c.len() == 3);
    CHECK(c.recv() == 2);
    for (const int v : c) {
        CHECK(v == 3);
        CHECK(c.len() == 1);  // nothing was fetched ahead
        break;
    }
    CHECK(c.recv() == 4);
}

TEST_CASE("CHAN-39 the loop holds one value at most and destroys it", "[chan][range]") {
    tracked::reset();
    auto c = vole::make_chan<tracked>(4);
    for (int i = 0; i < 4; ++i) c.send(tracked(i));
    int most = 0;
    for (const auto& v : c) {
        most = std::max(most, tracked::live - static_cast<int>(c.len()));
        if (v.value == 2) break;
    }
    CHECK(most == 1);
    CHECK(tracked::live == 1);  // the one still inside
    CHECK(c.len() == 1);
    CHECK(tracked::copies == 0);
}

TEST_CASE("CHAN-39 the iterator by hand", "[chan][range]") {
    auto c = vole::make_chan<int>(3);
    c.send(1);
    c.send(2);
    c.close();
    auto it = c.begin();
    CHECK(c.len() == 1);
    REQUIRE(it != c.end());
    CHECK(*it == 1);
    ++it;
    REQUIRE(it != c.end());
    CHECK(*it == 2);
    ++it;
    CHECK(it == c.end());
    STATIC_REQUIRE(std::input_iterator<decltype(it)>);
    STATIC_REQUIRE(std::ranges::input_range<vole::chan<int>>);
    STATIC_REQUIRE(std::ranges::input_range<vole::recv_chan<int>>);
}
