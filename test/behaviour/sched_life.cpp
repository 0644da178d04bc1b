// The life of a goroutine: how it starts, what it is given, how it ends, and what run() makes of it.
// Cites SCHED-43 to SCHED-51.
#include <catch2/catch.hpp>

#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace vole::test;

namespace {

/// Runs f in a goroutine from inside run() and waits for its end.
template <class F>
void in_goroutine(F f) {
    vole::run([&] {
        vole::wait_group done;
        done.go([&] { f(); });
        done.wait();
    });
}

int doubled(int x) { return 2 * x; }

struct counted {
    static inline std::atomic<int> alive{0};
    counted() { ++alive; }
    counted(const counted&) { ++alive; }
    counted(counted&&) noexcept { ++alive; }
    ~counted() { --alive; }
};

struct throws_on_copy {
    throws_on_copy() = default;
    throws_on_copy(const throws_on_copy&) { throw std::logic_error("copy"); }
    void operator()() const {}
};

}  // namespace

TEST_CASE("SCHED-45 run returns what main returns", "[sched][run]") {
    CHECK(vole::run([] { return 42; }) == 42);
    CHECK(*vole::run([] { return std::make_unique<int>(7); }) == 7);
    CHECK(vole::run([] { return std::string(100'000, 'x'); }).size() == 100'000);
    int target = 1;
    int& got = vole::run([&]() -> int& { return target; });
    CHECK(&got == &target);
    bool ran = false;
    vole::run([&] { ran = true; });
    CHECK(ran);
    CHECK(vole::run(vole::options{}, [] { return 3; }) == 3);
    const auto move_only = [p = std::make_unique<int>(5)] { return *p; };
    CHECK(vole::run(std::move(move_only)) == 5);
}

TEST_CASE("SCHED-45 what leaves main leaves run", "[sched][run]") {
    CHECK_THROWS_AS(vole::run([] { throw std::out_of_range("x"); }), std::out_of_range);
    CHECK_THROWS_AS(vole::run([]() -> int { throw 5; }), int);
    CHECK_THROWS_WITH(vole::run([] { throw vole::runtime_error("text"); }), "text");
    CHECK(vole::run([] { return 1; }) == 1);
}

TEST_CASE("SCHED-45 run may be called again; goroutines left behind go on", "[sched][run]") {
    std::atomic<bool> stop{false};
    std::atomic<int> turns{0};
    vole::run([&] {
        vole::go([&] {
            while (!stop) {
                ++turns;
                vole::gosched();
            }
        });
    });
    const int before = turns;
    CHECK(wait_until([&] { return turns > before; }));  // between the runs
    std::size_t found = 0;
    vole::run([&] {
        found = vole::num_goroutine();
        stop = true;
        only_left(1);
    });
    CHECK(found == 2);
    CHECK(only_left(0));
    for (int i = 0; i < 1000; ++i) REQUIRE(vole::run([i] { return i; }) == i);
}

TEST_CASE("SCHED-45 run from several threads at once", "[sched][run]") {
    constexpr int count = 8;
    std::array<int, count> results{};
    std::atomic<int> inside{0};
    bool all_inside = true;
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
        threads.emplace_back([&, i] {
            results[static_cast<std::size_t>(i)] = vole::run([&, i] {
                // All are inside at the same time.
                ++inside;
                if (!wait_until([&] { return inside == count; })) all_inside = false;
                return i;
            });
        });
    }
    for (auto& t : threads) t.join();
    CHECK(all_inside);
    for (int i = 0; i < count; ++i) CHECK(results[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("SCHED-45 run from a goroutine is an error that leaves everything intact",
          "[sched][run]") {
    std::string text;
    in_goroutine([&] {
        try {
            vole::run([] {});
        } catch (const vole::runtime_error& e) {
            text = e.what();
        }
    });
    CHECK_FALSE(text.empty());
    CHECK_THROWS_AS(vole::run([] { vole::run([] {}); }), vole::runtime_error);
    CHECK(vole::run([] { return 1; }) == 1);
}

TEST_CASE("SCHED-45 options that can not be had", "[sched][run]") {
    vole::options opts;
    opts.max_procs = 4097;
    CHECK_THROWS_AS(vole::run(opts, [] {}), std::invalid_argument);
    CHECK(vole::run([] { return 1; }) == 1);
}

TEST_CASE("SCHED-76 go before any run and outside of one", "[sched][go]") {
    std::atomic<int> count{0};
    for (int i = 0; i < 100; ++i) vole::go([&] { ++count; });
    CHECK(wait_until([&] { return count == 100; }));
    CHECK(only_left(0));
}

TEST_CASE("SCHED-44 arguments are evaluated and copied in the caller", "[sched][go]") {
    std::vector<int> got;
    std::string text = "before";
    std::string seen;
    vole::run([&] {
        vole::wait_group done;
        done.add(3);
        int x = 1;
        vole::go(
            [&](int a, int b) {
                got = {a, b};
                done.done();
            },
            x, x + 1);
        x = 100;
        vole::go(
            [&](const std::string& s) {
                seen = s;
                done.done();
            },
            text);
        text = "after";
        // Move-only arguments, and std::ref for those that want the original.
        vole::go(
            [&](std::unique_ptr<int> p, int& out) {
                out = *p;
                done.done();
            },
            std::make_unique<int>(9), std::ref(x));
        done.wait();
        got.push_back(x);
    });
    CHECK(got == std::vector<int>{1, 2, 9});
    CHECK(seen == "before");
}

TEST_CASE("SCHED-44 whatever can be invoked can be started", "[sched][go]") {
    struct object {
        std::atomic<int> calls{0};
        void method(int n) { calls += n; }
    } o;
    std::atomic<int> calls{0};
    vole::run([&] {
        vole::go(doubled, 4);              // a function whose result is dropped
        vole::go(&object::method, &o, 3);  // a member function
        vole::go(std::function<void()>([&] { ++calls; }));
        struct big {
            std::array<char, 5000> bytes{};
            std::atomic<int>* n;
            void operator()() const { *n += bytes[4999] + 1; }
        };
        vole::go(big{{}, &calls});
        struct alignas(256) aligned {
            std::atomic<int>* n;
            void operator()() const { *n += reinterpret_cast<std::uintptr_t>(this) % 256 == 0; }
        };
        vole::go(aligned{&calls});
        only_left(1);
    });
    CHECK(o.calls == 3);
    CHECK(calls == 3);
}

TEST_CASE("SCHED-43 go of a null function throws in the caller", "[sched][go]") {
    std::vector<std::string> texts;
    std::size_t more = 99;
    vole::run([&] {
        const auto attempt = [&](auto f) {
            try {
                vole::go(f);
            } catch (const vole::runtime_error& e) {
                texts.emplace_back(e.what());
            }
        };
        attempt(std::function<void()>{});
        attempt(static_cast<void (*)()>(nullptr));
        more = vole::num_goroutine();
    });
    CHECK(texts == std::vector<std::string>{"go of nil func value", "go of nil func value"});
    CHECK(more == 1);
    CHECK_THROWS_WITH(vole::go(std::function<void()>{}), "go of nil func value");
}

TEST_CASE("SCHED-43 a closure that throws while copied starts nothing", "[sched][go]") {
    const throws_on_copy f;
    bool thrown = false;
    std::size_t more = 99;
    vole::run([&] {
        try {
            vole::go(f);
        } catch (const std::logic_error&) {
            thrown = true;
        }
        more = vole::num_goroutine();
    });
    CHECK(thrown);
    CHECK(more == 1);
}

TEST_CASE("SCHED-44 closure and arguments are destroyed when the goroutine ends", "[sched][go]") {
    vole::run([] {
        vole::go([c = counted()] {});
        vole::go([](const counted&) {}, counted());
        vole::go([c = counted()] { vole::goexit(); });
        vole::go([c = counted(), pad = std::array<char, 300>()] { (void)pad; });
        only_left(1);
    });
    CHECK(wait_until([] { return counted::alive == 0; }));
}

TEST_CASE("SCHED-48 num_goroutine counts what exists", "[sched][count]") {
    std::vector<std::size_t> seen;
    vole::run([&] {
        seen.push_back(vole::num_goroutine());
        vole::wait_group gate;
        vole::wait_group done;
        gate.add(1);
        for (int i = 0; i < 100; ++i) done.go([&] { gate.wait(); });
        seen.push_back(vole::num_goroutine());
        gate.done();
        done.wait();
        only_left(1);
        seen.push_back(vole::num_goroutine());
    });
    CHECK(seen == std::vector<std::size_t>{1, 101, 1});
    CHECK(vole::num_goroutine() == 0);
    CHECK(vole::read_stats().goroutines == 0);
}

TEST_CASE("SCHED-48 tracebacks show as many goroutines as are counted", "[sched][count]") {
    std::size_t counted_then = 0;
    std::size_t shown = 0;
    vole::run([&] {
        vole::wait_group gate;
        gate.add(1);
        for (int i = 0; i < 20; ++i) vole::go([&] { gate.wait(); });
        wait_until([&] {
            counted_then = vole::num_goroutine();
            const std::string all = traceback();
            shown = 0;
            for (std::size_t at = 0; (at = all.find("goroutine ", at)) != std::string::npos; ++at) {
                shown += at == 0 || all[at - 1] == '\n';
            }
            return shown == counted_then;
        });
        gate.done();
        only_left(1);
    });
    CHECK(counted_then == 21);
    CHECK(shown == 21);
}

TEST_CASE("SCHED-49 ids are unique and never used again", "[sched][id]") {
    CHECK(vole::goroutine_id() == 0);
    constexpr std::size_t count = 5000;
    std::vector<std::uint64_t> ids(count);
    bool stable = true;
    vole::run([&] {
        const auto mine = vole::goroutine_id();
        vole::wait_group done;
        for (std::size_t i = 0; i < count; ++i) {
            done.go([&, i] { ids[i] = vole::goroutine_id(); });
            if (i % 10 == 0) done.wait();
        }
        done.wait();
        stable = mine == vole::goroutine_id() && mine != 0;
    });
    CHECK(stable);
    std::set<std::uint64_t> distinct(ids.begin(), ids.end());
    CHECK(distinct.size() == count);
    CHECK_FALSE(distinct.contains(0));
}

TEST_CASE("SCHED-46 goexit runs destructors, innermost first, and ends only the goroutine",
          "[sched][goexit]") {
    std::vector<int> order;
    bool after = false;
    vole::run([&] {
        struct note_end {
            std::vector<int>* order;
            int n;
            ~note_end() { order->push_back(n); }
        };
        vole::wait_group done;
        done.go([&] {
            note_end one{&order, 1};
            note_end two{&order, 2};
            [&] {
                note_end three{&order, 3};
                vole::goexit();
            }();
            after = true;
        });
        done.wait();
    });
    CHECK(order == std::vector<int>{3, 2, 1});
    CHECK_FALSE(after);
    CHECK(only_left(0));
}

TEST_CASE("SCHED-46 goexit is no std::exception and passes a catch-all that rethrows",
          "[sched][goexit]") {
    bool typed = false;
    bool all = false;
    bool after = false;
    bool had_exception = true;
    in_goroutine([&] {
        try {
            try {
                vole::goexit();
            } catch (const std::exception&) {
                typed = true;
            }
        } catch (...) {
            all = true;
            had_exception = static_cast<bool>(std::current_exception());
            throw;
        }
        after = true;
    });
    CHECK_FALSE(typed);
    CHECK(all);
    CHECK_FALSE(had_exception);  // it is not an exception that could be kept
    CHECK_FALSE(after);
}

TEST_CASE("SCHED-46 goexit in a nested call, in the middle of a catch block", "[sched][goexit]") {
    int destroyed = 0;
    bool caught = false;
    in_goroutine([&] {
        struct bump {
            int* n;
            ~bump() { ++*n; }
        } a{&destroyed};
        try {
            throw std::runtime_error("first");
        } catch (const std::runtime_error&) {
            caught = true;
            bump b{&destroyed};
            vole::goexit();
        }
    });
    CHECK(caught);
    CHECK(destroyed == 2);
    // The thread's exception state is clean for whoever runs there next.
    bool clean = false;
    in_goroutine([&] { clean = !std::current_exception() && std::uncaught_exceptions() == 0; });
    CHECK(clean);
}

TEST_CASE("SCHED-46 destructors may yield and block during goexit", "[sched][goexit]") {
    bool done_first = false;
    std::atomic<int> other{0};
    vole::run([&] {
        vole::wait_group gate;
        vole::wait_group done;
        gate.add(1);
        done.go([&] {
            struct waits {
                vole::wait_group* gate;
                bool* flag;
                ~waits() {
                    vole::gosched();
                    gate->wait();
                    *flag = true;
                }
            } w{&gate, &done_first};
            vole::goexit();
        });
        done.go([&] {
            ++other;
            gate.done();
        });
        done.wait();
    });
    CHECK(done_first);
    CHECK(other == 1);
}

TEST_CASE("SCHED-46 goexit outside a goroutine is an error", "[sched][goexit]") {
    CHECK_THROWS_AS(vole::goexit(), vole::runtime_error);
}

TEST_CASE("SCHED-49 a recycled goroutine starts clean", "[sched][life]") {
    // Goroutines end in every way there is, then many others look at what they inherit.
    std::atomic<int> dirty{0};
    vole::run([&] {
        for (int i = 0; i < 300; ++i) {
            vole::go([&, i] {
                errno = 7;
                switch (i % 3) {
                    case 0:
                        vole::lock_os_thread();
                        vole::unlock_os_thread();
                        return;
                    case 1: vole::goexit();
                    default: try { throw i;
                        } catch (int) {
                            return;
                        }
                }
            });
        }
        only_left(1);
        for (int i = 0; i < 300; ++i) {
            vole::go([&] {
                vole::gosched();
                if (std::current_exception() || std::uncaught_exceptions() != 0) ++dirty;
            });
        }
        only_left(1);
    });
    CHECK(dirty == 0);
}

TEST_CASE("SCHED-50 creating and ending many goroutines uses bounded memory", "[sched][life]") {
    const int count = scaled(200'000);
    std::uint64_t slots_early = 0;
    std::uint64_t slots_late = 0;
    vole::run([&] {
        vole::wait_group done;
        for (int i = 0; i < count; ++i) {
            done.go([] {});
            if (i % 100 == 99) done.wait();
            if (i == count / 10) slots_early = vole::read_stats().stack_slots;
        }
        slots_late = vole::read_stats().stack_slots;
    });
    CHECK(slots_late <= slots_early + 512);
    CHECK(only_left(0));
}

TEST_CASE("SCHED-44 stack policies and names", "[sched][go]") {
    CHECK(vole::stack_policy().size() == 256 * 1024);
    CHECK(vole::stack_policy::reserved().size() == 256 * 1024);
    CHECK(vole::stack_policy::reserved(1 << 20).size() == 1 << 20);
    CHECK(vole::stack_policy::reserved((1 << 20) + 1).size() % 4096 == 0);
    CHECK_THROWS_AS(vole::stack_policy::reserved(100), std::invalid_argument);
    CHECK_THROWS_AS(vole::stack_policy::reserved(std::size_t{2} << 30), std::invalid_argument);

    std::array<unsigned, 3> sums{};
    bool named = false;
    vole::run([&] {
        // Each touches most of the stack it asked for.
        const auto fill = [](std::size_t bytes) {
            volatile char* block = static_cast<char*>(__builtin_alloca(bytes));
            unsigned sum = 0;
            for (std::size_t i = 0; i < bytes; i += 1024) block[i] = 1;
            for (std::size_t i = 0; i < bytes; i += 1024) sum += static_cast<unsigned>(block[i]);
            return sum;
        };
        vole::wait_group done;
        done.add(3);
        vole::go(vole::go_options{"small", vole::stack_policy::reserved(64 * 1024)}, [&] {
            sums[0] = fill(32 * 1024);
            done.done();
        });
        vole::go([&] {
            sums[1] = fill(200 * 1024);
            done.done();
        });
        vole::go(vole::go_options{"large", vole::stack_policy::reserved(8 << 20)}, [&] {
            sums[2] = fill(7 << 20);
            done.done();
        });
        done.wait();

        vole::wait_group gate;
        gate.add(1);
        std::string name = "a name of mine";
        vole::go(vole::go_options{name, {}}, [&] { gate.wait(); });
        name = "overwritten!!!";
        named = traceback().find("a name of mine") != std::string::npos;
        gate.done();
        only_left(1);
    });
    CHECK(sums == std::array<unsigned, 3>{32, 200, 7 * 1024});
    CHECK(named);
}
