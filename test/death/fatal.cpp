// Misuse and faults that end the process, and ends that must leave it alone.
// Cites SCHED-46, SCHED-61, SCHED-62, SCHED-68, SCHED-74, SCHED-78, SCHED-80, SYNC-3, SYNC-22, SYNC-55, LBL-5.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/cond.hpp>
#include <vole/labels.hpp>
#include <vole/panic.hpp>
#include <vole/rw_mutex.hpp>
#include <vole/sync.hpp>

#include "runtime/src/sched/status.hpp"
#include "test/death/death_support.hpp"

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace vole::test;

namespace {

void check_fatal(const std::string& name, const std::string& text) {
    const auto r = run_case_in_subprocess(name);
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, text));
    CHECK(r.out.find("caught") == std::string::npos);
    CHECK(r.out.find("survived") == std::string::npos);
}

/// f, surrounded by a catch block that must not see it.
template <class F>
void guarded(F f) {
    try {
        f();
    } catch (...) {
        say("caught");
        throw;
    }
    say("survived");
}

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

/// Uses a kilobyte of stack a level, and touches it.
[[gnu::noinline]] int recurse(int depth) {
    volatile char frame[1000];
    frame[0] = static_cast<char>(depth);
    frame[999] = frame[0];
    // Ends at last, for the compiler's eyes only.
    const int below = depth < 1'000'000'000 ? recurse(depth + 1) : 0;
    return below + frame[999];
}

}  // namespace

// ---- locks ------------------------------------------------------------------------------------------------

TEST_CASE("child: unlock fresh", "[.child]") {
    vole::run([] {
        vole::mutex m;
        guarded([&] { m.unlock(); });
    });
}
TEST_CASE("child: unlock twice", "[.child]") {
    vole::run([] {
        vole::mutex m;
        m.lock();
        m.unlock();
        guarded([&] { m.unlock(); });
    });
}
TEST_CASE("child: unlock in a thread", "[.child]") {
    vole::mutex m;
    guarded([&] { m.unlock(); });
}
TEST_CASE("SYNC-3 unlock of an unlocked mutex", "[death][mutex]") {
    for (const char* name :
         {"child: unlock fresh", "child: unlock twice", "child: unlock in a thread"}) {
        check_fatal(name, "sync: unlock of unlocked mutex");
    }
}

TEST_CASE("child: unlock with labels", "[.child]") {
    vole::run([] {
        vole::with_labels({{"tenant", "ann"}, {"route", "/search"}}, [] {
            vole::go({.name = "worker"}, [] { vole::mutex().unlock(); });
            for (;;) vole::gosched();
        });
    });
}
TEST_CASE("LBL-5 a fatal error shows the labels of the goroutine, and of others",
          "[death][labels]") {
    const auto r = run_case_in_subprocess("child: unlock with labels");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(count_of(r.err, "]: worker {route: /search, tenant: ann}\n") == 1);
    CHECK(count_of(r.err, "]: {route: /search, tenant: ann}\n") == 1);
}

namespace {
// Calls the last step guarded, in a goroutine.
void misuse(void (*before)(vole::rw_mutex&), void (*step)(vole::rw_mutex&)) {
    vole::run([=] {
        vole::rw_mutex m;
        before(m);
        guarded([&] { step(m); });
    });
}
void writer_unlocks(vole::rw_mutex& m) { m.unlock(); }
void reader_unlocks(vole::rw_mutex& m) { m.unlock_shared(); }
}  // namespace

TEST_CASE("child: rw unlock fresh", "[.child]") {
    misuse([](auto&) {}, writer_unlocks);
}
TEST_CASE("child: rw unlock twice", "[.child]") {
    misuse(
        [](auto& m) {
            m.lock();
            m.unlock();
        },
        writer_unlocks);
}
TEST_CASE("child: rw unlock of a reader's", "[.child]") {
    misuse([](auto& m) { m.lock_shared(); }, writer_unlocks);
}
TEST_CASE("child: rw unlock in a thread", "[.child]") {
    vole::rw_mutex m;
    guarded([&] { m.unlock(); });
}
TEST_CASE("SYNC-22 unlock of a rw_mutex that no writer holds", "[death][rw_mutex]") {
    for (const char* name : {"child: rw unlock fresh", "child: rw unlock twice",
                             "child: rw unlock of a reader's", "child: rw unlock in a thread"}) {
        check_fatal(name, "sync: Unlock of unlocked RWMutex");
    }
}

TEST_CASE("child: rw unlock_shared fresh", "[.child]") {
    misuse([](auto&) {}, reader_unlocks);
}
TEST_CASE("child: rw unlock_shared twice", "[.child]") {
    misuse(
        [](auto& m) {
            m.lock_shared();
            m.unlock_shared();
        },
        reader_unlocks);
}
TEST_CASE("child: rw unlock_shared of a writer's", "[.child]") {
    misuse([](auto& m) { m.lock(); }, reader_unlocks);
}
TEST_CASE("child: rw unlock_shared in a thread", "[.child]") {
    vole::rw_mutex m;
    guarded([&] { m.unlock_shared(); });
}
TEST_CASE("SYNC-22 unlock_shared of a rw_mutex that no reader holds", "[death][rw_mutex]") {
    for (const char* name :
         {"child: rw unlock_shared fresh", "child: rw unlock_shared twice",
          "child: rw unlock_shared of a writer's", "child: rw unlock_shared in a thread"}) {
        check_fatal(name, "sync: RUnlock of unlocked RWMutex");
    }
}

TEST_CASE("child: cond wait without the lock", "[.child]") {
    vole::run([] {
        vole::mutex m;
        vole::cond c;
        guarded([&] { c.wait(m); });  // a mutex does not know who holds it
    });
}
TEST_CASE("SYNC-55 wait without the lock", "[death][cond]") {
    check_fatal("child: cond wait without the lock", "sync: unlock of unlocked mutex");
}

TEST_CASE("child: two die at once", "[.child]") {
    vole::gomaxprocs(2);
    vole::run([] {
        std::atomic<int> ready{0};
        vole::wait_group done;
        for (int i = 0; i < 2; ++i) {
            done.go([&] {
                vole::mutex m;
                ++ready;
                while (ready < 2) std::this_thread::yield();
                m.unlock();
            });
        }
        done.wait();
    });
}
TEST_CASE("SCHED-62 two goroutines that die at once: one whole message", "[death][fatal]") {
    for (int i = 0; i < scaled(10); ++i) {
        check_fatal("child: two die at once", "sync: unlock of unlocked mutex");
    }
}

// ---- goexit -----------------------------------------------------------------------------------------------

TEST_CASE("child: goexit swallowed", "[.child]") {
    vole::run([] {
        vole::wait_group done;
        done.go([] {
            try {
                vole::goexit();
            } catch (...) {
            }
            say("survived");
        });
        done.wait();
    });
    say("survived");
}
TEST_CASE("SCHED-46 a catch-all that swallows goexit", "[death][goexit]") {
    check_fatal("child: goexit swallowed", "goexit swallowed");
}

// ---- parking where one must not ---------------------------------------------------------------------------

TEST_CASE("child: channel inside blocking", "[.child]") {
    vole::run([] { guarded([] { vole::blocking([] { (void)vole::make_chan<int>().recv(); }); }); });
}
TEST_CASE("blocking operation inside blocking(f)", "[death][fatal]") {
    check_fatal("child: channel inside blocking", "blocking operation inside vole::blocking");
}

TEST_CASE("child: channel on the system stack", "[.child]") {
    vole::run([] {
        guarded([] { vole::on_system_stack([] { (void)vole::make_chan<int>().recv(); }); });
    });
}
TEST_CASE("child: gosched on the system stack", "[.child]") {
    vole::run([] { guarded([] { vole::on_system_stack([] { vole::gosched(); }); }); });
}
TEST_CASE("blocking operation on the system stack", "[death][fatal]") {
    check_fatal("child: channel on the system stack", "blocking operation on the system stack");
    check_fatal("child: gosched on the system stack", "blocking operation on the system stack");
}

TEST_CASE("child: illegal change of status", "[.child]") {
    using vole::detail::g_status;
    vole::detail::G g;
    g.id = 77;
    guarded([&] { set_status(&g, g_status::waiting, g_status::running); });
}
TEST_CASE("SCHED-74 an illegal change of status", "[death][fatal]") {
    const auto r = run_case_in_subprocess("child: illegal change of status");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(r.err.find("goroutine 77: illegal change of status") != std::string::npos);
    CHECK(count_of("\n" + r.err, "\nfatal error: ") == 1);
}

// ---- stacks and faults ------------------------------------------------------------------------------------

TEST_CASE("child: overflow", "[.child]") {
    vole::run([] { guarded([] { say("depth", recurse(0)); }); });
}
TEST_CASE("child: overflow with a name and a size", "[.child]") {
    vole::run([] {
        vole::wait_group done;
        done.add(1);
        vole::go(vole::go_options{"deep one", vole::stack_policy::reserved(64 * 1024)}, [&] {
            guarded([] { say("depth", recurse(0)); });
            done.done();
        });
        done.wait();
    });
}
TEST_CASE("child: overflow after many switches and threads", "[.child]") {
    vole::gomaxprocs(4);
    vole::run([] {
        vole::wait_group done;
        for (int i = 0; i < 50; ++i) {
            done.go([i] {
                for (int n = 0; n < 20; ++n) {
                    if (n % 5 == 0) {
                        vole::blocking([] { std::this_thread::yield(); });
                    } else {
                        vole::gosched();
                    }
                }
                if (i == 25) say("depth", recurse(0));
            });
        }
        done.wait();
    });
}
TEST_CASE("stack overflow names goroutine, size and remedy", "[death][stack]") {
    if (sanitized) return;  // they find it first, and say so in their own way
    auto r = run_case_in_subprocess("child: overflow");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, "stack overflow"));
    CHECK(r.err.find("goroutine 1 ") != std::string::npos);
    CHECK(r.err.find("262144-byte limit") != std::string::npos);
    CHECK(r.err.find("stack_policy::reserved(") != std::string::npos);
    CHECK(r.out.find("caught") == std::string::npos);

    r = run_case_in_subprocess("child: overflow with a name and a size");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, "stack overflow"));
    CHECK(r.err.find("\"deep one\"") != std::string::npos);
    CHECK(r.err.find("65536-byte limit") != std::string::npos);

    r = run_case_in_subprocess("child: overflow after many switches and threads");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, "stack overflow"));
}

TEST_CASE("child: fault", "[.child]") {
    vole::run([] {
        auto* p = static_cast<volatile int*>(
            ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        *p = 1;
        say("survived");
    });
}
TEST_CASE("SCHED-68 another fault reaches the handler that was there before", "[death][fatal]") {
    if (sanitized) return;
    subprocess_options options;
    options.limit = patience();
    const auto r = run_case_in_subprocess("child: fault", options);
    INFO(r.err.substr(0, 1000));
    CHECK_FALSE(r.timed_out);
    CHECK(r.signal == SIGSEGV);
    CHECK(r.err.find("stack overflow") == std::string::npos);
    CHECK(count_of(r.err, "in test case: child: fault") == 1);  // support/main.cpp's, called once
}

// ---- exceptions that leave a goroutine --------------------------------------------------------------------

TEST_CASE("child: uncaught exceptions", "[.child]") {
    vole::run([] {
        vole::wait_group done;
        done.go([] { throw std::out_of_range("the text of it"); });
        done.wait();
        done.go([] { throw vole::runtime_error("a panic's text"); });
        done.wait();
        done.go([] { throw 42; });
        done.wait();
    });
    say("went on");
}
TEST_CASE("an exception that leaves a goroutine is reported and ends only that one",
          "[death][panic]") {
    const auto r = run_case_in_subprocess("child: uncaught exceptions");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("went on") != std::string::npos);
    CHECK(r.err.find("std::out_of_range: the text of it") != std::string::npos);
    CHECK(r.err.find("panic: a panic's text") != std::string::npos);
    CHECK(r.err.find("panic: (int) 0x") != std::string::npos);
    CHECK(count_of(r.err, "panic: ") == 3);
}

// ---- fork -------------------------------------------------------------------------------------------------

TEST_CASE("child: fork", "[.child]") {
    vole::run([] {});
    const pid_t pid = ::fork();
    if (pid == 0) {
        vole::go([] {});
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    say("child ended by signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    say("parent goes on", vole::run([] { return 7; }));
}
TEST_CASE("child: fork in a goroutine", "[.child]") {
    vole::run([] {
        const pid_t pid = ::fork();
        if (pid == 0) {
            (void)vole::make_chan<int>().recv();
            ::_exit(0);
        }
        const int status = vole::blocking([pid] {
            int s = 0;
            ::waitpid(pid, &s, 0);
            return s;
        });
        say("child ended by signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    });
    say("parent goes on", 7);
}
TEST_CASE("child: fork and exec", "[.child]") {
    vole::run([] {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::execl("/bin/true", "true", static_cast<char*>(nullptr));
            ::_exit(127);
        }
        const int status = vole::blocking([pid] {
            int s = 0;
            ::waitpid(pid, &s, 0);
            return s;
        });
        say("exec", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    });
}
TEST_CASE("SCHED-78 the child of a fork may exec and not use the runtime", "[death][fork]") {
    auto r = run_case_in_subprocess("child: fork");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("child ended by signal=6") != std::string::npos);
    CHECK(r.out.find("parent goes on=7") != std::string::npos);
    CHECK(r.err.find("fatal error: runtime used in a forked child") != std::string::npos);

    r = run_case_in_subprocess("child: fork in a goroutine");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("child ended by signal=6") != std::string::npos);
    CHECK(r.out.find("parent goes on=7") != std::string::npos);
    CHECK(r.err.find("fatal error: ") != std::string::npos);

    r = run_case_in_subprocess("child: fork and exec");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("exec=0") != std::string::npos);
}

// ---- ordinary ends ----------------------------------------------------------------------------------------

TEST_CASE("child: exit in a goroutine", "[.child]") {
    vole::gomaxprocs(4);
    std::atexit([] { say("at exit"); });
    vole::run([] {
        auto never = vole::make_chan<int>();
        for (int i = 0; i < 10; ++i) {
            vole::go([=]() mutable { (void)never.recv(); });
            vole::go(
                [] { vole::blocking([] { std::this_thread::sleep_for(std::chrono::hours(1)); }); });
            vole::go([] {
                for (;;) vole::gosched();
            });
        }
        for (int i = 0; i < 20; ++i) vole::gosched();
        std::exit(3);
    });
}
TEST_CASE("SCHED-80 exit from a goroutine ends the process with that status", "[death][exit]") {
    for (int i = 0; i < scaled(5); ++i) {
        const auto r = run_case_in_subprocess("child: exit in a goroutine");
        INFO(r.text());
        CHECK(r.exit_status == 3);
        CHECK(count_of(r.out, "at exit") == 1);
    }
}

namespace {

/// A program's own objects of static storage may use the library before and after main.
struct static_user {
    bool active = false;
    int before = vole::run([] { return 5; });
    ~static_user() {
        if (!active) return;
        auto c = vole::make_chan<int>(1);
        vole::go([c]() mutable { c.send(6); });
        say("in a static destructor", c.recv().value_or(-1));
    }
};

static_user& user() {
    static static_user u;
    return u;
}

}  // namespace

TEST_CASE("child: static objects", "[.child]") {
    user().active = true;
    say("in a static constructor", user().before);
    vole::go([] {
        for (;;) vole::gosched();  // still there at the end
    });
}
TEST_CASE(
    "SCHED-45 static objects of the program may use the library; nothing of ours is destroyed",
    "[death][exit]") {
    const auto r = run_case_in_subprocess("child: static objects");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("in a static constructor=5") != std::string::npos);
    CHECK(r.out.find("in a static destructor=6") != std::string::npos);
}

TEST_CASE("child: a goroutine spins at the end of main", "[.child]") {
    vole::run([] {
        for (int i = 0; i < 4; ++i) {
            vole::go([] {
                for (;;) vole::gosched();
            });
        }
    });
    say("run returned");
}
TEST_CASE("SCHED-45 goroutines that are left do not keep the process", "[death][exit]") {
    const auto r = run_case_in_subprocess("child: a goroutine spins at the end of main");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("run returned") != std::string::npos);
}
