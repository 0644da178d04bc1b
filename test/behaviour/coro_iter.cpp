// Sequences that are pulled from: <vole/iter.hpp>. Cites CORO-1 to CORO-5, CORO-7, CORO-9, CORO-17, CORO-18, CORO-20.
#include <catch2/catch.hpp>

#include <vole/iter.hpp>
#include <vole/panic.hpp>
#include <vole/runtime.hpp>

#include "test/support/findings.hpp"

#include <atomic>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

using namespace vole::test;
namespace iter = vole::iter;

static_assert(!std::is_copy_constructible_v<iter::puller<int>>);
static_assert(std::is_nothrow_move_constructible_v<iter::puller<int>>);
static_assert(!std::is_copy_constructible_v<vole::generator<int>>);
static_assert(std::ranges::input_range<vole::generator<std::string>>);
static_assert(!std::ranges::forward_range<vole::generator<std::string>>);

namespace {

constexpr const char* next_again = "iter.Pull: next called again before yield";
constexpr const char* yield_again = "iter.Pull: yield called again before next";

auto up_to(int n) {
    return [n](iter::yielder<int> yield) {
        for (int i = 0; i < n; ++i) {
            if (!yield(i)) return;
        }
    };
}

std::uint64_t coroutines() { return vole::read_stats().coroutines; }

}  // namespace

TEST_CASE("CORO-1 CORO-2 a sequence begins with the first next, and ends with none, for ever",
          "[coro]") {
    CHECK(everywhere([](findings& ok) {
              bool begun = false;
              auto p = iter::pull([&begun](iter::yielder<int> yield) {
                  begun = true;
                  yield(10);
                  yield(11);
              });
              ok(!begun);
              ok(p.next() == 10);
              ok(begun);
              ok(p.next() == 11);
              for (int i = 0; i < 3; ++i) ok(p.next() == std::nullopt);
              p.stop();
              ok(p.next() == std::nullopt);
          }) == "");
}

TEST_CASE("CORO-1 no goroutine is counted, and everything is given back at the end", "[coro]") {
    findings ok;
    run_on(1, [&] {
        const auto goroutines = vole::num_goroutine();
        const auto before = coroutines();
        auto a = iter::pull(up_to(2));
        auto b = iter::pull(up_to(1'000'000));
        ok.equal(coroutines(), before + 2);
        while (a.next()) {
        }
        ok.equal(coroutines(), before + 1);
        b.next();
        ok.equal(vole::num_goroutine(), goroutines);
        b.stop();
        ok.equal(coroutines(), before);
        {
            auto c = iter::pull(up_to(2));
            c.next();
        }
        ok.equal(coroutines(), before);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-3 stop makes the pending yield false, once", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              int ended = 0;
              bool last = true;
              auto p = iter::pull<int>([&](auto& yield) {
                  int i = 0;
                  while ((last = yield(i))) ++i;
                  ++ended;
              });
              ok(p.next() == 0);
              ok(p.next() == 1);
              p.stop();
              ok(!last);
              ok.equal(ended, 1);
              p.stop();
              ok.equal(ended, 1);
              ok(p.next() == std::nullopt);
          }) == "");
}

TEST_CASE("CORO-3 stop before the first next: the sequence never begins, and is destroyed",
          "[coro]") {
    CHECK(everywhere([](findings& ok) {
              bool begun = false;
              auto alive = std::make_shared<int>(1);
              auto p = iter::pull([&begun, alive](iter::yielder<int>) { begun = true; });
              ok.equal(alive.use_count(), 2L);
              p.stop();
              ok.equal(alive.use_count(), 1L);
              ok(p.next() == std::nullopt);
              ok(!begun);
          }) == "");
}

TEST_CASE("CORO-4 yield goes on saying false, without a switch", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              int refused = 0;
              {
                  auto p = iter::pull([&](iter::yielder<int> yield) {
                      for (int i = 0; i < 5; ++i) {
                          if (!yield(i)) ++refused;
                      }
                  });
                  p.next();
                  p.stop();
                  ok.equal(refused, 5);
              }
          }) == "");
}

TEST_CASE("CORO-5 what is thrown leaves next, once; during stop it leaves stop", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              const auto throwing = [](iter::yielder<int> yield) {
                  yield(1);
                  throw std::runtime_error("boom");
              };
              auto p = iter::pull(throwing);
              ok(p.next() == 1);
              ok.throws<std::runtime_error>("boom", [&] { p.next(); });
              ok(p.next() == std::nullopt);
              p.stop();
              auto q = iter::pull(throwing);
              ok(q.next() == 1);
              ok.throws<std::runtime_error>("boom", [&] { q.stop(); });
              q.stop();
              ok(q.next() == std::nullopt);
              auto at_once = iter::pull([](iter::yielder<int>) { vole::panic("first"); });
              ok.throws<vole::panic_error>("first", [&] { at_once.next(); });
          }) == "");
}

TEST_CASE(
    "CORO-7 next inside of the sequence, and yield outside of it, are errors that harm nothing",
    "[coro]") {
    CHECK(everywhere([](findings& ok) {
              std::optional<iter::puller<int>> p;
              std::optional<iter::yielder<int>> leaked;
              p = iter::pull([&](iter::yielder<int> yield) {
                  leaked = yield;
                  ok.throws<vole::runtime_error>(next_again, [&] { p->next(); });
                  ok.throws<vole::runtime_error>(next_again, [&] { p->stop(); });
                  yield(1);
                  yield(2);
              });
              ok(p->next() == 1);
              ok.throws<vole::runtime_error>(yield_again, [&] { (*leaked)(7); });
              ok(p->next() == 2);
              // From inside of another one: not the innermost.
              auto other = iter::pull([&](iter::yielder<int> yield) {
                  ok.throws<vole::runtime_error>(yield_again, [&] { (*leaked)(8); });
                  yield(3);
              });
              ok(other.next() == 3);
              ok(p->next() == std::nullopt);
              ok.throws<vole::runtime_error>(yield_again, [&] { (*leaked)(9); });
              // A yield that goes to the outer of two while the inner one runs.
              auto outer = iter::pull([&](iter::yielder<int> yield) {
                  auto inner = iter::pull([&](iter::yielder<int> mine) {
                      ok.throws<vole::runtime_error>(yield_again, [&] { yield(1); });
                      mine(4);
                  });
                  yield(*inner.next());
              });
              ok(outer.next() == 4);
          }) == "");
}

TEST_CASE("CORO-9 the destructor stops; what that throws goes to the panic handler", "[coro]") {
    std::atomic<int> told{0};
    auto before = vole::set_panic_handler([&](const vole::panic_value& p) {
        if (std::string(p.what()).find("on the way out") != std::string::npos) ++told;
    });
    CHECK(everywhere([](findings& ok) {
              bool ended = false;
              {
                  auto p = iter::pull([&ended](iter::yielder<int> yield) {
                      while (yield(1)) {
                      }
                      ended = true;
                      throw std::runtime_error("on the way out");
                  });
                  ok(p.next() == 1);
              }
              ok(ended);
              // While another exception unwinds, too.
              try {
                  auto p = iter::pull([](iter::yielder<int> yield) {
                      yield(1);
                      throw std::runtime_error("on the way out");
                  });
                  p.next();
                  throw std::logic_error("the other");
              } catch (const std::logic_error& e) {
                  ok.equal(std::string(e.what()), std::string("the other"));
              }
          }) == "");
    vole::set_panic_handler(before);
    CHECK(told == 8);
}

TEST_CASE("CORO-17 pairs", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              auto p = iter::pull2([](iter::yielder2<int, std::string> yield) {
                  yield(1, "one");
                  yield(2, "two");
              });
              const auto one = p.next();
              ok(one->first == 1 && one->second == "one");
              ok(p.next()->second == "two");
              ok(!p.next());
              auto q = iter::pull2<int, int>([](auto& yield) { yield(1, 2); });
              ok(q.next()->second == 2);
          }) == "");
}

TEST_CASE("CORO-17 a sequence of a sequence, 1000 deep", "[coro]") {
    findings ok;
    run_on(2, [&] {
        using puller = iter::puller<int>;
        auto p = std::make_unique<puller>(iter::pull(up_to(3)));
        for (int depth = 0; depth < 1000; ++depth) {
            p = std::make_unique<puller>(
                iter::pull([from = std::move(p)](iter::yielder<int> yield) {
                    while (auto v = from->next()) {
                        if (!yield(*v + 1)) return;
                    }
                }));
        }
        ok(p->next() == 1000);
        ok(p->next() == 1001);
        p->stop();
        p.reset();
        ok.equal(coroutines(), std::uint64_t{0});
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-2 values of any kind: move-only, large, aligned, from functions and std::function",
          "[coro]") {
    struct alignas(16) large {
        int n[100];
    };
    CHECK(everywhere([](findings& ok) {
              auto p = iter::pull([](iter::yielder<std::unique_ptr<int>> yield) {
                  yield(std::make_unique<int>(7));
              });
              ok.equal(**p.next(), 7);
              auto q = iter::pull<large>([](auto& yield) {
                  large l{};
                  l.n[99] = 9;
                  yield(l);
              });
              ok.equal(q.next()->n[99], 9);
              const std::function<void(iter::yielder<int>)> f = up_to(2);
              auto r = iter::pull<int>(f);
              ok(r.next() == 0);
              auto s = iter::pull(+[](iter::yielder<int> yield) { yield(5); });
              ok(s.next() == 5);
          }) == "");
}

TEST_CASE("CORO-18 a generator is an input range", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              int sum = 0;
              for (int i : vole::generator<int>(up_to(5))) sum += i;
              ok.equal(sum, 10);
              vole::generator<std::string> words([](auto& yield) {
                  yield("a");
                  yield("b");
              });
              std::vector<std::string> got;
              for (std::string& w : words) got.push_back(std::move(w));
              ok(got == std::vector<std::string>{"a", "b"});
              ok(words.begin() == words.end());
              vole::generator<int> none([](auto&) {});
              ok(none.begin() == none.end());
              vole::generator<int> moved = std::move(none);
              ok(none.begin() ==
                 none.end());  // NOLINT(bugprone-use-after-move): has its defined state
          }) == "");
}

TEST_CASE("CORO-18 a generator that is left early runs its destructors in order", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              std::string log;
              struct note {
                  std::string& log;
                  char name;
                  ~note() { log += name; }
              };
              for (int i : vole::generator<int>([&log](auto& yield) {
                       const note a{log, 'a'};
                       const note b{log, 'b'};
                       for (int n = 0; yield(n); ++n) {
                       }
                       log += '.';
                   })) {
                  if (i == 2) break;
              }
              ok.equal(log, std::string(".ba"));
          }) == "");
}

TEST_CASE("CORO-18 a generator that is left inside of a catch block of its own", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              for (int i : vole::generator<int>([&ok](auto& yield) {
                       try {
                           throw std::runtime_error("inner");
                       } catch (const std::runtime_error& e) {
                           ok(std::current_exception() != nullptr);
                           yield(1);
                           yield(2);
                           ok.equal(std::string(e.what()), std::string("inner"));
                           ok(std::current_exception() != nullptr);
                           try {
                               throw;
                           } catch (const std::runtime_error& again) {
                               ok.equal(std::string(again.what()), std::string("inner"));
                           }
                       }
                   })) {
                  ok(std::current_exception() == nullptr);
                  ok.equal(std::uncaught_exceptions(), 0);
                  try {
                      throw 1;
                  } catch (int) {
                      if (i == 2) break;
                  }
              }
              ok(std::current_exception() == nullptr);
          }) == "");
}

TEST_CASE("CORO-20 a sequence that goes on after its loop was left is told so", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              bool told = false;
              for (int i : vole::generator<int>([&](auto& yield) {
                       yield(1);
                       yield(2);
                       ok.throws<vole::runtime_error>("range function continued iteration after "
                                                      "function for loop body returned false",
                                                      [&] { yield(3); });
                       told = true;
                   })) {
                  if (i == 1) continue;
                  break;
              }
              ok(told);
          }) == "");
}
