// What explore() promises: which schedules there are, what fails, how it is told and repeated. The bugs that it has to
// find: explore_planted.cpp.
#include <catch2/catch.hpp>

#include <vole/explore.hpp>
#include <vole/net/conn.hpp>
#include <vole/vole.hpp>

#include "test/support/stderr_capture.hpp"
#include "test/support/subprocess.hpp"

#include <cassert>
#include <chrono>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace vole::test;
namespace synctest = vole::synctest;
using synctest::explore;
using synctest::explore_options;
using synctest::strategy;

namespace {

explore_options all_schedules(int preemptions) {
    explore_options o;
    o.how = strategy::exhaustive;
    o.preemptions = preemptions;
    o.schedules = 1'000'000;
    return o;
}

explore_options by(strategy how, std::uint64_t schedules, std::uint64_t seed = 7) {
    explore_options o;
    o.how = how;
    o.schedules = schedules;
    o.seed = seed;
    return o;
}

constexpr strategy strategies[] = {strategy::random_walk, strategy::pct, strategy::exhaustive};

// Goroutines "a", "b", ... that do one operation on the same object for each letter.
std::string interleaved(int goroutines, int steps) {
    std::string order;
    vole::atomic<int> x{0};
    vole::wait_group done;
    for (int g = 0; g < goroutines; ++g) {
        done.go([&, g] {
            for (int i = 0; i < steps; ++i) {
                x.fetch_add(1);
                order += static_cast<char>('a' + g);
            }
        });
    }
    done.wait();
    return order;
}

std::set<std::string> outcomes(const explore_options& o, std::string (*program)()) {
    std::set<std::string> seen;
    const auto result = explore(o, [&] { seen.insert(program()); });
    CHECK(result.complete);
    return seen;
}

// What is written after `label`, up to the end of the line.
std::string after_label(const std::string& text, const std::string& label) {
    const auto at = text.find(label);
    if (at == std::string::npos) return "";
    const auto from = at + label.size();
    return text.substr(from, text.find('\n', from) - from);
}

// Fails in some orders. Gives the order.
std::string overtaken() {
    const std::string order = interleaved(2, 2);
    if (order == "abba") throw std::logic_error("abba");
    return order;
}

}  // namespace

// ---- which schedules there are ----------------------------------------------------------------

TEST_CASE("all orders of two goroutines with two steps", "[explore]") {
    for (const int preemptions : {-1, 3, 4}) {
        CHECK(outcomes(all_schedules(preemptions), [] { return interleaved(2, 2); }).size() == 6);
    }
}

TEST_CASE("all orders of three goroutines with two steps", "[explore]") {
    CHECK(outcomes(all_schedules(-1), [] { return interleaved(3, 2); }).size() == 90);
}

TEST_CASE("without preemptions goroutines come one after the other", "[explore]") {
    const auto seen = [] {
        std::set<std::string> orders;
        explore(all_schedules(0), [&] { orders.insert(interleaved(3, 3)); });
        return orders;
    }();
    CHECK(seen.size() == 6);
    CHECK(seen.count("aaabbbccc") == 1);
}

TEST_CASE("one preemption is the least that is needed", "[explore]") {
    const auto fails_with = [](int preemptions) {
        bool failed = false;
        explore(all_schedules(preemptions), [&] { failed |= interleaved(2, 2) == "abba"; });
        return failed;
    };
    CHECK(!fails_with(0));
    CHECK(fails_with(1));
}

TEST_CASE("schedules that differ in nothing that can be told apart are left out", "[explore]") {
    const auto program = [] {
        vole::atomic<int> mine[3] = {0, 0, 0};
        vole::wait_group done;
        for (auto& x : mine) {
            done.go([&x] {
                for (int i = 0; i < 3; ++i) x.fetch_add(1);
            });
        }
        done.wait();
    };
    const auto reduced = explore(all_schedules(-1), program);
    CHECK(reduced.complete);
    // Without sleep sets there are 9!/(3!3!3!) = 1680 orders of the additions alone; with them, those of the three done().
    CHECK(reduced.schedules - reduced.redundant < 100);
}

// The same program under a bound that forbids nothing, which reduces nothing, and with sleep sets.
TEST_CASE("nothing is lost by sleep sets", "[explore]") {
    std::string (*const programs[])() = {
        [] {  // locks
            vole::mutex mu;
            std::string order;
            vole::wait_group done;
            for (const char c : {'a', 'b'}) {
                done.go([&, c] {
                    const std::lock_guard held(mu);
                    order += c;
                });
            }
            done.wait();
            return order;
        },
        [] {  // an atomic that is read and written
            vole::atomic<int> x{0};
            vole::atomic<int> y{0};
            int a = 0;
            int b = 0;
            vole::wait_group done;
            done.go([&] {
                x.store(1);
                a = y.load();
            });
            done.go([&] {
                y.store(1);
                b = x.load();
            });
            done.wait();
            return std::to_string(a) + std::to_string(b);
        },
        [] {  // channels, try_send, close
            auto c = vole::make_chan<int>(1);
            std::string text;
            vole::wait_group done;
            done.go([&] { text += c.try_send(1) ? "s" : "f"; });
            done.go([&] { text += c.try_send(2) ? "S" : "F"; });
            done.go([&] {
                const auto got = c.recv();
                text += std::to_string(got.value_or(0));
            });
            done.wait();
            return text;
        },
        [] {  // who reads beside a writer
            vole::rw_mutex mu;
            int n = 0;
            std::string text;
            vole::wait_group done;
            done.go([&] {
                const std::lock_guard held(mu);
                ++n;
            });
            done.go([&] {
                for (int i = 0; i < 2; ++i) {
                    mu.lock_shared();
                    text += std::to_string(n);
                    mu.unlock_shared();
                }
            });
            done.wait();
            return text;
        },
    };
    for (auto* program : programs) {
        const auto reduced = outcomes(all_schedules(-1), program);
        CHECK(reduced == outcomes(all_schedules(100), program));
        CHECK(reduced.size() > 1);
    }
}

TEST_CASE("select takes each of what is ready", "[explore]") {
    for (const strategy how : strategies) {
        std::set<int> taken;
        explore(by(how, 100), [&] {
            vole::chan<int> cs[3];
            for (auto& c : cs) {
                c = vole::make_chan<int>(1);
                c.send(1);
            }
            const auto i = vole::select(vole::on_recv(cs[0], [](std::optional<int>) {}),
                                        vole::on_recv(cs[1], [](std::optional<int>) {}),
                                        vole::on_recv(cs[2], [](std::optional<int>) {}));
            taken.insert(static_cast<int>(i));
        });
        CHECK(taken == std::set<int>{0, 1, 2});
    }
}

TEST_CASE("timers that are due at once go off in any order, others in that of time", "[explore]") {
    for (const strategy how : strategies) {
        std::set<std::string> orders;
        explore(by(how, 200), [&] {
            std::string order;
            vole::mutex mu;
            const auto note = [&](char c) {
                const std::lock_guard held(mu);
                order += c;
            };
            vole::wait_group done;
            for (const char c : {'a', 'b'}) {
                done.go([&, c] {
                    vole::sleep(1h);
                    note(c);
                });
            }
            done.go([&] {
                vole::sleep(2h);
                note('c');
            });
            done.wait();
            orders.insert(order);
        });
        CHECK(orders == std::set<std::string>{"abc", "bac"});
    }
}

TEST_CASE("the same seed gives the same schedules", "[explore]") {
    for (const strategy how : strategies) {
        const auto orders = [how](std::uint64_t seed) {
            std::vector<std::string> all;
            explore(by(how, 200, seed),
                    [&] { all.push_back(interleaved(3, 3) + std::to_string(synctest::random())); });
            return all;
        };
        CHECK(orders(5) == orders(5));
        if (how != strategy::exhaustive) CHECK(orders(5) != orders(6));
    }
}

TEST_CASE("pipes are explored, too", "[explore]") {
    std::set<std::string> seen;
    explore(by(strategy::random_walk, 200), [&] {
        auto [a, b] = vole::net::pipe();
        std::string text;
        vole::wait_group writers;
        for (const char c : {'x', 'y'}) {
            writers.go([&a = a, c] { a.write(std::as_bytes(std::span(&c, 1))); });
        }
        for (int i = 0; i < 2; ++i) {
            char c = 0;
            (void)b.read(std::as_writable_bytes(std::span(&c, 1)));
            text += c;
        }
        writers.wait();
        seen.insert(text);
    });
    CHECK(seen == std::set<std::string>{"xy", "yx"});
}

// ---- right programs ---------------------------------------------------------------------------

TEST_CASE("what is right holds under all schedules", "[explore]") {
    const auto peterson = [] {
        vole::atomic<bool> wants[2] = {false, false};
        vole::atomic<int> turn{0};
        vole::atomic<int> inside{0};
        vole::wait_group done;
        for (const int me : {0, 1}) {
            done.go([&, me] {
                wants[me].store(true);
                turn.store(1 - me);
                while (wants[1 - me].load() && turn.load() == 1 - me) vole::gosched();
                if (inside.fetch_add(1) != 0) throw std::logic_error("both are inside");
                inside.fetch_sub(1);
                wants[me].store(false);
            });
        }
        done.wait();
    };
    CHECK(explore(all_schedules(3), peterson).complete);
    const auto producers = [] {
        vole::mutex mu;
        vole::cond changed;
        int items = 0;
        vole::wait_group done;
        done.go([&] {
            std::unique_lock held(mu);
            changed.wait(held, [&] { return items == 2; });
        });
        for (int i = 0; i < 2; ++i) {
            done.go([&] {
                {
                    const std::lock_guard held(mu);
                    ++items;
                }
                changed.notify_one();
            });
        }
        done.wait();
    };
    CHECK(explore(all_schedules(2), producers).complete);
}

TEST_CASE("those who wait in loops and yield come to an end under all schedules", "[explore]") {
    const auto result = explore(all_schedules(1), [] {
        vole::atomic<bool> go_on{false};
        vole::wait_group done;
        for (int i = 0; i < 2; ++i) {
            done.go([&] {
                while (!go_on.load()) vole::gosched();
            });
        }
        done.go([&] { go_on.store(true); });
        done.wait();
    });
    CHECK(result.complete);
    CHECK(result.cut == 0);
}

// ---- failures ---------------------------------------------------------------------------------

TEST_CASE("a failing schedule is told, shortened, and can be repeated", "[explore]") {
    for (const strategy how : strategies) {
        std::string text;
        {
            const stderr_capture told;
            CHECK_THROWS_WITH(explore(by(how, 10'000), [] { overtaken(); }), "abba");
            text = told.text();
        }
        INFO(text);
        CHECK_THAT(text, Catch::Contains("failed: abba"));
        CHECK_THAT(text, Catch::Contains("  1 main: start, add #1"));
        const std::string replay = after_label(text, "to run it again: VOLE_REPLAY=");
        CHECK_THAT(replay, Catch::StartsWith("path:"));
        for (const std::string& which :
             {replay, after_label(text, "as it was found: VOLE_REPLAY=")}) {
            if (which.empty()) continue;
            explore_options o;
            o.replay = which;
            std::vector<std::string> orders;
            CHECK(explore(o, [&] { orders.push_back(interleaved(2, 2)); }).schedules == 1);
            CHECK(orders == std::vector<std::string>{"abba"});
        }
    }
}

TEST_CASE("child: a schedule from the environment", "[.child]") {
    explore([] { std::printf("[%s]\n", interleaved(2, 2).c_str()); });
}
TEST_CASE("VOLE_REPLAY runs one schedule", "[explore]") {
    std::string text;
    {
        const stderr_capture told;
        CHECK_THROWS(explore(by(strategy::pct, 10'000), [] { overtaken(); }));
        text = told.text();
    }
    const auto r = run_case_in_subprocess(
        "child: a schedule from the environment",
        {.env = {"VOLE_REPLAY=" + after_label(text, "to run it again: VOLE_REPLAY=")}});
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK_THAT(r.out, Catch::StartsWith("[abba]\n") || Catch::Contains("\n[abba]\n"));
    CHECK(r.out.find("[ab") == r.out.rfind("[ab"));
}

TEST_CASE("what leaves another goroutine fails the schedule", "[explore]") {
    const stderr_capture told;
    CHECK_THROWS_WITH(explore([] { vole::go([] { throw std::runtime_error("of a child"); }); }),
                      "of a child");
}

TEST_CASE("a deadlock fails the schedule, whatever it waits for", "[explore]") {
    const auto stuck = "deadlock: all goroutines in bubble are blocked";
    void (*const programs[])() = {
        [] { vole::make_chan<int>().recv(); },
        [] {
            vole::mutex mu;
            mu.lock();
            mu.lock();
        },
        [] {
            vole::rw_mutex mu;
            mu.lock_shared();
            mu.lock();
        },
        [] {
            vole::wait_group g;
            g.add(1);
            g.wait();
        },
        [] { vole::weighted_semaphore(1).acquire(2); },
    };
    const stderr_capture told;
    for (auto* program : programs) CHECK_THROWS_WITH(explore(program), stuck);
    CHECK_THROWS_WITH(explore([] { vole::go([] { vole::make_chan<int>().recv(); }); }),
                      Catch::StartsWith("deadlock: main bubble goroutine has exited"));
    CHECK_THAT(told.text(), Catch::Contains("[chan receive (durable), synctest bubble "));
}

TEST_CASE("child: an assertion in a schedule", "[.child]") {
    explore(by(strategy::random_walk, 10'000), [] {
        if (interleaved(2, 2) == "abba") std::abort();
    });
}
TEST_CASE("child: the schedule that ended the process", "[.child]") {
    std::printf("[%d]\n", static_cast<int>(explore([] {
                                               std::printf("[%s]\n", interleaved(2, 2).c_str());
                                           }).schedules));
}
TEST_CASE("a process that aborts says how to come there again", "[explore]") {
    const auto r = run_case_in_subprocess("child: an assertion in a schedule");
    INFO(r.text());
    CHECK(r.aborted());
    const std::string replay = after_label(r.err, "to run it again: VOLE_REPLAY=");
    REQUIRE_THAT(replay, Catch::StartsWith("path:"));
    const auto again = run_case_in_subprocess("child: the schedule that ended the process",
                                              {.env = {"VOLE_REPLAY=" + replay}});
    CHECK_THAT(again.out, Catch::Contains("[abba]\n[1]\n"));
}

TEST_CASE("a schedule that does not come to an end by itself is made fair", "[explore]") {
    auto o = by(strategy::pct, 20);
    o.max_steps = 200;
    const auto result = explore(o, [] {
        vole::atomic<bool> go_on{false};
        vole::wait_group done;
        done.go([&] {
            while (!go_on.load()) {
            }
        });
        done.go([&] { go_on.store(true); });
        done.wait();
    });
    CHECK(result.schedules == 20);
    CHECK(result.cut > 0);
    CHECK(result.cut < 20);
}

namespace {
// Those that wait for what nobody does; the others are done.
void waits_in_vain(int waiters) {
    vole::atomic<bool> go_on{false};
    vole::wait_group done;
    for (int i = 0; i < waiters; ++i) {
        done.go([&] {
            while (!go_on.load()) {
            }
        });
    }
    done.go([&] { go_on.load(); });
    done.wait();
}
}  // namespace

TEST_CASE("a schedule that never ends has failed, and can be run again", "[explore]") {
    for (const int waiters : {1, 3}) {
        auto o = by(strategy::random_walk, 20);
        o.max_steps = 200;
        for (int time = 0; time < 2; ++time) {
            const stderr_capture told;
            CHECK_THROWS_WITH(explore(o, [=] { waits_in_vain(waiters); }),
                              Catch::StartsWith("livelock: no end"));
            o.replay = after_label(told.text(), "to run it again: VOLE_REPLAY=");
            CHECK(o.replay != "");
        }
    }
}

// ---- where and how it is called ---------------------------------------------------------------

TEST_CASE("from a goroutine, a thread, several at once, but not in a bubble", "[explore]") {
    const auto complete = [] {
        return outcomes(all_schedules(-1), [] { return interleaved(2, 2); }).size() == 6;
    };
    CHECK(complete());
    vole::run([&] { CHECK(complete()); });
    bool both[2] = {false, false};
    vole::run([&] {
        vole::wait_group done;
        for (bool& b : both) {
            done.go([&b] {
                std::set<std::string> seen;
                explore(all_schedules(-1), [&] { seen.insert(interleaved(2, 2)); });
                b = seen.size() == 6;
            });
        }
        done.wait();
    });
    CHECK(both[0]);
    CHECK(both[1]);
    CHECK_THROWS_WITH(synctest::test([] { explore([] {}); }),
                      "synctest.Run called from within a synctest bubble");
}

TEST_CASE("what comes from outside gives the turn, too", "[explore]") {
    auto from_outside = vole::make_chan<int>();
    auto to_outside = vole::make_chan<void>();
    vole::run([&] {
        vole::go([&] {
            for (int i = 0; i < 50; ++i) {
                to_outside.recv();
                from_outside.send(i);
            }
        });
        int sum = 0;
        explore(by(strategy::random_walk, 50), [&] {
            vole::wait_group done;
            done.go([&] { sum += from_outside.recv().value_or(0); });
            done.go([&] { to_outside.send(); });
            done.wait();
        });
        CHECK(sum == 50 * 49 / 2);
    });
}

TEST_CASE("options and replays that make no sense are refused", "[explore]") {
    explore_options o;
    o.depth = 0;
    CHECK_THROWS_AS(explore(o, [] {}), std::invalid_argument);
    o = {};
    o.max_steps = 0;
    CHECK_THROWS_AS(explore(o, [] {}), std::invalid_argument);
    for (const char* replay : {"x", "walk:", "walk:1x", "pct:1:2", "pct:0:1:1", "pct:1:0:1", "path",
                               "path:1", "path:1=2,", "path:2=1,1=1", "path:1=1;2=2"}) {
        o = {};
        o.replay = replay;
        CHECK_THROWS_WITH(explore(o, [] {}), Catch::Contains("is no replay of a schedule"));
    }
}

TEST_CASE("no more schedules are begun after the time limit", "[explore]") {
    auto o = by(strategy::random_walk, ~std::uint64_t{0});
    o.time_limit = 20ms;
    const auto result = explore(o, [] { interleaved(2, 2); });
    CHECK(result.schedules >= 1);
    CHECK(!result.complete);
}
