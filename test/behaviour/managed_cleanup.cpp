// Cleanups of managed objects: when and where they run. Cites CLN-1, CLN-2, CLN-6 to CLN-8, CLN-11, CLN-14,
// CLN-15; CLN-9 is in test/synctest.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/managed.hpp>
#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/duel.hpp"
#include "test/support/findings.hpp"
#include "test/support/subprocess.hpp"
#include "test/support/values.hpp"

#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace vole::test;

namespace {

using counter = std::atomic<int>;
void count_up(counter* c) { ++*c; }

}  // namespace

TEST_CASE("CLN-1 a cleanup runs once, after the destructor, in a goroutine of its own",
          "[managed]") {
    struct object {
        std::atomic<bool>& gone;
        explicit object(std::atomic<bool>& g) : gone(g) {}
        ~object() { gone = true; }
    };
    CHECK(everywhere([](findings& ok) {
              std::atomic<bool> gone{false};
              std::atomic<bool> gone_before{false};
              std::atomic<std::uint64_t> id{0};
              counter runs{0};
              auto p = vole::make_managed<object>(gone);
              vole::add_cleanup(
                  p,
                  [&](int arg) {
                      gone_before = gone.load();
                      id = vole::goroutine_id();
                      runs += arg;
                  },
                  1);
              vole::drain_cleanups();
              ok.equal(runs.load(), 0);
              p.reset();
              vole::drain_cleanups();
              ok.equal(runs.load(), 1);
              ok(gone_before);
              ok(id != 0 && id != vole::goroutine_id());
              vole::drain_cleanups();
              ok.equal(runs.load(), 1);
          }) == "");
}

TEST_CASE("CLN-1 a cleanup does not run under the locks of who dropped the object", "[managed]") {
    CHECK(everywhere([](findings& ok) {
              vole::mutex mu;
              int guarded = 0;
              auto p = vole::make_managed<int>(1);
              vole::add_cleanup(
                  p,
                  [&](int n) {
                      const std::lock_guard lock(mu);
                      guarded += n;
                  },
                  5);
              {
                  const std::lock_guard lock(mu);
                  p.reset();
                  ok.equal(guarded, 0);
                  guarded = 1;
              }
              vole::drain_cleanups();
              ok.equal(guarded, 6);
          }) == "");
}

TEST_CASE("CLN-1 arguments are moved; functions of any kind", "[managed]") {
    int sum = 0;
    auto p = vole::make_managed<int>(1);
    vole::add_cleanup(
        p, [&](std::unique_ptr<int> n) { sum += *n; }, std::make_unique<int>(1));
    vole::add_cleanup(
        p, [&, n = std::make_unique<int>(20)](int m) { sum += *n * m; }, 1);
    counter c{0};
    vole::add_cleanup(p, count_up, &c);
    vole::add_cleanup(p, std::function<void(const std::string&)>([&](const std::string& s) {
                          sum += 100 * std::stoi(s);
                      }),
                      "3");
    vole::run([&] {
        const procs_scope one(1);  // sum is not atomic
        p.reset();
        vole::drain_cleanups();
    });
    CHECK(sum == 321);
    CHECK(c == 1);
}

TEST_CASE("CLN-2 all cleanups of an object run", "[managed]") {
    CHECK(everywhere([](findings& ok) {
              std::atomic<std::uint64_t> seen{0};
              auto p = vole::make_managed<int>(1);
              for (int i = 0; i < 60; ++i) {
                  vole::add_cleanup(
                      p, [&](int bit) { seen.fetch_xor(std::uint64_t{1} << bit); }, i);
              }
              p.reset();
              vole::drain_cleanups();
              ok.equal(seen.load(), (std::uint64_t{1} << 60) - 1);
          }) == "");
}

TEST_CASE("CLN-2 a cleanup that blocks holds up no other", "[managed]") {
    for (const int procs : {1, 2, 4}) {
        counter ran{0};
        counter blocked{0};
        run_on(procs, [&] {
            auto gate = vole::make_chan<void>();
            // Most of them block, before and behind those that do not, and of one object and of many.
            for (int i = 0; i < 50; ++i) {
                auto p = vole::make_managed<int>(i);
                for (int k = 0; k < 2; ++k) {
                    vole::add_cleanup(
                        p,
                        [&blocked](const vole::chan<void>& c) {
                            ++blocked;
                            (void)c.recv();
                        },
                        gate);
                }
                vole::add_cleanup(p, count_up, &ran);
            }
            wait_until([&] { return ran == 50 && blocked == 100; }, "cleanups behind blocked ones");
            gate.close();
            vole::drain_cleanups();
        });
        CHECK(ran == 50);
    }
}

TEST_CASE("CLN-2 cleanups run beside each other", "[managed]") {
    counter met{0};
    run_on(1, [&] {
        auto meeting = vole::make_chan<int>();
        auto p = vole::make_managed<int>(1);
        vole::add_cleanup(
            p, [&](const vole::chan<int>& c) { c.send(1), ++met; }, meeting);
        vole::add_cleanup(
            p, [&](const vole::chan<int>& c) { met += c.recv().value_or(0); }, meeting);
        p.reset();
        vole::drain_cleanups();
    });
    CHECK(met == 2);
}

TEST_CASE("CLN-2 workers end when nothing is left to do", "[managed]") {
    for (const int procs : {1, 4}) {
        bool gone = false;
        run_on(procs, [&] {
            const std::size_t before = vole::num_goroutine();
            counter ran{0};
            for (int i = 0; i < 1000; ++i) {
                auto p = vole::make_managed<int>(i);
                vole::add_cleanup(p, count_up, &ran);
            }
            vole::drain_cleanups();
            gone =
                wait_until([&] { return vole::num_goroutine() <= before; }, "the workers to end") &&
                ran == 1000;
        });
        CHECK(gone);
    }
}

TEST_CASE("CLN-6 what a cleanup throws goes to the panic handler, and the others run",
          "[managed]") {
    for (const int procs : {1, 2}) {
        std::mutex mu;
        std::vector<std::string> told;
        counter ran{0};
        const auto before = vole::set_panic_handler([&](const vole::panic_value& v) {
            const std::lock_guard lock(mu);
            told.push_back(v.name() + ": " + v.what());
        });
        run_on(procs, [&] {
            for (int i = 0; i < 20; ++i) {
                auto p = vole::make_managed<int>(i);
                vole::add_cleanup(
                    p, [](int) { throw std::runtime_error("bad luck"); }, 1);
                vole::add_cleanup(p, count_up, &ran);
            }
            vole::drain_cleanups();
        });
        vole::set_panic_handler(before);
        CHECK(ran == 20);
        CHECK(told.size() == 20);
        CHECK(told.front() == "cleanup: std::runtime_error: bad luck");
    }
}

TEST_CASE("CLN-6 goexit in a cleanup ends its worker only", "[managed]") {
    for (const int procs : {1, 2}) {
        counter ran{0};
        counter after{0};
        run_on(procs, [&] {
            auto p = vole::make_managed<int>(1);
            for (int i = 0; i < 20; ++i) {
                vole::add_cleanup(
                    p,
                    [&](int) {
                        ++ran;
                        vole::goexit();
                        ++after;
                    },
                    1);
                vole::add_cleanup(p, count_up, &ran);
            }
            p.reset();
            vole::drain_cleanups();
        });
        CHECK(ran == 40);
        CHECK(after == 0);
    }
}

namespace {

/// Its death arms the death of another, n times.
void chain_of_deaths(int n, counter* ran) {
    auto p = vole::make_managed<int>(n);
    vole::add_cleanup(
        p,
        [ran](int left) {
            ++*ran;
            if (left > 1) chain_of_deaths(left - 1, ran);
        },
        n);
}

}  // namespace

TEST_CASE("CLN-7 cleanups make objects, arm others, and wait", "[managed]") {
    CHECK(everywhere([](findings& ok) {
              counter ran{0};
              chain_of_deaths(100, &ran);
              vole::drain_cleanups();
              ok.equal(ran.load(), 100);

              // Arms another object, that lives on.
              auto other = vole::make_managed<int>(2);
              auto first = vole::make_managed<int>(1);
              vole::add_cleanup(
                  first, [&](counter* c) { vole::add_cleanup(other, count_up, c); }, &ran);
              first.reset();
              vole::drain_cleanups();
              ok.equal(ran.load(), 100);
              other.reset();
              vole::drain_cleanups();
              ok.equal(ran.load(), 101);

              // Starts goroutines and waits for them.
              first = vole::make_managed<int>(1);
              vole::add_cleanup(
                  first,
                  [](counter* c) {
                      vole::wait_group done;
                      for (int i = 0; i < 9; ++i) done.go([c] { ++*c; });
                      done.wait();
                  },
                  &ran);
              first.reset();
              vole::drain_cleanups();
              ok.equal(ran.load(), 110);
          }) == "");
}

TEST_CASE("CLN-8 run() does not wait for cleanups; drain_cleanups() does, also on a thread",
          "[managed]") {
    const procs_scope procs(1);
    counter ran{0};
    auto gate = vole::make_chan<void>();
    vole::run([&] {
        auto p = vole::make_managed<int>(1);
        vole::add_cleanup(
            p,
            [&](const vole::chan<void>& c) {
                (void)c.recv();
                ++ran;
            },
            gate);
    });
    CHECK(ran == 0);
    std::atomic<int> tid{0};
    std::atomic<bool> drained{false};
    std::thread waiting([&] {
        tid = thread_id();
        vole::drain_cleanups();
        drained = true;
    });
    wait_until([&] { return tid != 0; });
    wait_asleep(tid);
    CHECK(!drained);
    gate.close();
    waiting.join();
    CHECK(ran == 1);
}

TEST_CASE("CLN-8 several drain at once", "[managed]") {
    counter ran{0};
    counter early{0};
    run_on(2, [&] {
        auto gate = vole::make_chan<void>();
        auto p = vole::make_managed<int>(1);
        vole::add_cleanup(
            p,
            [&](const vole::chan<void>& c) {
                (void)c.recv();
                ++ran;
            },
            gate);
        p.reset();
        vole::wait_group done;
        counter begun{0};
        for (int i = 0; i < 10; ++i) {
            done.go([&] {
                ++begun;
                vole::drain_cleanups();
                if (ran == 0) ++early;
            });
        }
        wait_until([&] { return begun == 10; });
        settle();
        gate.close();
        done.wait();
    });
    CHECK(ran == 1);
    CHECK(early == 0);
}

TEST_CASE("CLN-11 objects without a size have cleanups, too", "[managed]") {
    struct empty {};
    CHECK(everywhere([](findings& ok) {
              counter ran{0};
              auto a = vole::make_managed<empty>();
              auto b = vole::make_managed<empty>();
              const auto w = vole::make_weak(a);
              vole::add_cleanup(a, count_up, &ran);
              vole::add_cleanup(b, count_up, &ran);
              a.reset();
              vole::drain_cleanups();
              ok.equal(ran.load(), 1);
              ok(w.value() == nullptr);
              b.reset();
              vole::drain_cleanups();
              ok.equal(ran.load(), 2);
          }) == "");
}

TEST_CASE("CLN-14 the last reference may go anywhere", "[managed]") {
    counter ran{0};
    std::atomic<std::uint64_t> in_goroutine{0};
    const auto make = [&] {
        auto p = vole::make_managed<int>(1);
        vole::add_cleanup(
            p,
            [&](counter* c) {
                if (vole::goroutine_id() != 0) ++in_goroutine;
                ++*c;
            },
            &ran);
        return p;
    };
    int expected = 0;
    const auto drained = [&] {
        vole::drain_cleanups();
        return ran == ++expected;
    };
    // An ordinary thread, which ends at once.
    std::thread([&] { (void)make(); }).join();
    CHECK(drained());
    findings ok;
    run_on(2, [&] {
        auto p = make();
        vole::on_system_stack([&] { p.reset(); });
        ok(drained());
        p = make();
        vole::blocking([&] { p.reset(); });
        ok(drained());
        // While an exception unwinds, and while goexit does.
        try {
            const auto local = make();
            throw 1;
        } catch (int) {
        }
        ok(drained());
        vole::wait_group done;
        done.go([&] {
            const auto local = make();
            vole::goexit();
        });
        done.wait();
        ok(drained());
        // With its closure, when a goroutine ends.
        done.go([local = make()] { (void)local; });
        done.wait();
        ok(drained());
        // In a channel that nobody refers to any more.
        {
            auto c = vole::make_chan<std::shared_ptr<int>>(1);
            c.send(make());
        }
        ok(drained());
    });
    CHECK(ok.text() == "");
    CHECK(in_goroutine == static_cast<std::uint64_t>(expected));
}

TEST_CASE("CLN-15 the object does not die inside add_cleanup", "[managed]") {
    struct resets_it {
        std::shared_ptr<int>* p;
        explicit resets_it(std::shared_ptr<int>* x) : p(x) {}
        resets_it(const resets_it& o) : p(o.p) { p->reset(); }
    };
    counter ran{0};
    auto p = vole::make_managed<int>(1);
    const auto w = vole::make_weak(p);
    const resets_it arg(&p);
    vole::add_cleanup(
        p, [&](const resets_it&) { ++ran; }, arg);
    CHECK(w.value() == nullptr);
    vole::drain_cleanups();
    CHECK(ran == 1);
}

TEST_CASE("CLN-15 added and dropped at the same time", "[managed]") {
    const int rounds = scaled(3000);
    counter ran{0};
    int added = 0;
    const procs_scope procs(2);
    vole::run([&] {
        std::shared_ptr<int> first;
        std::shared_ptr<int> second;
        duel(
            rounds,
            [&] {
                first = vole::make_managed<int>(1);
                second = first;
            },
            [&] {
                vole::add_cleanup(std::move(first), count_up, &ran);
                ++added;
            },
            [&] {
                for (int i = 0; i < 3; ++i) vole::add_cleanup(second, count_up, &ran);
                second.reset();
                // Added by one goroutine only: the duel orders the rounds.
            });
        vole::drain_cleanups();
    });
    CHECK(ran == 4 * added);
}

// ---- in processes of their own ----------------------------------------------------------------

TEST_CASE("child: cleanups without run", "[.child]") {
    counter ran{0};
    auto p = vole::make_managed<int>(1);
    vole::add_cleanup(p, count_up, &ran);
    vole::drain_cleanups();  // the runtime has not started
    p.reset();
    vole::drain_cleanups();
    std::printf("ran=%d\n", ran.load());
}
TEST_CASE("CLN-14 a cleanup starts the runtime if need be", "[managed]") {
    const auto r = run_case_in_subprocess("child: cleanups without run");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(r.out.find("ran=1\n") != std::string::npos);
}

TEST_CASE("child: a deadlock after cleanups", "[.child]") {
    vole::run([] {
        counter ran{0};
        for (int i = 0; i < 100; ++i) {
            auto p = vole::make_managed<int>(i);
            vole::add_cleanup(p, count_up, &ran);
        }
        vole::drain_cleanups();
        (void)vole::make_chan<int>().recv();
    });
}
TEST_CASE("CLN-2 the pool hides no deadlock", "[managed]") {
    const auto r = run_case_in_subprocess("child: a deadlock after cleanups");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(r.err.find("fatal error: all goroutines are asleep - deadlock!\n") != std::string::npos);
}

TEST_CASE("child: a cleanup that nobody wakes", "[.child]") {
    vole::run([] {
        auto p = vole::make_managed<int>(1);
        vole::add_cleanup(
            p, [](int) { (void)vole::make_chan<int>().recv(); }, 1);
        p.reset();
        vole::drain_cleanups();
    });
}
TEST_CASE("CLN-8 a cleanup that can never end is a deadlock, and named", "[managed]") {
    const auto r = run_case_in_subprocess("child: a cleanup that nobody wakes");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(r.err.find("fatal error: all goroutines are asleep - deadlock!\n") != std::string::npos);
    CHECK(r.err.find("[chan receive]: cleanup\n") != std::string::npos);
}
