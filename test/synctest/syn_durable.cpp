// What counts as durably blocked, and what does not. Cites SYN-10 to SYN-17, SYN-36,
// SYNC-26, SYNC-56, and, beyond Go, mutexes and onces.
//
// Durable: main sleeps for a second of virtual time, and time goes on. Not durable: a thread outside looks for
// many rounds whether it does, then releases whoever is blocked, which must find the clock unchanged.
#include <vole/cond.hpp>
#include <vole/once.hpp>
#include <vole/rw_mutex.hpp>

#include "test/synctest/synctest_support.hpp"

#include <algorithm>
#include <mutex>
#include <sys/socket.h>

namespace vole::test {

namespace {

constinit mutex of_the_program;

/// A goroutine blocks in block(); time must go on; release() is called in the bubble and must end it.
/// `state` is what a traceback says meanwhile.
template <class Block, class Release>
void time_goes_on(findings& ok, const std::string& state, Block block, Release release,
                  place where = here()) {
    std::atomic<std::uint64_t> id{0};
    std::atomic<bool> past{false};
    go([&] {
        id = goroutine_id();
        block();
        past = true;
    });
    synctest::wait();
    ok.equal(brackets_of(id).substr(0, state.size() + 18), state + ", synctest bubble ", where);
    const stopwatch t;
    sleep(1s);
    ok.equal(t.ns(), ns(1s), where);
    ok(!past, "blocked", where);
    release();
    synctest::wait();
    ok(past, "released", where);
    ok.equal(t.ns(), ns(1s), where);
}

/// In a bubble of its own main sleeps for a second, and a goroutine blocks in block(): time must stand still until a
/// thread outside has called release(). `state`: what a traceback says of it; empty: it does not say.
template <class Block, class Release>
std::string time_stands_still(const std::string& state, Block block, Release release,
                              place where = here()) {
    findings ok;
    std::atomic<std::uint64_t> blocked{0};
    std::atomic<std::uint64_t> sleeper{0};
    std::atomic<bool> went_on{false};
    std::thread outside([&] {
        wait_until([&] { return blocked != 0 && sleeper != 0; }, "both to begin", where);
        parked_as(sleeper, "sleep (durable)", where);
        if (!state.empty()) parked_as(blocked, state, where);
        ok(stays([&] { return !went_on; }), "time stands still", where);
        release();
    });
    bubble([&] {
        const stopwatch t;
        go([&, t] {
            blocked = goroutine_id();
            block();
            ok.equal(t.ns(), 0, where);
        });
        sleeper = goroutine_id();
        sleep(1s);
        went_on = true;
        ok.equal(t.ns(), ns(1s), where);
    });
    outside.join();
    return ok.text();
}

}  // namespace

TEST_CASE("SYN-10 SYN-11 channels of the bubble", "[synctest][durable]") {
    findings ok;
    bubble([&] {
        auto c = make_chan<int>();
        time_goes_on(
            ok, "chan receive (durable)", [&] { c.recv(); }, [&] { c.send(1); });
        time_goes_on(
            ok, "chan send (durable)", [&] { c.send(1); }, [&] { c.recv(); });
        auto full = make_chan<int>(1);
        full.send(0);
        time_goes_on(
            ok, "chan send (durable)", [&] { full.send(1); }, [&] { full.recv(); });
        auto done = make_chan<void>();
        time_goes_on(
            ok, "chan receive (durable)", [&] { done.recv(); }, [&] { done.close(); });
        auto all = make_chan<std::string>();
        time_goes_on(
            ok, "chan receive (durable)",
            [&] {
                for (const std::string& s : all) ok.equal(s, std::string("x"));
            },
            [&] {
                all.send("x");
                all.close();
            });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-12 selects on channels of the bubble", "[synctest][durable]") {
    findings ok;
    bubble([&] {
        auto a = make_chan<int>();
        auto b = make_chan<std::string>();
        const auto both = [&] { select(on_recv(a), on_send(b, "x")); };
        time_goes_on(ok, "select (durable)", both, [&] { a.send(1); });
        time_goes_on(ok, "select (durable)", both, [&] { b.recv(); });
        const chan<int> nil;
        time_goes_on(
            ok, "select (durable)", [&] { select(on_recv(nil), on_recv(a)); }, [&] { a.send(1); });
        time_goes_on(
            ok, "select (durable)",
            [&] {
                selector s;
                s.recv(a);
                s.recv(nil);
                s.send(b, "y");
                s.select();
            },
            [&] { b.recv(); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-10 SYN-12 waits without an end are durable", "[synctest][durable]") {
    const chan<int> nil;
    const auto check = [](const std::string& state, auto block) {
        findings ok;
        const auto r = deadlock_of([&] {
            go(block);
            synctest::wait();
            const stopwatch t;
            sleep(1s);
            ok.equal(t.ns(), ns(1s));
            make_chan<int>().recv();
        });
        CHECK(r.what == all_blocked);
        CHECK_THAT(r.err, Catch::Contains("[" + state + ", synctest bubble "));
        CHECK(ok.text() == "");
    };
    check("chan receive (nil chan) (durable)", [nil] { nil.recv(); });
    check("chan send (nil chan) (durable)", [nil] { nil.send(1); });
    check("select (no cases) (durable)", [] { select(); });
    check("select (no cases) (durable)", [nil] { select(on_recv(nil), on_send(nil, 1)); });
}

TEST_CASE("SYN-10 sleep, timers, wait groups", "[synctest][durable]") {
    findings ok;
    bubble([&] {
        std::atomic<std::uint64_t> id{0};
        const stopwatch t;
        go([&] {
            id = goroutine_id();
            sleep(2s);
            ok.equal(t.ns(), ns(2s));
        });
        synctest::wait();
        ok.equal(state_of(id), std::string("sleep (durable)"));
        sleep(1s);
        ok.equal(t.ns(), ns(1s));
        sleep(1s + 1ns);
    });
    bubble([&] {
        timer t(1h);
        time_goes_on(
            ok, "chan receive (durable)", [&] { t.c().recv(); }, [&] { t.reset(0s); });
        ticker k(1h);
        time_goes_on(
            ok, "select (durable)", [&] { select(on_recv(t.c()), on_recv(k.c())); },
            [&] { t.reset(0s); });
        wait_group g;
        g.add(1);
        time_goes_on(
            ok, "sync.WaitGroup.Wait (durable)", [&] { g.wait(); }, [&] { g.done(); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-13 beyond Go: a mutex made in the bubble", "[synctest][durable]") {
    findings ok;
    bubble([&] {
        mutex m;
        m.lock();
        time_goes_on(
            ok, "sync.Mutex.Lock (durable)",
            [&] {
                m.lock();
                m.unlock();
            },
            [&] { m.unlock(); });
        struct account {
            mutex m;
            int balance = 0;
        };
        const auto a = std::make_unique<account>();
        const stopwatch t;
        wait_group g;
        for (int i = 0; i < 20; ++i) {
            g.go([&] {
                const std::lock_guard hold(a->m);
                const int before = a->balance;
                sleep(1s);  // while the others wait for the lock
                a->balance = before + 1;
            });
        }
        g.wait();
        ok.equal(a->balance, 20);
        ok.equal(t.ns(), ns(20s));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYN-15 a mutex made outside, held by a sleeping goroutine and wanted by another",
          "[synctest][durable]") {
    mutex m;
    findings ok;
    for (mutex* which : {&m, &of_the_program}) {
        std::atomic<std::uint64_t> holder{0};
        std::atomic<std::uint64_t> other{0};
        std::atomic<bool> went_on{false};
        std::thread outside([&] {
            wait_until([&] { return holder != 0 && other != 0; });
            parked_as(holder, "sleep (durable)");
            parked_as(other, "sync.Mutex.Lock");
            ok(stays([&] { return !went_on; }));
            which->unlock();  // anybody may
        });
        bubble([&] {
            const stopwatch t;
            which->lock();
            holder = goroutine_id();
            go([&, t] {
                other = goroutine_id();
                which->lock();
                ok.equal(t.ns(), 0);
                which->unlock();
            });
            sleep(1s);
            went_on = true;
            ok.equal(t.ns(), ns(1s));
        });
        outside.join();
        ok(which->try_lock());
        which->unlock();
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-26 nobody waits durably for a rw_mutex", "[synctest][durable]") {
    rw_mutex m;
    m.lock();
    CHECK(time_stands_still(
              "sync.RWMutex.RLock",
              [&] {
                  m.lock_shared();
                  m.unlock_shared();
              },
              [&] { m.unlock(); }) == "");
    m.lock_shared();
    CHECK(time_stands_still(
              "sync.RWMutex.Lock",
              [&] {
                  m.lock();
                  m.unlock();
              },
              [&] { m.unlock_shared(); }) == "");
    m.lock();
    CHECK(time_stands_still(
              "sync.RWMutex.Lock",
              [&] {
                  m.lock();
                  m.unlock();
              },
              [&] { m.unlock(); }) == "");
}

TEST_CASE("SYN-36 SYNC-56 everybody waits durably for a condition", "[synctest][durable]") {
    findings ok;
    mutex of_outside;
    cond also_of_outside;
    bubble([&] {
        mutex m;
        cond c;
        const auto wait = [](mutex& lock, cond& on) {
            return [&] {
                std::unique_lock hold(lock);
                on.wait(hold);
            };
        };
        const std::string state = "sync.Cond.Wait (durable)";
        time_goes_on(ok, state, wait(m, c), [&] { c.notify_one(); });
        time_goes_on(ok, state, wait(m, c), [&] { c.notify_all(); });
        time_goes_on(ok, state, wait(of_outside, also_of_outside),
                     [&] { also_of_outside.notify_one(); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("beyond Go: a once that one of the bubble runs", "[synctest][durable]") {
    findings ok;
    bubble([&] {
        once o;
        auto gate = make_chan<void>();
        go([&] { o.call([&] { gate.recv(); }); });
        synctest::wait();
        time_goes_on(
            ok, "sync.Mutex.Lock (durable)", [&] { o.call([] {}); }, [&] { gate.send(); });
    });
    CHECK(ok.text() == "");
    once of_outside;
    std::atomic<bool> inside{false};
    std::atomic<bool> leave{false};
    std::thread runner([&] {
        of_outside.call([&] {
            inside = true;
            while (!leave) std::this_thread::yield();
        });
    });
    wait_until([&] { return inside.load(); });
    CHECK(time_stands_still(
              "sync.Mutex.Lock", [&] { of_outside.call([] {}); }, [&] { leave = true; }) == "");
    runner.join();
}

TEST_CASE("SYN-11 channels of outside", "[synctest][durable]") {
    auto c = make_chan<int>();
    CHECK(time_stands_still(
              "chan receive", [&] { c.recv(); }, [&] { c.send(1); }) == "");
    CHECK(time_stands_still(
              "chan send", [&] { c.send(1); }, [&] { c.recv(); }) == "");
    CHECK(time_stands_still(
              "chan receive", [&] { c.recv(); }, [&] { c.close(); }) == "");
    auto full = make_chan<int>(1);
    full.send(0);
    CHECK(time_stands_still(
              "chan send", [&] { full.send(1); }, [&] { full.recv(); }) == "");
}

TEST_CASE("SYN-12 one channel of outside makes the whole select wait for outside",
          "[synctest][durable]") {
    auto c = make_chan<int>();
    auto d = make_chan<int>();
    const chan<int> nil;
    const auto mixed = [&] {
        auto own = make_chan<int>();
        select(on_recv(own), on_recv(c));
    };
    CHECK(time_stands_still("select", mixed, [&] { c.send(1); }) == "");
    const auto mixed_send = [&] {
        auto own = make_chan<int>();
        select(on_send(c, 1), on_recv(own), on_send(own, 2));
    };
    CHECK(time_stands_still("select", mixed_send, [&] { c.recv(); }) == "");
    const auto all_outside = [&] { select(on_recv(c), on_recv(d), on_recv(nil)); };
    CHECK(time_stands_still("select", all_outside, [&] { d.send(1); }) == "");
    const auto with_timer = [&] { select(on_recv(c), on_recv(after(500ms))); };
    CHECK(time_stands_still("select", with_timer, [&] { c.send(1); }) == "");
}

TEST_CASE("SYN-13 a wait group of outside", "[synctest][durable]") {
    wait_group g;
    g.add(1);
    CHECK(time_stands_still(
              "sync.WaitGroup.Wait", [&] { g.wait(); }, [&] { g.done(); }) == "");
}

TEST_CASE("SYN-13 SYN-16 the kernel, blocking(), and computing", "[synctest][durable]") {
    std::array<int, 2> pipe_ends;
    REQUIRE(::pipe(pipe_ends.data()) == 0);
    std::array<int, 2> sockets;
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()) == 0);
    const auto reads = [](int fd) {
        return [fd] {
            char c = 0;
            if (::read(fd, &c, 1) != 1) throw std::runtime_error("read");
        };
    };
    const auto writes = [](int fd) {
        return [fd] {
            if (::write(fd, "x", 1) != 1) throw std::runtime_error("write");
        };
    };
    CHECK(time_stands_still("", reads(pipe_ends[0]), writes(pipe_ends[1])) == "");
    CHECK(time_stands_still("", reads(sockets[0]), writes(sockets[1])) == "");
    CHECK(time_stands_still(
              "", [&] { blocking(reads(sockets[1])); }, writes(sockets[0])) == "");
    for (const int fd : {pipe_ends[0], pipe_ends[1], sockets[0], sockets[1]}) ::close(fd);

    std::atomic<bool> go_on{false};
    CHECK(time_stands_still(
              "",
              [&] {
                  while (!go_on) gosched();
              },
              [&] { go_on = true; }) == "");
    go_on = false;
    CHECK(time_stands_still(
              "",
              [&] {
                  lock_os_thread();
                  while (!go_on) {
                  }
                  unlock_os_thread();
              },
              [&] { go_on = true; }) == "");
}

TEST_CASE("SYN-17 a wake-up on its way keeps the bubble active", "[synctest][durable]") {
    for (const int procs : {1, 2, 4}) {
        const procs_scope guard(procs);
        findings ok;
        const int rounds = scaled(3000);
        bubble([&] {
            const stopwatch t;
            wait_group g;
            auto there = make_chan<int>();
            auto back = make_chan<int>();
            g.go([&] {
                for (const int i : there) back.send(i);
            });
            g.go([&] {
                for (int i = 0; i < rounds; ++i) {
                    select(on_send(there, i));
                    ok.equal(back.recv().value_or(-1), i);
                    ok.equal(t.ns(), 0);
                }
                there.close();
            });
            mutex m;
            for (int k = 0; k < 2; ++k) {
                g.go([&] {
                    for (int i = 0; i < rounds; ++i) {
                        const std::lock_guard hold(m);
                        if (i % 16 == 0) gosched();
                        ok.equal(t.ns(), 0);
                    }
                });
            }
            g.go([&] {
                for (int i = 0; i < rounds; ++i) {
                    wait_group one;
                    one.go([] {});
                    one.wait();
                    ok.equal(t.ns(), 0);
                }
            });
            sleep(1ns);  // the nearest there is
            g.wait();    // and all of them were done by then
            ok.equal(t.ns(), 1);
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("SYN-17 so does one that comes from outside", "[synctest][durable]") {
    const procs_scope guard(4);
    findings ok;
    const int rounds = scaled(1000);
    auto c = make_chan<int>();
    auto d = make_chan<int>();
    std::thread outside([&] {
        for (const int i : c) d.send(i);
        d.close();
    });
    bubble([&] {
        const stopwatch t;
        go([&, t] {
            for (int i = 0; i < rounds; ++i) {
                c.send(i);
                ok.equal(d.recv().value_or(-1), i);
                ok.equal(t.ns(), 0);
            }
            c.close();
            ok(!d.recv());
            ok.equal(t.ns(), 0);
        });
        sleep(1ns);
        ok.equal(t.ns(), 1);
    });
    outside.join();
    CHECK(ok.text() == "");
}

}  // namespace vole::test
