// vole::single_flight. Cites SYNC-89 to SYNC-97.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/panic.hpp>
#include <vole/single_flight.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/duel.hpp"
#include "test/support/findings.hpp"
#include "test/support/subprocess.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

using flights = vole::single_flight<std::string, int>;

static_assert(!std::is_copy_constructible_v<flights>);
static_assert(!std::is_move_constructible_v<flights>);

namespace {

constinit flights global;  // SYNC-95

// Lets f run, in a goroutine, until it is released.
struct gate {
    vole::chan<void> entered = vole::make_chan<void>(1);
    vole::chan<void> opened = vole::make_chan<void>();

    void pass() {
        entered.send();
        opened.recv();
    }
};

// On one P: everybody who could run has blocked.
template <class Body>
void on_one_p(Body body) {
    run_on(1, [&] { body(); });
}

}  // namespace

TEST_CASE("SYNC-89 a call gives what its function returns, and is not shared",
          "[sync][single_flight]") {
    const std::string text = everywhere([](findings& ok) {
        flights all;
        for (int i = 0; i < 3; ++i) {  // forgotten after each
            const auto r = all.call("key", [&] { return i; });
            ok.equal(r.value, i);
            ok(!r.shared);
        }
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-89 calls at the same time run one function, and all know that",
          "[sync][single_flight]") {
    int runs = 0;
    std::vector<int> values;
    std::vector<bool> shared;
    int again = 0;
    on_one_p([&] {
        flights all;
        gate g;
        vole::wait_group done;
        for (int i = 0; i < 10; ++i) {
            done.go([&, i] {
                const auto r = all.call("key", [&, i] {
                    ++runs;
                    g.pass();
                    return 100 + i;
                });
                values.push_back(r.value);
                shared.push_back(r.shared);
            });
        }
        g.entered.recv();
        settle();
        g.opened.close();
        done.wait();
        again = all.call("key", [&] { return ++runs; }).value;
    });
    CHECK(again == 2);
    REQUIRE(values.size() == 10);
    CHECK(values == std::vector<int>(10, values[0]));
    CHECK(shared == std::vector<bool>(10, true));
}

TEST_CASE("SYNC-89 other keys are other calls", "[sync][single_flight]") {
    std::string order;
    on_one_p([&] {
        flights all;
        gate g;
        vole::wait_group done;
        done.go([&] {
            all.call("slow", [&] {
                g.pass();
                return 0;
            });
            order += 's';
        });
        g.entered.recv();
        all.call("quick", [&] { return 1; });
        order += 'q';
        g.opened.close();
        done.wait();
    });
    CHECK(order == "qs");
}

TEST_CASE("SYNC-89 shared is said to all or to none", "[sync][single_flight]") {
    for (const int procs : {2, 4}) {
        findings ok;
        run_on(procs, [&] {
            vole::single_flight<int, int> all;
            const int rounds = scaled(2000);
            std::vector<std::atomic<int>> got(static_cast<std::size_t>(rounds) * 4 + 1);
            std::vector<std::atomic<int>> claimed(got.size());
            std::atomic<int> ids{0};
            vole::wait_group done;
            for (int g = 0; g < 4; ++g) {
                done.go([&] {
                    for (int i = 0; i < rounds; ++i) {
                        const auto r = all.call(0, [&] {
                            const int id = ++ids;
                            if (id % 3 == 0) vole::gosched();
                            return id;
                        });
                        ++got[static_cast<std::size_t>(r.value)];
                        if (r.shared) ++claimed[static_cast<std::size_t>(r.value)];
                    }
                });
            }
            done.wait();
            int sum = 0;
            for (int id = 1; id <= ids; ++id) {
                const int n = got[static_cast<std::size_t>(id)];
                sum += n;
                ok.equal(claimed[static_cast<std::size_t>(id)].load(), n > 1 ? n : 0);
            }
            ok.equal(sum, 4 * rounds);
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("SYNC-89 also to one who comes at the moment of the end", "[sync][single_flight]") {
    findings ok;
    run_on(2, [&] {
        vole::single_flight<int, int> all;
        std::atomic<int> runs{0};
        using result = vole::single_flight<int, int>::result;
        result a{0, false};
        result b{1, false};
        const auto call = [&] { return all.call(0, [&] { return ++runs; }); };
        const auto check = [&] {
            const bool one = a.value == b.value;
            ok(a.shared == one && b.shared == one);
        };
        duel(
            scaled(50000), check, [&] { a = call(); }, [&] { b = call(); });
        check();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-90 after forget the next call runs, and the old one's end does not remove it",
          "[sync][single_flight]") {
    std::vector<int> runs;
    std::vector<int> values(3);
    bool third_joined = false;
    on_one_p([&] {
        flights all;
        gate first;
        gate second;
        vole::wait_group done;
        const auto call = [&](std::size_t i, gate& g) {
            done.go([&, i] {
                const auto r = all.call("key", [&, i] {
                    runs.push_back(static_cast<int>(i));
                    g.pass();
                    return static_cast<int>(i);
                });
                values[i] = r.value;
                if (i == 2) third_joined = r.shared;
            });
        };
        call(0, first);
        first.entered.recv();
        all.forget("key");
        call(1, second);
        second.entered.recv();
        first.opened.close();  // the first ends while the second is in the map
        settle();
        call(2, second);  // joins the second
        settle();
        second.opened.close();
        done.wait();
    });
    CHECK(runs == std::vector<int>{0, 1});
    CHECK(values == std::vector<int>{0, 1, 1});
    CHECK(third_joined);
}

TEST_CASE("SYNC-91 call_chan sends one outcome and leaves the channel open",
          "[sync][single_flight]") {
    const std::string text = everywhere([](findings& ok) {
        flights all;
        auto c = all.call_chan("key", [] { return 5; });
        ok.equal(c.cap(), std::size_t{1});
        const auto r = c.recv();
        ok(r.has_value() && r->value == 5 && r->error == nullptr && !r->shared);
        ok.equal(r->get(), 5);
        const auto more = c.try_recv();
        ok(more.is_empty());
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-91 a channel is enough for both to share", "[sync][single_flight]") {
    std::string shared;
    on_one_p([&] {
        flights all;
        gate g;
        vole::wait_group done;
        done.go([&] {
            const auto r = all.call("key", [&] {
                g.pass();
                return 3;
            });
            shared += r.shared ? "call " : "";
        });
        g.entered.recv();
        const auto c = all.call_chan("key", [] { return 4; });
        g.opened.close();
        done.wait();
        shared += c.recv()->shared ? "chan" : "";
    });
    CHECK(shared == "call chan");
}

TEST_CASE("SYNC-91 a function that cannot be kept leaves no call behind", "[sync][single_flight]") {
    struct uncopyable {
        uncopyable() = default;
        uncopyable(const uncopyable&) { throw std::runtime_error("copy"); }
        int operator()() const { return 1; }
    };
    const std::string text = everywhere([](findings& ok) {
        flights all;
        const uncopyable f;
        ok.throws<std::runtime_error>("copy", [&] { (void)all.call_chan("key", f); });
        ok.equal(all.call("key", [] { return 2; }).value, 2);
    });
    CHECK(text == "");
}

namespace {
// Throws while it is told to.
struct touchy_equal {
    static inline std::atomic<bool> touched{false};
    bool operator()(int a, int b) const {
        if (touched) throw std::runtime_error("not now");
        return a == b;
    }
};
}  // namespace

TEST_CASE("SYNC-89 a key that could not be forgotten at the end is forgotten by the next",
          "[sync][single_flight]") {
    const std::string text = everywhere([](findings& ok) {
        vole::single_flight<int, int, std::hash<int>, touchy_equal> all;
        const auto touched = [](int n) {
            touchy_equal::touched = true;  // until the call is over
            return n;
        };
        ok.equal(all.call(1, [&] { return touched(1); }).value, 1);
        touchy_equal::touched = false;
        ok.equal(all.call(1, [&] { return touched(2); }).value, 2);
        touchy_equal::touched = false;
        ok.equal(all.call_chan(1, [] { return 3; }).recv()->get(), 3);
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-91 channels and calls share a function", "[sync][single_flight]") {
    int runs = 0;
    int sum = 0;
    int shared = 0;
    on_one_p([&] {
        flights all;
        gate g;
        const auto f = [&] {
            ++runs;
            g.pass();
            return 3;
        };
        auto a = all.call_chan("key", f);
        g.entered.recv();
        auto b = all.call_chan("key", f);
        vole::wait_group done;
        done.go([&] {
            const auto r = all.call("key", f);
            sum += r.value;
            shared += r.shared;
        });
        settle();
        g.opened.close();
        done.wait();
        for (const auto& c : {a, b}) {
            const auto r = c.recv();
            sum += r->get();
            shared += r->shared;
        }
    });
    CHECK(runs == 1);
    CHECK(sum == 9);
    CHECK(shared == 3);
}

TEST_CASE("SYNC-92 every caller throws what the function throws", "[sync][single_flight]") {
    std::vector<std::string> thrown;
    std::string by_chan;
    int after = 0;
    on_one_p([&] {
        flights all;
        gate g;
        vole::wait_group done;
        const auto f = [&]() -> int {
            g.pass();
            throw std::out_of_range("the same");
        };
        for (int i = 0; i < 4; ++i) {
            done.go([&] {
                try {
                    all.call("key", f);
                } catch (const std::out_of_range& e) {
                    thrown.emplace_back(e.what());
                }
            });
        }
        g.entered.recv();
        auto c = all.call_chan("key", f);
        settle();
        g.opened.close();
        done.wait();
        try {
            c.recv()->get();
        } catch (const std::out_of_range& e) {
            by_chan = e.what();
        }
        after = all.call("key", [] { return 1; }).value;
    });
    CHECK(thrown == std::vector<std::string>(4, "the same"));
    CHECK(by_chan == "the same");
    CHECK(after == 1);
}

TEST_CASE("SYNC-92 an exception in call_chan's function is part of the outcome, and no panic",
          "[sync][single_flight]") {
    const auto before = vole::set_panic_handler([](const vole::panic_value&) { std::abort(); });
    const std::string text = everywhere([](findings& ok) {
        flights all;
        auto c = all.call_chan("key", []() -> int { throw std::out_of_range("inside"); });
        ok.throws<std::out_of_range>("inside", [&] { c.recv()->get(); });
    });
    vole::set_panic_handler(before);
    CHECK(text == "");
}

TEST_CASE("SYNC-92 what the copy of a value throws is the outcome, too", "[sync][single_flight]") {
    // No std::runtime_error: TSan does not see how libstdc++ counts the references to its text.
    struct refused : std::exception {
        const char* what() const noexcept override { return "copy"; }
    };
    struct touchy {
        bool touched = true;
        touchy() = default;
        touchy(touchy&& other) noexcept = default;
        touchy(const touchy& other) : touched(other.touched) {
            if (touched) throw refused();
        }
    };
    const std::string text = everywhere([](findings& ok) {
        vole::single_flight<int, touchy> all;
        const auto c = all.call_chan(1, [] { return touchy(); });
        ok.throws<refused>("copy", [&] { (void)c.recv()->get(); });
        ok.throws<refused>("copy", [&] { (void)all.call(1, [] { return touchy(); }); });
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-94 a null function is an error of the call", "[sync][single_flight]") {
    const std::string text = everywhere([](findings& ok) {
        flights all;
        const std::function<int()> none;
        ok.throws<vole::runtime_error>("call of nil func value",
                                       [&] { (void)all.call("key", none); });
        ok.equal(all.call("key", [] { return 1; }).value, 1);
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-92 if the function calls goexit, every caller does", "[sync][single_flight]") {
    int began = 0;
    int returned = 0;
    int ended = 0;
    std::string by_chan;
    int after = 0;
    int panics = 0;
    bool shared = false;
    const auto before = vole::set_panic_handler([&](const vole::panic_value&) { ++panics; });
    on_one_p([&] {
        flights all;
        gate g;
        vole::wait_group done;
        const auto f = [&]() -> int {
            g.pass();
            vole::goexit();
        };
        for (int i = 0; i < 4; ++i) {
            done.go([&] {
                const vole::defer d{[&] { ++ended; }};
                ++began;
                all.call("key", f);
                ++returned;
            });
        }
        g.entered.recv();
        auto c = all.call_chan("key", f);
        settle();
        g.opened.close();
        done.wait();
        const auto told = c.recv();
        shared = told->shared;
        try {
            told->get();
        } catch (const vole::runtime_error& e) {
            by_chan = e.what();
        }
        auto led = all.call_chan("key", []() -> int { vole::goexit(); });
        try {
            led.recv()->get();
        } catch (const vole::runtime_error& e) {
            by_chan += std::string(" ") + e.what();
        }
        after = all.call("key", [] { return 1; }).value;
    });
    vole::set_panic_handler(before);
    CHECK(panics == 0);
    CHECK(shared);
    CHECK(began == 4);
    CHECK(returned == 0);
    CHECK(ended == 4);
    CHECK(by_chan == "singleflight: goexit in the function singleflight: goexit in the function");
    CHECK(after == 1);
}

TEST_CASE("SYNC-93 the function may call for other keys", "[sync][single_flight]") {
    const std::string text = everywhere([](findings& ok) {
        flights all;
        const auto r = all.call("outer", [&] {
            return all.call("inner", [] { return 20; }).value +
                   all.call_chan("chan", [] { return 1; }).recv()->get();
        });
        ok.equal(r.value, 21);
    });
    CHECK(text == "");
}

TEST_CASE("child: single_flight inside itself", "[.child]") {
    vole::run([] {
        flights all;
        all.call("key", [&] { return all.call("key", [] { return 1; }).value; });
    });
}

TEST_CASE("SYNC-93 a call for its own key waits for itself", "[sync][single_flight]") {
    const auto r = run_case_in_subprocess("child: single_flight inside itself");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("all goroutines are asleep - deadlock!"));
}

TEST_CASE("SYNC-89 the result of one call belongs to those who asked for it",
          "[sync][single_flight]") {
    const std::string text = everywhere([](findings& ok) {
        vole::single_flight<int, std::shared_ptr<int>> all;
        auto p = std::make_shared<int>(1);
        {
            const auto r = all.call(1, [&] { return p; });
            ok.equal(p.use_count(), 2L);
        }
        ok.equal(p.use_count(), 1L);
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-95 a group at namespace scope works before any run", "[sync][single_flight]") {
    CHECK(global.call("key", [] { return 4; }).value == 4);
    CHECK(global.call_chan("key", [] { return 5; }).recv()->get() == 5);
}

TEST_CASE("SYNC-96 who has waited may destroy the group at once", "[sync][single_flight]") {
    int ended = 0;
    const int rounds = scaled(500);
    run_on(4, [&] {
        for (int i = 0; i < rounds; ++i) {
            auto all = std::make_unique<flights>();
            auto a = all->call_chan("key", [] {
                vole::gosched();
                return 1;
            });
            auto b = all->call_chan("key", [] { return 1; });
            a.recv();
            b.recv();
            all.reset();
            ++ended;
        }
    });
    CHECK(ended == rounds);
}

TEST_CASE("SYNC-97 threads and goroutines share a call", "[sync][single_flight]") {
    std::atomic<int> runs{0};
    std::atomic<int> sum{0};
    run_on(2, [&] {
        flights all;
        gate g;
        std::vector<std::thread> threads;
        vole::wait_group done;
        std::atomic<int> began{0};
        const auto ask = [&] {
            ++began;
            sum += all.call("key",
                            [&] {
                                ++runs;
                                g.pass();
                                return 1;
                            })
                       .value;
        };
        for (int i = 0; i < 3; ++i) threads.emplace_back(ask);
        for (int i = 0; i < 3; ++i) done.go(ask);
        g.entered.recv();
        wait_until([&] { return began == 6; });
        g.opened.close();  // who has not joined by now runs on
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
        done.wait();
    });
    CHECK(sum == 6);
    CHECK(runs >= 1);
}
