// A program's own signals: handlers, masks, signal stacks, children; and the choice of another signal. Most
// cases run in processes of their own, because handlers must be there before the runtime starts.
#include <catch2/catch.hpp>

#include <vole/pool.hpp>
#include <vole/sync_map.hpp>

#include "test/preempt/preempt_support.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

extern char** environ;

namespace vole::test {

namespace {

void spin_until(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
    }
}

// On one P: a goroutine loops, after `prepare` on its thread, until the main one runs again, which it can
// only when the P has been taken from the loop, and finds `enough`.
template <class F, class Pred>
void loop_beside_another(F prepare, Pred enough) {
    std::atomic<bool> stop{false};
    run_on(1, [&] {
        std::atomic<bool> begun{false};
        wait_group all;
        all.go([&] {
            prepare();
            begun = true;
            spin_until(stop);
        });
        wait_until([&] { return begun.load() && enough(); });
        stop = true;
        all.wait();
    });
    CHECK(stop);
}

template <class F>
void loop_beside_another(F prepare) {
    loop_beside_another(prepare, [] { return true; });
}

void loop_beside_another() {
    loop_beside_another([] {});
}

void install(int signal, void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    REQUIRE(::sigaction(signal, &action, nullptr) == 0);
}

std::atomic<long> seen_by_program{0};
void count_signal(int) { ++seen_by_program; }
void count_signal_info(int, siginfo_t* info, void* context) {
    if (info != nullptr && context != nullptr) ++seen_by_program;
}

void check_child(const char* name, std::vector<std::string> env = {}) {
    const auto r = run_case_in_subprocess(name, {.env = std::move(env)});
    INFO(r.text());
    CHECK(r.succeeded());
}

}  // namespace

// ---- a program's own SIGURG -------------------------------------------------------------------

namespace {

// Sends SIGURG from outside while goroutines are preempted, and sees that the program gets it.
void send_from_outside(bool with_info) {
    struct sigaction action {};
    action.sa_flags = static_cast<int>(SA_RESTART | SA_ONSTACK);
    if (with_info) {
        action.sa_flags |= SA_SIGINFO;
        action.sa_sigaction = count_signal_info;
    } else {
        action.sa_handler = count_signal;
    }
    sigemptyset(&action.sa_mask);
    REQUIRE(::sigaction(SIGURG, &action, nullptr) == 0);
    const int n = scaled(10'000);
    long sum = 0;
    run_on(2, [&] {
        std::atomic<bool> stop{false};
        wait_group all;
        for (int i = 0; i < 3; ++i) all.go([&] { spin_until(stop); });
        all.go([&] {
            for (int i = 0; i < n; ++i) {
                ::kill(::getpid(), SIGURG);
                ++sum;
            }
            stop = true;
        });
        all.wait();
    });
    CHECK(sum == n);
    CHECK(seen_by_program > 0);
    if (has_signals) {
        // One that is pending already is not counted twice; none of ours is passed on. Threads that are
        // not ours hand it to the program's handler through ours, too.
        CHECK(seen_by_program == static_cast<long>(counts().passed_on));
    }
}

}  // namespace

TEST_CASE("child: own handler, plain", "[.child]") { send_from_outside(false); }
TEST_CASE("child: own handler, with information", "[.child]") { send_from_outside(true); }
TEST_CASE("PRE-54 SIGURG from outside reaches the handler that was there before") {
    check_child("child: own handler, plain");
    check_child("child: own handler, with information");
}

TEST_CASE("PRE-54 without a handler of the program SIGURG from outside does nothing") {
    const auto before = counts();
    long sum = 0;
    run_on(2, [&] {
        for (int i = 0; i < scaled(10'000); ++i) {
            ::kill(::getpid(), SIGURG);
            ++sum;
        }
    });
    CHECK(sum == scaled(10'000));
    CHECK(counts().freezes == before.freezes);
}

TEST_CASE(
    "PRE-54 a SIGURG that the program sends to a thread of the runtime is not taken for ours") {
    const auto before = counts();
    run_on(1, [&] {
        const int thread = thread_id();
        for (int i = 0; i < 1000; ++i) ::syscall(SYS_tgkill, ::getpid(), thread, SIGURG);
    });
    if (has_signals) CHECK(counts().passed_on >= before.passed_on + 1000);
}

TEST_CASE("child: handler replaced", "[.child]") {
    run([] {});
    install(SIGURG, count_signal, static_cast<int>(SA_RESTART | SA_ONSTACK));
    loop_beside_another();
    CHECK(counts().detached_running > 0);
    // sysmon looks at the handler while goroutines run detached.
    std::atomic<bool> stop{false};
    run_on(1, [&] {
        wait_group all;
        all.go([&] { spin_until(stop); });
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
        wait_until([&] { return std::chrono::steady_clock::now() > end; });
        stop = true;
        all.wait();
    });
}
TEST_CASE("a handler that takes the place of ours is noticed, and goroutines are detached") {
    if (!has_signals) return;
    const auto r = run_case_in_subprocess("child: handler replaced");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK_THAT(r.err, Catch::Contains("the handler of signal 23 has been replaced"));
    CHECK_THAT(r.err, Catch::Contains("vole::preempt::configure"));
}

// ---- another signal, and what cannot be chosen ------------------------------------------------

namespace {
void run_with_signal(int signal) {
    preempt::configure({.signal = signal});
    loop_beside_another();
    if (has_signals) CHECK(counts().freezes + counts().detached_running > 0);
    struct sigaction now {};
    ::sigaction(SIGURG, nullptr, &now);
    CHECK(now.sa_handler == SIG_DFL);
}
}  // namespace

TEST_CASE("child: signal SIGUSR2", "[.child]") { run_with_signal(SIGUSR2); }
TEST_CASE("child: signal SIGRTMIN+3", "[.child]") { run_with_signal(SIGRTMIN + 3); }
TEST_CASE("another signal can be chosen") {
    check_child("child: signal SIGUSR2");
    check_child("child: signal SIGRTMIN+3");
}

TEST_CASE("child: settings that cannot be", "[.child]") {
    using Catch::Contains;
    for (const int signal : {0, -1, SIGSEGV, SIGKILL, SIGSTOP, SIGABRT, 32, 65}) {
        CHECK_THROWS_AS(preempt::configure({.signal = signal}), std::invalid_argument);
        CHECK_THROWS_WITH(preempt::configure({.signal = signal}),
                          Contains("settings.signal is " + std::to_string(signal)) &&
                              Contains("SIGURG or a signal from SIGRTMIN"));
    }
    for (const std::uint32_t cap : {0u, 10'001u}) {
        CHECK_THROWS_WITH(preempt::configure({.max_frozen = cap}),
                          Contains("settings.max_frozen is " + std::to_string(cap)) &&
                              Contains("limits 1 and 10000"));
    }
    if (!has_free_migration) {
        CHECK_THROWS_WITH(preempt::configure({.preempt_migration = preempt::migration::free}),
                          Contains("settings.preempt_migration is free") &&
                              Contains("same_thread"));
    }
    preempt::configure({.max_frozen = 10'000});
    run([] {});
    CHECK_THROWS_AS(preempt::configure({}), runtime_error);
    CHECK_THROWS_WITH(preempt::configure({}), Contains("before the first run or go"));
}
TEST_CASE("settings that cannot be are refused, with the limit and the remedy") {
    check_child("child: settings that cannot be");
}

TEST_CASE("child: no signals", "[.child]") {
    loop_beside_another();
    CHECK(counts().signals_sent == 0);
    CHECK(counts().signals_seen == 0);
    CHECK(counts().freezes == 0);
    CHECK(counts().detached_running > 0);
    // Asking remains: whoever only uses one of these gives way.
    auto c = make_chan<int>(1);
    const auto by_channel = [&] {
        c.send(1);
        c.recv();
    };
    pool<int> spare;
    spare.put(std::make_unique<int>());
    const auto by_pool = [&] { spare.put(spare.get()); };
    sync_map<int, int> map;
    map.store(1, 1);
    const auto by_map = [&] { (void)map.load(1); };
    for (const std::function<void()>& use :
         {std::function(by_channel), std::function(by_pool), std::function(by_map)}) {
        run_on(1, [&] {
            const auto before = counts().yields;
            go([] {});
            while (counts().yields == before) {
                for (int i = 0; i < 1000; ++i) use();
            }
        });
    }
}
TEST_CASE("child: a loop that is frozen", "[.child]") {
    run_on(1, [] {
        std::atomic<bool> stop{false};
        wait_group all;
        // It never enters the runtime: without a signal, it is never frozen.
        all.go([&] { spin_until(stop); });
        wait_until([] { return counts().freezes > 0; }, "a signal");
        stop = true;
        all.wait();
    });
}
TEST_CASE("PRE-26 without timers signals are sent directly, and again when one could not be") {
    if (!has_signals) return;
    const auto r =
        run_case_in_subprocess("child: a loop that is frozen",
                               {.env = {"VOLE_DEBUG=fail=timer_create@1x1000000+tgkill@1x3"}});
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("child: signals off by settings", "[.child]") {
    preempt::configure({.signals = false});
    loop_beside_another();
    CHECK(counts().signals_sent == 0);
    CHECK(counts().detached_running > 0);
    struct sigaction now {};
    ::sigaction(SIGURG, nullptr, &now);
    CHECK(now.sa_handler == SIG_DFL);
}
TEST_CASE("PRE-26 without signals goroutines are asked and detached") {
    check_child("child: no signals", {"VOLE_DEBUG=asyncpreemptoff=1"});
    check_child("child: signals off by settings");
}

// ---- masks and signal stacks ------------------------------------------------------------------

TEST_CASE("child: everything blocked from the start", "[.child]") {
    sigset_t everything;
    sigfillset(&everything);
    pthread_sigmask(SIG_SETMASK, &everything, nullptr);
    loop_beside_another();
}
TEST_CASE("PRE-27 a program that blocks all signals before it starts is preempted all the same") {
    check_child("child: everything blocked from the start");
}

TEST_CASE("PRE-27 a goroutine that blocks all signals loses its P") {
    const auto before = counts();
    loop_beside_another([] {
        lock_os_thread();  // the thread ends with the goroutine: no other one comes to run with that mask
        sigset_t everything;
        sigfillset(&everything);
        pthread_sigmask(SIG_SETMASK, &everything, nullptr);
    });
    CHECK(counts().detached_running > before.detached_running);
}

TEST_CASE("child: foreign signal stacks", "[.child]") {
    static char room[64 * 1024];
    stack_t own{};
    own.ss_sp = room;
    own.ss_size = sizeof(room);
    stack_t off{};
    off.ss_flags = SS_DISABLE;
    for (const stack_t& chosen : {own, off}) {
        const auto before = counts();
        loop_beside_another(
            [&] {
                lock_os_thread();  // nor does another goroutine come to run on that thread
                if (::sigaltstack(&chosen, nullptr) != 0) std::abort();
            },
            // On a busy machine the P may be taken before the signal comes, which follows all the same.
            [&] { return !has_signals || counts().refused_elsewhere > before.refused_elsewhere; });
    }
    if (has_signals) CHECK(counts().freezes == 0);
    CHECK(counts().detached_running > 0);
}
TEST_CASE("PRE-28 a goroutine whose thread has another signal stack is detached") {
    check_child("child: foreign signal stacks");
}

// ---- handlers of the program that run on a goroutine ------------------------------------------

namespace {

std::atomic<long> entered{0};
std::atomic<long> finished{0};
std::atomic<long> stopped_inside{0};

// In a section of its own, so that it can be told whether a thread is frozen in it.
extern "C" const char __start_vole_test_handler[] __attribute__((visibility("hidden")));
extern "C" const char __stop_vole_test_handler[] __attribute__((visibility("hidden")));
__attribute__((section("vole_test_handler"), noinline)) void compute_in_handler(int) {
    entered.fetch_add(1);
    for (int i = 0; i < 200'000; ++i) asm volatile("" ::: "memory");
    finished.fetch_add(1);
}

const void* frozen_context_of(const detail::M* m) {
    return *static_cast<const void* const volatile*>(&m->frozen_context);
}

void look_for_frozen_handlers() {
    for (detail::M* m = detail::sched.all_ms.load(); m != nullptr; m = m->all) {
        const void* context = frozen_context_of(m);
        if (context == nullptr)
            continue;  // mostly: then it is not inside the runtime, and can be stopped
        const auto signals = counts().signals_seen;
        const auto pc = arch::this_port::interrupted(context).pc;
        // The thread may have gone on since, and its next signal's frame lie in the same place.
        if (frozen_context_of(m) != context || counts().signals_seen != signals) continue;
        if (pc >= reinterpret_cast<std::uintptr_t>(__start_vole_test_handler) &&
            pc < reinterpret_cast<std::uintptr_t>(__stop_vole_test_handler)) {
            ++stopped_inside;
        }
    }
}

// To the thread that has the P, over and over, from a thread of its own. The next one is sent when the
// last has been handled, and a little later: else a slow build does nothing but handle them.
class alarms {
  public:
    alarms() : thread_([this] { ring(); }) {}
    ~alarms() {
        stop_ = true;
        thread_.join();
    }
    alarms(const alarms&) = delete;
    alarms& operator=(const alarms&) = delete;

  private:
    void ring() {
        while (!stop_) {
            detail::P* p = detail::sched.all_ps[0].load();
            const detail::M* m = p != nullptr ? p->m.load() : nullptr;
            const long before = finished;
            if (m != nullptr && ::syscall(SYS_tgkill, ::getpid(), m->tid.load(), SIGALRM) == 0) {
                // That thread may be frozen just now, and handle it much later: not for ever.
                for (int i = 0; i < 100 && finished == before && !stop_; ++i) nap();
            }
            nap();
        }
    }
    static void nap() {
        const timespec time{0, 200'000};
        ::nanosleep(&time, nullptr);
    }
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// In the handler the stack pointer is on the goroutine's stack, or on the signal stack.
std::uint64_t refused_in_handlers() {
    const preempt::counts now = counts();
    return now.refused_handler + now.refused_stack;
}

void run_with_alarms(int flags) {
    install(SIGALRM, compute_in_handler, flags | static_cast<int>(SA_RESTART));
    entered = 0;
    std::atomic<bool> stop{false};
    run_on(1, [&] {
        const alarms around;
        wait_group all;
        for (int i = 0; i < 2; ++i) {
            all.go([&] {
                while (!stop.load(std::memory_order_relaxed)) look_for_frozen_handlers();
            });
        }
        all.go([&] {
            const int wanted = scaled(300);
            wait_until(
                [&] { return entered >= wanted && (!has_signals || refused_in_handlers() != 0); });
            stop = true;
        });
        all.wait();
    });
}

}  // namespace

TEST_CASE("child: handlers that compute", "[.child]") {
    for (const int flags : {0, static_cast<int>(SA_ONSTACK)}) {
        storm around(storm::kind::dense);
        run_with_alarms(flags);
    }
    CHECK(stopped_inside == 0);
    CHECK(entered > 0);
    if (has_signals) CHECK(refused_in_handlers() > 0);
}
TEST_CASE("no goroutine is stopped inside a handler of the program") {
    check_child("child: handlers that compute");
}

// ---- children ---------------------------------------------------------------------------------

TEST_CASE("PRE-56 children are started while goroutines are preempted") {
    std::atomic<int> failed{0};
    const int n = scaled(100);
    run_on(2, [&] {
        const storm around(storm::kind::gentle);
        std::atomic<bool> stop{false};
        wait_group all;
        for (int i = 0; i < 2; ++i) all.go([&] { spin_until(stop); });
        wait_group starters;
        starters.go([&] {
            for (int i = 0; i < n; ++i) {
                pid_t child = -1;
                char name[] = "true";
                char* const arguments[] = {name, nullptr};
                if (::posix_spawnp(&child, name, nullptr, nullptr, arguments, environ) != 0) {
                    ++failed;
                    continue;
                }
                int status = -1;
                if (::waitpid(child, &status, 0) != child || status != 0) ++failed;
            }
        });
        starters.go([&] {
            for (int i = 0; i < n; ++i) {
                const pid_t child = ::fork();
                if (child == 0) {
                    ::execl("/bin/true", "true", nullptr);
                    ::_exit(1);
                }
                int status = -1;
                if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) ++failed;
            }
        });
        starters.go([&] {
            for (int i = 0; i < n / 10; ++i) {
                if (std::system("exit 3") != 3 << 8) ++failed;
            }
        });
        starters.wait();
        stop = true;
        all.wait();
    });
    CHECK(failed == 0);
}

TEST_CASE("SIGPROF and our signal together") {
    static std::atomic<long> ticks{0};
    install(
        SIGPROF, [](int) { ++ticks; }, static_cast<int>(SA_RESTART | SA_ONSTACK));
    const itimerval fast{{0, 1000}, {0, 1000}};
    const itimerval off{};
    ::setitimer(ITIMER_PROF, &fast, nullptr);
    const auto before = counts();
    std::atomic<bool> stop{false};
    run_on(2, [&] {
        wait_group all;
        for (int i = 0; i < 4; ++i) all.go([&] { spin_until(stop); });
        wait_until([&] { return ticks >= 50 && counts().requests >= before.requests + 10; });
        stop = true;
        all.wait();
    });
    ::setitimer(ITIMER_PROF, &off, nullptr);
    ::signal(SIGPROF, SIG_IGN);
    CHECK(ticks >= 50);
}

}  // namespace vole::test
