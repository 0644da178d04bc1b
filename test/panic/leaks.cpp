// The leak check for tests: <vole/testing.hpp>.
#include "test/panic/panic_support.hpp"

#include <vole/testing.hpp>

#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/reclaim.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <sstream>
#include <thread>

namespace vole::test {

using namespace std::chrono_literals;
using testing::goroutine_leaks;
using testing::leaked_goroutine;
using testing::on_leak;

namespace {

using clock = std::chrono::steady_clock;

extern "C" {
[[gnu::noinline]] void leaks_receive(chan<int>* c) {
    c->recv();
    asm volatile("");
}
[[gnu::noinline]] void leaks_start_receiver(chan<int>* c) {
    go({.name = "receiver"}, [c] { leaks_receive(c); });
    asm volatile("");
}
[[gnu::noinline]] void leaks_spin(std::atomic<int>* state) {
    state->store(1);
    while (state->load() != 2) {
    }
    asm volatile("");
}
}

const leaked_goroutine& named(const std::vector<leaked_goroutine>& all, const std::string& name) {
    const auto at =
        std::find_if(all.begin(), all.end(), [&](const auto& g) { return g.name() == name; });
    if (at == all.end()) throw std::runtime_error("no goroutine of this name: " + name);
    return *at;
}

std::vector<leaked_goroutine> found_at_once(goroutine_leaks& leaks) {
    return leaks.patience(0s).find();
}

// At the end of a case: what its goroutines refer to is about to go.
bool gone(goroutine_leaks& leaks) { return leaks.patience(patience()).find().empty(); }

// A goroutine that waits until it is released; for a scope.
class waiter {
  public:
    explicit waiter(const std::string& name = "waiter") {
        go({.name = name}, [c = c_] { leaks_receive(const_cast<chan<int>*>(&c)); });
    }
    ~waiter() { c_.close(); }
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;

  private:
    chan<int> c_ = make_chan<int>();
};

}  // namespace

TEST_CASE("leaks: none, on an ordinary thread around run and inside a goroutine") {
    goroutine_leaks outside;
    run_on(2, [] {
        goroutine_leaks inside;
        wait_group w;
        for (int i = 0; i < 100; ++i) w.go([] { gosched(); });
        w.wait();
        CHECK(inside.text() == "");
    });
    CHECK(outside.find().empty());
    CHECK(outside.text() == "");
}

TEST_CASE("leaks: what they wait for, where, and who started them") {
    run_on(1, [] {
        goroutine_leaks leaks;
        auto c = make_chan<int>();
        auto d = make_chan<int>();
        mutex m;
        m.lock();
        wait_group w;
        w.add(1);
        leaks_start_receiver(&c);
        go({.name = "sender"}, [&] { d.send(1); });
        go({.name = "selecter"}, [&] { select(on_recv(c, [](auto) {}), on_recv(c, [](auto) {})); });
        go({.name = "locker"}, [&] { const std::lock_guard held(m); });
        go({.name = "joiner"}, [&] { w.wait(); });
        settle();
        const auto left = found_at_once(leaks);
        INFO(to_text(left));
        REQUIRE(left.size() == 5);
        CHECK(named(left, "receiver").state() == "chan receive");
        CHECK(named(left, "sender").state() == "chan send");
        CHECK(named(left, "selecter").state() == "select");
        CHECK(named(left, "locker").state() == "sync.Mutex.Lock");
        CHECK(named(left, "joiner").state() == "sync.WaitGroup.Wait");

        const leaked_goroutine& receiver = named(left, "receiver");
        CHECK(receiver.minutes() == 0);
        CHECK(receiver.parent() == goroutine_id());
        CHECK(receiver.id() != goroutine_id());
        if (has_lines) {
            CHECK_THAT(receiver.created_by(), Catch::StartsWith("leaks_start_receiver\n\t") &&
                                                  Catch::Contains("test/panic/leaks.cpp:") &&
                                                  !Catch::Contains("+0x"));
            if (walks_parked) {
                CHECK_THAT(receiver.frames(), Catch::StartsWith("leaks_receive\n\t"));
                CHECK_THAT(receiver.frames(), !Catch::Contains("detail"));
            }
            CHECK_THAT(receiver.text(),
                       Catch::Contains("\ncreated by leaks_start_receiver in goroutine " +
                                       std::to_string(goroutine_id()) + "\n\t"));
        }
        CHECK_THAT(receiver.text(), Catch::StartsWith("goroutine " + std::to_string(receiver.id()) +
                                                      " [chan receive]: receiver\n"));
        std::ostringstream out;
        out << receiver;
        CHECK(out.str() == receiver.text());

        m.unlock();
        w.done();
        d.recv();
        c.close();
        leaks.patience(patience());
        CHECK(leaks.text() == "");
    });
}

TEST_CASE("leaks: one that loops is stopped for the look, and goes on") {
    std::atomic<int> state{0};
    goroutine_leaks leaks;
    run_on(2, [&] {
        go({.name = "loop"}, [&] { leaks_spin(&state); });
        wait_until([&] { return state.load() == 1; });
        const auto left = found_at_once(leaks);
        INFO(to_text(left));
        REQUIRE(left.size() == 1);
        const std::string& how = left[0].state();
        const bool stopped = how == "runnable, preempted";
        CHECK((stopped || how == "running"));  // the second: no safe point was found in 20 ms
        if (stopped && has_lines) CHECK_THAT(left[0].frames(), Catch::Contains("leaks_spin\n\t"));
        if (!stopped) CHECK_THAT(left[0].frames(), Catch::Contains("stack unavailable"));
        state.store(2);
    });
    CHECK(leaks.patience(patience()).text() == "");
}

TEST_CASE("leaks: one that is inside blocking()") {
    std::atomic<int> state{0};
    run_on(2, [&] {
        goroutine_leaks leaks;
        go([&] {
            blocking([&] {
                state.store(1);
                while (state.load() != 2) std::this_thread::yield();
            });
        });
        wait_until([&] { return state.load() == 1; });
        const auto left = found_at_once(leaks);
        state.store(2);
        REQUIRE(left.size() == 1);
        CHECK(left[0].state() == "syscall");
        CHECK_THAT(left[0].frames(), Catch::Contains("stack unavailable"));
    });
}

TEST_CASE("leaks: those that end a little later are waited for, and no longer") {
    for (const int procs : {1, 2}) {
        const auto begin = clock::now();
        goroutine_leaks outside;
        run_on(procs, [&] {
            goroutine_leaks inside;
            for (int i = 0; i < 3; ++i) {
                go([] {
                    for (int turn = 0; turn < 500; ++turn) gosched();
                });
            }
            CHECK(inside.patience(10 * patience()).text() == "");
            go([] {
                for (int turn = 0; turn < 500; ++turn) gosched();
            });
        });
        CHECK(outside.patience(10 * patience()).text() == "");
        CHECK(clock::now() - begin < 5 * patience());
    }
}

TEST_CASE("leaks: for those that stay, patience is used up") {
    run_on(2, [] {
        goroutine_leaks leaks;
        const waiter stays;
        const auto begin = clock::now();
        const auto left = leaks.patience(30ms).find();
        CHECK(clock::now() - begin >= 30ms);
        CHECK(left.size() == 1);
    });
}

TEST_CASE("leaks: goroutines that are older are not counted; what they start is") {
    run_on(1, [] {
        auto start = make_chan<void>();
        auto end = make_chan<int>();
        go({.name = "old"}, [&] {
            start.recv();
            leaks_start_receiver(&end);
            end.recv();
        });
        settle();
        const std::uint64_t self = goroutine_id();
        goroutine_leaks leaks;
        CHECK(found_at_once(leaks).empty());
        start.send();
        settle();
        const auto left = found_at_once(leaks);
        REQUIRE(left.size() == 1);
        CHECK(left[0].name() == "receiver");
        CHECK(left[0].parent() != self);
        CHECK(left[0].parent() != 0);
        // A later check does not know of it.
        goroutine_leaks later;
        CHECK(found_at_once(later).empty());
        end.close();
        CHECK(gone(leaks));
    });
}

TEST_CASE("leaks: the goroutine that asks is not among them, also when it is new") {
    goroutine_leaks leaks;
    run_on(2, [&] {
        CHECK(found_at_once(leaks).empty());
        CHECK(leaks.patience(patience()).text() == "");
        // Seen by another one, it is.
        std::vector<leaked_goroutine> seen;
        wait_group w;
        w.go([&] { seen = found_at_once(leaks); });
        w.wait();
        REQUIRE(seen.size() == 1);
        CHECK(seen[0].id() == goroutine_id());
        CHECK(seen[0].parent() == 0);
    });
}

TEST_CASE("leaks: in blocking(), on the system stack, tied to a thread") {
    run_on(2, [] {
        goroutine_leaks leaks;
        leaks.patience(2ms);
        const waiter stays;
        CHECK(blocking([&] { return leaks.find().size(); }) == 1);
        CHECK(on_system_stack([&] { return leaks.find().size(); }) == 1);
        lock_os_thread();
        CHECK(leaks.find().size() == 1);
        unlock_os_thread();
        CHECK(leaks.find().size() == 1);
    });
}

TEST_CASE("leaks: ignored by name, by function, by a condition of the caller's") {
    run_on(1, [] {
        auto c = make_chan<int>();
        goroutine_leaks by_name;
        goroutine_leaks by_function;
        goroutine_leaks by_condition;
        goroutine_leaks all;
        goroutine_leaks every;
        auto d = make_chan<int>();
        leaks_start_receiver(&c);
        go({.name = "other"}, [&d] { leaks_receive(&d); });
        settle();
        by_name.patience(10ms).ignore_named("receiver").ignore_named("receive");
        by_function.patience(10ms).ignore_function("start_rec");
        by_condition.patience(10ms).ignore_if(
            [](const leaked_goroutine& g) { return g.state() == "chan receive"; });
        const auto left = by_name.find();
        REQUIRE(left.size() == 1);
        CHECK(left[0].name() == "other");
        if (has_lines) {
            const auto without_creator = by_function.find();
            REQUIRE(without_creator.size() == 1);
            CHECK(without_creator[0].name() == "other");
            // Names of files do not count.
            CHECK(by_function.ignore_function("leaks.cpp").find().size() == 1);
            if (walks_parked) CHECK(by_function.ignore_function("leaks_receive").find().empty());
        }
        CHECK(by_condition.find().empty());
        // When all that are left are ignored, nobody waits for them.
        const auto begin = clock::now();
        all.patience(10 * patience()).ignore_named("other").ignore_named("receiver");
        // And the others are waited for as ever.
        go([] {
            for (int turn = 0; turn < 500; ++turn) gosched();
        });
        CHECK(all.text() == "");
        CHECK(clock::now() - begin < 5 * patience());
        c.close();
        d.close();
        CHECK(gone(every));
    });
}

TEST_CASE("leaks: a hundred thousand give a short text soon") {
    run_on(2, [] {
#if defined(VOLE_TSAN)
        const int many = 2'000;  // it has room for 8,128 threads and fibers
#else
        const int many = scaled(100'000, 2'000);
#endif
        goroutine_leaks leaks;
        auto c = make_chan<int>();
        auto d = make_chan<int>();
        for (int i = 0; i < many; ++i)
            go({.name = i == 0 ? "first" : ""}, [&c] { leaks_receive(&c); });
        for (int i = 0; i < 3; ++i) go({.name = "sender"}, [&d] { d.send(1); });
        const auto parked = [&] {
            const auto left = found_at_once(leaks);
            return std::none_of(left.begin(), left.end(), [](const leaked_goroutine& g) {
                return g.state() != "chan receive" && g.state() != "chan send";
            });
        };
        wait_until(parked);
        const auto begin = clock::now();
        const auto left = found_at_once(leaks);
        const std::string text = to_text(left);
        CHECK(clock::now() - begin < 3s * slowdown());
        INFO(text);
        CHECK(left.size() == static_cast<std::size_t>(many) + 3);
        CHECK(std::is_sorted(left.begin(), left.end(),
                             [](const auto& a, const auto& b) { return a.id() < b.id(); }));
        CHECK_THAT(text, Catch::StartsWith(std::to_string(many + 3) + " goroutines left:\n"));
        CHECK_THAT(text, Catch::Contains("\n3 goroutines [chan send]: "));
        CHECK_THAT(text, Catch::Contains(" (sender), "));
        CHECK(text.size() < 3'000);
        if (walks_parked) {
            // Of so many, some stacks are shown, and it is said that others are not.
            CHECK_THAT(text, Catch::Contains("\n100 goroutines [chan receive]: "));
            CHECK_THAT(text, Catch::Contains("\n" + std::to_string(many - 100) +
                                             " goroutines [chan receive]: ") &&
                                 Catch::Contains("\tstack not looked at: "));
        }
        c.close();
        for (int i = 0; i < 3; ++i) d.recv();
        CHECK(gone(leaks));
    });
}

namespace {
template <int n>
void start_different(chan<int>* c) {
    go([c] {
        c->recv();
        asm volatile("" ::"i"(n));
    });
    if constexpr (n > 1) start_different<n - 1>(c);
}
}  // namespace

TEST_CASE("leaks: equal ones are counted together, whatever copy of a go() has made them") {
    run_on(1, [] {
        goroutine_leaks leaks;
        auto c = make_chan<int>();
        const auto start = [&c](bool other) {
            const auto f = [&c] { leaks_receive(&c); };
            // clang-format off
            if (other) { go(f); asm volatile("" : : "i"(1)); } else { go(f); asm volatile("" : : "i"(2)); }
            // clang-format on
        };
        start(true);
        start(false);
        settle();
        const std::string text = to_text(found_at_once(leaks));
        INFO(text);
        if (has_lines) CHECK_THAT(text, Catch::StartsWith("2 goroutines left:\n\n2 goroutines ["));
        c.close();
        CHECK(gone(leaks));
    });
}

TEST_CASE("leaks: of many different ones twenty are shown") {
    run_on(1, [] {
        goroutine_leaks leaks;
        auto c = make_chan<int>();
        start_different<25>(&c);
        settle();
        const std::string text = to_text(found_at_once(leaks));
        INFO(text);
        CHECK_THAT(text, Catch::StartsWith("25 goroutines left:\n\ngoroutine "));
        CHECK_THAT(text, Catch::EndsWith("\n... and 5 more, of 5 other kinds\n"));
        c.close();
        CHECK(gone(leaks));
    });
}

// For the sanitizers, and for what would fault: names that are freed, stacks in use again, goroutines that
// come back from blocking calls, made by threads, moved about by sysmon.
TEST_CASE("leaks: looks while goroutines come and go") {
    run_on(2, [] {
        static constexpr const char* long_name = "a name that malloc has to find a place for";
        std::atomic<bool> over{false};
        wait_group w;
        std::atomic<std::uint64_t> ended{0};
        const auto churn = [&](auto f) {
            w.go([&over, &ended, f] {
                while (!over.load()) {
                    wait_group one;
                    one.add(2);
                    for (const char* name : {"short", long_name}) {
                        go({.name = name}, [&one, f] {
                            f();
                            one.done();
                        });
                    }
                    one.wait();
                    ended.fetch_add(2);
                }
            });
        };
        churn([] { gosched(); });
        churn([] { blocking([] { std::this_thread::yield(); }); });
        churn([] { on_system_stack([] { blocking([] { std::this_thread::yield(); }); }); });
        auto c = make_chan<int>();
        std::thread starter([&] {
            while (!over.load()) {
                wait_group one;
                one.add(1);
                go({.name = "from a thread"}, [&] {
                    c.try_recv();
                    one.done();
                });
                one.wait();
                detail::reclaim_parked(true);
            }
        });
        goroutine_leaks leaks;
        std::size_t most = 0;
        std::ptrdiff_t wrong_names = 0;
        const std::uint64_t enough = scaled(20'000u, 500u);
        for (int i = 0; i < scaled(300, 30) || ended.load() < enough; ++i) {
            const auto left = found_at_once(leaks);
            most = std::max(most, left.size());
            wrong_names += std::count_if(left.begin(), left.end(), [](const auto& g) {
                return g.name() != "short" && g.name() != long_name && g.name() != "from a thread";
            });
            gosched();
        }
        over.store(true);
        starter.join();
        w.wait();
        CHECK(most > 0);
        CHECK(wrong_names == 0);
        CHECK(leaks.patience(patience()).text() == "");
    });
}

TEST_CASE("child: leaks before the runtime has started", "[.child]") {
    goroutine_leaks leaks;
    CHECK(leaks.find().empty());
    CHECK(leaks.text() == "");
    CHECK_FALSE(detail::runtime_has_started());
    auto c = make_chan<int>();
    run([&] { go({.name = "left"}, [c] { c.recv(); }); });
    const auto left = found_at_once(leaks);
    REQUIRE(left.size() == 1);
    CHECK(left[0].name() == "left");
}

TEST_CASE("leaks: before the runtime has started, and goroutines of a run that is over") {
    const auto r = run_case_in_subprocess("child: leaks before the runtime has started");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("child: leaks reported by the destructor", "[.child]") {
    auto c = make_chan<int>();
    {
        goroutine_leaks none(on_leak::abort);
        run([] {});
    }
    try {
        goroutine_leaks leaks(on_leak::abort);
        run([&] { go({.name = "unseen"}, [c] { c.recv(); }); });
        throw std::runtime_error("the news");
    } catch (const std::runtime_error&) {
    }
    {
        goroutine_leaks leaks(on_leak::report);
        leaks.patience(0s);
        run([&] { go({.name = "reported"}, [c] { c.recv(); }); });
    }
    goroutine_leaks leaks(on_leak::abort);
    leaks.patience(0s);
    run([&] { go({.name = "fatal"}, [c] { c.recv(); }); });
}

TEST_CASE("leaks: the destructor reports, or aborts, but not when an exception is on its way") {
    const auto r = run_case_in_subprocess("child: leaks reported by the destructor");
    INFO(r.text());
    CHECK(r.aborted());
    const auto first = r.err.find("1 goroutine left:\n\ngoroutine ");
    const auto second = r.err.find("1 goroutine left:\n\ngoroutine ", first + 1);
    REQUIRE(first != std::string::npos);
    REQUIRE(second != std::string::npos);
    CHECK(r.err.find("]: reported\n") < second);
    CHECK(r.err.find("]: fatal\n", second) != std::string::npos);
    CHECK_THAT(r.err, !Catch::Contains("unseen"));
}

}  // namespace vole::test
