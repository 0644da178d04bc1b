// Programs in which nobody can go on. Cites SCHED-46, SCHED-47, SCHED-56, SCHED-57, SCHED-61, SYNC-2, SYNC-18, SYNC-42.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/cond.hpp>
#include <vole/once.hpp>
#include <vole/rw_mutex.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/death/death_support.hpp"

#include <sys/resource.h>

#include <cstdlib>
#include <mutex>
#include <thread>

using namespace vole::test;

namespace {

constexpr const char* all_asleep = "all goroutines are asleep - deadlock!";
constexpr const char* main_gone = "no goroutines (main called runtime.Goexit) - deadlock!";

/// A deadlock that ends the process at once: no catch block and no destructor runs.
void check_deadlock(const std::string& name, const std::string& text, const std::string& header) {
    const auto r = run_case_in_subprocess(name);
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, text));
    if (!header.empty()) CHECK(r.err.find(header) != std::string::npos);
    CHECK(r.out.find("caught") == std::string::npos);
    CHECK(r.out.find("destroyed") == std::string::npos);
}

/// f in main, surrounded by everything that must not run.
template <class F>
void doomed_main(F f) {
    vole::run([&] {
        const tells_destruction witness;
        try {
            f();
        } catch (...) {
            say("caught");
            throw;
        }
    });
}

}  // namespace

TEST_CASE("child: main receives for ever", "[.child]") {
    doomed_main([] { (void)vole::make_chan<int>().recv(); });
}
TEST_CASE("SCHED-56 main alone waits on a channel", "[death][deadlock]") {
    check_deadlock("child: main receives for ever", all_asleep, "goroutine 1 [chan receive]:");
}

TEST_CASE("child: main sends for ever", "[.child]") {
    doomed_main([] { vole::make_chan<int>().send(1); });
}
TEST_CASE("SCHED-56 main alone sends", "[death][deadlock]") {
    check_deadlock("child: main sends for ever", all_asleep, "goroutine 1 [chan send]:");
}

TEST_CASE("child: main receives from nil", "[.child]") {
    doomed_main([] { (void)vole::chan<int>().recv(); });
}
TEST_CASE("SCHED-56 main waits on the nil channel", "[death][deadlock]") {
    check_deadlock("child: main receives from nil", all_asleep,
                   "goroutine 1 [chan receive (nil chan)]:");
}

TEST_CASE("child: select without cases", "[.child]") {
    doomed_main([] {
        vole::selector s;
        (void)s.select();
    });
}
TEST_CASE("SCHED-58 a select without cases", "[death][deadlock]") {
    check_deadlock("child: select without cases", all_asleep, "goroutine 1 [select (no cases)]:");
}

TEST_CASE("child: a reader that reads again behind a writer", "[.child]") {
    doomed_main([] {
        vole::rw_mutex m;
        m.lock_shared();
        vole::go([&] { m.lock(); });
        for (int i = 0; i < 100; ++i) vole::gosched();
        while (m.try_lock_shared()) {
            m.unlock_shared();
            vole::gosched();
        }
        m.lock_shared();
    });
}
TEST_CASE("SYNC-18 a reader that reads again while a writer waits", "[death][deadlock]") {
    check_deadlock("child: a reader that reads again behind a writer", all_asleep,
                   "goroutine 1 [sync.RWMutex.RLock]:");
}

TEST_CASE("child: a once inside itself", "[.child]") {
    doomed_main([] {
        vole::once o;
        o.call([&] { o.call([] { say("caught"); }); });
    });
}
TEST_CASE("SYNC-42 a once inside itself", "[death][deadlock]") {
    check_deadlock("child: a once inside itself", all_asleep, "goroutine 1 [sync.Mutex.Lock]:");
}

TEST_CASE("child: a condition that nobody notifies", "[.child]") {
    doomed_main([] {
        vole::mutex m;
        vole::cond c;
        c.notify_all();
        std::unique_lock lock(m);
        c.wait(lock);
    });
}
TEST_CASE("SYNC-50 a condition that nobody notifies", "[death][deadlock]") {
    check_deadlock("child: a condition that nobody notifies", all_asleep,
                   "goroutine 1 [sync.Cond.Wait]:");
}

TEST_CASE("child: two wait for each other", "[.child]") {
    doomed_main([] {
        auto a = vole::make_chan<int>();
        auto b = vole::make_chan<int>();
        vole::go([&] {
            (void)a.recv();
            b.send(1);
        });
        (void)b.recv();
        a.send(1);
    });
}
TEST_CASE("SCHED-56 all goroutines are shown", "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: two wait for each other");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, all_asleep));
    CHECK(count_of(r.err, "[chan receive]:") == 2);
    CHECK(r.err.find(" in goroutine 1\n") != std::string::npos);
}

TEST_CASE("child: many Ps, all goroutines wait", "[.child]") {
    vole::gomaxprocs(8);
    doomed_main([] {
        vole::wait_group never;
        never.add(1);
        for (int i = 0; i < 100; ++i) {
            vole::go([&] {
                for (int n = 0; n < 20; ++n) vole::gosched();
                never.wait();
            });
        }
        never.wait();
    });
}
TEST_CASE("SCHED-56 a hundred goroutines on eight Ps", "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: many Ps, all goroutines wait");
    INFO(r.err.substr(0, 500));
    CHECK(r.aborted());
    CHECK(fatal_says(r, all_asleep));
    CHECK(count_of(r.err, "[sync.WaitGroup.Wait]:") == 101);
}

TEST_CASE("child: relock", "[.child]") {
    doomed_main([] {
        vole::mutex m;
        m.lock();
        m.lock();
    });
}
TEST_CASE("SYNC-2 locking a mutex twice", "[death][deadlock]") {
    check_deadlock("child: relock", all_asleep, "goroutine 1 [sync.Mutex.Lock]:");
}

TEST_CASE("child: wait group never done", "[.child]") {
    doomed_main([] {
        vole::wait_group g;
        g.add(1);
        g.wait();
    });
}
TEST_CASE("SCHED-56 a wait group that is never done", "[death][deadlock]") {
    check_deadlock("child: wait group never done", all_asleep,
                   "goroutine 1 [sync.WaitGroup.Wait]:");
}

TEST_CASE("child: tied main waits", "[.child]") {
    doomed_main([] {
        vole::lock_os_thread();
        (void)vole::make_chan<int>().recv();
    });
}
TEST_CASE("child: tied goroutine and main wait", "[.child]") {
    doomed_main([] {
        auto c = vole::make_chan<int>();
        vole::go([&] {
            vole::lock_os_thread();
            (void)c.recv();
        });
        (void)c.recv();
    });
}
TEST_CASE("SCHED-58 deadlock with tied goroutines", "[death][deadlock]") {
    check_deadlock("child: tied main waits", all_asleep,
                   "goroutine 1 [chan receive, locked to thread]:");
    check_deadlock("child: tied goroutine and main wait", all_asleep, "locked to thread]:");
}

TEST_CASE("child: deadlock after blocking", "[.child]") {
    doomed_main([] {
        vole::blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
        (void)vole::make_chan<int>().recv();
    });
}
TEST_CASE("child: deadlock once the other comes back from blocking", "[.child]") {
    doomed_main([] {
        auto c = vole::make_chan<int>();
        vole::go([&] {
            vole::blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); });
            say("back");
            (void)c.recv();
        });
        (void)c.recv();
    });
}
TEST_CASE("SCHED-57 a deadlock is reported after a blocking call, not during it",
          "[death][deadlock]") {
    check_deadlock("child: deadlock after blocking", all_asleep, "goroutine 1 [chan receive]:");
    const auto r =
        run_case_in_subprocess("child: deadlock once the other comes back from blocking");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, all_asleep));
    CHECK(r.out.find("back") != std::string::npos);
}

TEST_CASE("child: a waker that goes away", "[.child]") {
    doomed_main([] {
        vole::go([] {
            const vole::external_waker waker;
            vole::blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); });
            say("waker gone");
        });
        (void)vole::make_chan<int>().recv();
    });
}
TEST_CASE("SCHED-57 a deadlock is reported when the last external waker is gone",
          "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: a waker that goes away");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, all_asleep));
    CHECK(r.out.find("waker gone") != std::string::npos);
}

TEST_CASE("child: a thread that ends without waking anybody", "[.child]") {
    doomed_main([] {
        std::thread([] {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            say("thread ends");
        }).detach();
        (void)vole::make_chan<int>().recv();
    });
}
TEST_CASE("SCHED-60 not while a thread exists that might call in; but when it has ended",
          "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: a thread that ends without waking anybody");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, all_asleep));
    CHECK(r.out.find("thread ends") != std::string::npos);
}

TEST_CASE("child: a thread waits with us, and ends", "[.child]") {
    doomed_main([] {
        const auto c = vole::make_chan<int>();
        std::thread receives([c] { (void)c.recv(); });
        std::thread([c, receives = std::move(receives)]() mutable {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            c.send(1);
            receives.join();
            say("threads end");
        }).detach();
        (void)vole::make_chan<int>().recv();
    });
}
TEST_CASE("SCHED-60 not while a thread waits in one of our operations; but when it has ended",
          "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: a thread waits with us, and ends");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, all_asleep));
    CHECK(r.out.find("threads end") != std::string::npos);
}

TEST_CASE("child: nobody can count the threads", "[.child]") {
    const auto c = vole::make_chan<int>();
    std::thread sends([c] {
        // Long enough for a look or two: there is no state to wait for if nothing is to happen.
        std::this_thread::sleep_for(std::chrono::milliseconds(250));
        c.send(1);
    });
    vole::run([c] {
        rlimit files{};
        getrlimit(RLIMIT_NOFILE, &files);
        const rlimit none{3, files.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        (void)c.recv();
        setrlimit(RLIMIT_NOFILE, &files);
        say("received");
    });
    sends.join();
}
TEST_CASE("SCHED-60 not while the threads cannot be counted", "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: nobody can count the threads");
    INFO(r.text());
    CHECK(!r.aborted());
    CHECK(r.out.find("received") != std::string::npos);
}

TEST_CASE("child: second run deadlocks", "[.child]") {
    vole::run([] {});
    say("first run over");
    doomed_main([] { (void)vole::make_chan<int>().recv(); });
}
TEST_CASE("SCHED-56 in a later run", "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: second run deadlocks");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, all_asleep));
    CHECK(r.out.find("first run over") != std::string::npos);
}

TEST_CASE("child: goexit on main, nobody left", "[.child]") {
    vole::run([] {
        const tells_destruction witness;
        vole::goexit();
    });
    say("run returned");
}
TEST_CASE("child: goexit on main, the others end", "[.child]") {
    vole::run([] {
        for (int i = 0; i < 3; ++i) {
            vole::go([] {
                vole::gosched();
                say("other ends");
            });
        }
        vole::goexit();
    });
    say("run returned");
}
TEST_CASE("SCHED-47 goexit on main: its destructors run, the others go on, then it is a deadlock",
          "[death][deadlock]") {
    auto r = run_case_in_subprocess("child: goexit on main, nobody left");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, main_gone));
    CHECK(r.out.find("destroyed") != std::string::npos);
    CHECK(r.out.find("run returned") == std::string::npos);

    r = run_case_in_subprocess("child: goexit on main, the others end");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(fatal_says(r, main_gone));
    CHECK(count_of(r.out, "other ends") == 3);
}

TEST_CASE("child: goexit on main, the others block", "[.child]") {
    vole::run([] {
        vole::go([] { (void)vole::make_chan<int>().recv(); });
        vole::goexit();
    });
}
TEST_CASE("SCHED-47 goexit on main, the others block for ever", "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: goexit on main, the others block");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK((fatal_says(r, all_asleep) || fatal_says(r, main_gone)));
}

TEST_CASE("child: goexit on main, another one exits", "[.child]") {
    vole::run([] {
        vole::go([] {
            for (int i = 0; i < 10; ++i) vole::gosched();
            std::exit(0);
        });
        vole::goexit();
    });
}
TEST_CASE("SCHED-47 goexit on main, another goroutine ends the process", "[death][deadlock]") {
    const auto r = run_case_in_subprocess("child: goexit on main, another one exits");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.err.find("fatal error") == std::string::npos);
}
