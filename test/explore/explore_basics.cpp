// What explore() does: strategies, results, failures, replays. The bugs that it has to find: explore_planted.cpp.
#include <catch2/catch.hpp>

#include <vole/explore.hpp>
#include <vole/vole.hpp>

#include <chrono>
#include <cstdio>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
namespace synctest = vole::synctest;
using synctest::explore;
using synctest::explore_options;
using synctest::strategy;

namespace {

explore_options all(int preemptions) {
    explore_options o;
    o.how = strategy::exhaustive;
    o.preemptions = preemptions;
    o.schedules = 1'000'000;
    return o;
}

}  // namespace

TEST_CASE("two goroutines with two steps each have six orders", "[explore]") {
    for (const int preemptions : {-1, 2, 3}) {
        std::set<std::string> orders;
        const auto result = explore(all(preemptions), [&] {
            std::string order;
            vole::atomic<int> x{0};
            vole::wait_group done;
            for (const char c : {'a', 'b'}) {
                done.go([&, c] {
                    for (int i = 0; i < 2; ++i) {
                        x.fetch_add(1);
                        order += c;
                    }
                });
            }
            done.wait();
            orders.insert(order);
        });
        std::printf("%d: %zu orders in %llu schedules, %llu redundant, %llu steps\n", preemptions,
                    orders.size(), (unsigned long long)result.schedules,
                    (unsigned long long)result.redundant, (unsigned long long)result.steps);
        CHECK(orders.size() == 6);
        CHECK(result.complete);
    }
}

TEST_CASE("a lost update is found and repeated", "[explore]") {
    for (const auto how : {strategy::random_walk, strategy::pct, strategy::exhaustive}) {
        explore_options o;
        o.how = how;
        o.schedules = 100'000;
        CHECK_THROWS_AS(explore(o,
                                [&] {
                                    vole::atomic<int> x{0};
                                    vole::wait_group done;
                                    for (int g = 0; g < 2; ++g) {
                                        done.go([&] {
                                            for (int i = 0; i < 3; ++i) x.store(x.load() + 1);
                                        });
                                    }
                                    done.wait();
                                    if (x.load() != 6) throw std::logic_error("lost");
                                }),
                        std::logic_error);
    }
}

TEST_CASE("a deadlock by lock order", "[explore]") {
    for (const auto how : {strategy::random_walk, strategy::pct, strategy::exhaustive}) {
        explore_options o;
        o.how = how;
        CHECK_THROWS_WITH(explore(o,
                                  [&] {
                                      vole::mutex a, b;
                                      vole::wait_group done;
                                      done.go([&] {
                                          a.lock();
                                          b.lock();
                                          b.unlock();
                                          a.unlock();
                                      });
                                      done.go([&] {
                                          b.lock();
                                          a.lock();
                                          a.unlock();
                                          b.unlock();
                                      });
                                      done.wait();
                                  }),
                          "deadlock: all goroutines in bubble are blocked");
    }
}

TEST_CASE("throughput", "[explore]") {
    explore_options o;
    o.schedules = 20000;
    const auto before = std::chrono::steady_clock::now();
    const auto result = explore(o, [&] {
        auto c = vole::make_chan<int>();
        vole::go([&] {
            for (int i = 0; i < 5; ++i) c.send(i);
            c.close();
        });
        int sum = 0;
        for (int v : c) sum += v;
        if (sum != 10) throw std::logic_error("sum");
    });
    const double s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
    std::printf("%.0f schedules/s, %.0f ns a step\n", static_cast<double>(result.schedules) / s,
                s * 1e9 / static_cast<double>(result.steps));
}
