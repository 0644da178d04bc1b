// vole::cond. Cites SYNC-48 to SYNC-55 and SYNC-95 to SYNC-98; bubbles (SYNC-56): test/synctest; load: test/stress.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/cond.hpp>
#include <vole/rw_mutex.hpp>
#include <vole/sync.hpp>

#include "sync/src/wait_table.hpp"
#include "test/behaviour/sched_support.hpp"
#include "test/support/duel.hpp"
#include "test/support/findings.hpp"

#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

static_assert(!std::is_copy_constructible_v<vole::cond>);  // SYNC-54
static_assert(!std::is_move_constructible_v<vole::cond>);
static_assert(!std::is_copy_assignable_v<vole::cond>);
static_assert(std::is_trivially_destructible_v<vole::cond>);

namespace {

constinit vole::cond global;  // SYNC-95

/// Goroutines that wait on one cond, begun one after the other, and the order in which they came back.
struct waiters_in_order {
    vole::mutex m;
    vole::cond c;
    int waiting = 0;
    std::vector<int> woken;
    vole::wait_group done;

    void add(int who) {
        done.go([this, who] {
            std::unique_lock lock(m);
            ++waiting;
            c.wait(lock);
            woken.push_back(who);
        });
        wait_for(who + 1);
    }
    /// n have begun to wait: each of them has its ticket when the lock is free.
    void wait_for(int n) {
        wait_until([&] {
            const std::lock_guard lock(m);
            return waiting == n;
        });
    }
    std::size_t count() {
        const std::lock_guard lock(m);
        return woken.size();
    }
};

/// Its unlock() keeps a waiter between its ticket and the queue.
struct slow {
    vole::chan<void> go_on = vole::make_chan<void>();
    std::atomic<bool> entered{false};
    void lock() {}
    void unlock() {
        entered = true;
        go_on.recv();
    }
};

}  // namespace

TEST_CASE("SYNC-48 wait unlocks, waits for a notification, and locks again", "[sync][cond]") {
    findings ok;
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [&] {
            vole::mutex m;
            vole::cond c;
            vole::wait_group done;
            std::atomic<std::uint64_t> id{0};
            std::atomic<bool> past{false};
            done.go([&] {
                std::unique_lock lock(m);
                id = vole::goroutine_id();
                c.wait(lock);
                past = true;
                ok(lock.owns_lock() && !m.try_lock(), "locked again");
            });
            wait_until([&] { return id != 0; });
            ok(parked_as(id, "sync.Cond.Wait"));
            ok(m.try_lock(), "the lock is free meanwhile");
            c.notify_one();
            ok(stays([&] { return !past; }, 50), "waits for the lock");
            m.unlock();
            done.wait();
            ok(past);
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-48 a notification between the ticket and the parking is not lost", "[sync][cond]") {
    // Its unlock() is where the other one steps in.
    struct interrupted {
        std::function<void()> on_unlock;
        void lock() {}
        void unlock() { on_unlock(); }
    };
    CHECK(everywhere([](findings& ok) {
              vole::cond c;
              int calls = 0;
              interrupted one{[&] {
                  ++calls;
                  c.notify_one();
              }};
              c.wait(one);
              interrupted all{[&] {
                  ++calls;
                  c.notify_all();
              }};
              c.wait(all);
              ok.equal(calls, 2);
          }) == "");
}

TEST_CASE("SYNC-49 nobody wakes up unasked, and notifications of nobody are not kept",
          "[sync][cond]") {
    findings ok;
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            waiters_in_order w;
            for (int i = 0; i < 10; ++i) {
                w.c.notify_one();
                w.c.notify_all();
            }
            w.add(0);
            ok(stays([&] { return w.count() == 0; }));
            w.c.notify_one();
            w.done.wait();
            ok.equal(w.count(), std::size_t{1});
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-49 of two notifications at once for one waiter none is kept", "[sync][cond]") {
    struct subject {
        vole::mutex m;
        vole::cond c;
        vole::wait_group done;

        /// A goroutine waits. False: it came back at once.
        bool add() {
            std::atomic<std::uint64_t> id{0};
            done.go([this, &id] {
                std::unique_lock lock(m);
                id = vole::goroutine_id();
                c.wait(lock);
            });
            wait_until([&] { return id != 0; });
            return parked_as(id, "sync.Cond.Wait");
        }
    };
    findings ok;
    run_on(2, [&] {
        std::unique_ptr<subject> s;
        const auto check = [&] {
            if (s == nullptr) return;
            s->done.wait();
            ok(s->add());
            s->c.notify_one();
            s->done.wait();
        };
        duel(
            scaled(200),
            [&] {
                check();
                s = std::make_unique<subject>();
                ok(s->add());
            },
            [&] {
                {
                    // The other one sees somebody who waits, and so does this one then.
                    const vole::detail::runtime_pin pin;
                    const vole::detail::lock_guard held(vole::detail::bucket_of(&s->c).mu);
                    const std::atomic<int> nothing{0};
                    for (int i = 0; i < 20000; ++i) (void)nothing.load();
                }
                s->c.notify_one();
            },
            [&] { s->c.notify_one(); });
        check();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-49 wait with a predicate", "[sync][cond]") {
    findings ok;
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            vole::mutex m;
            vole::cond c;
            int level = 0;
            int asked = 0;
            vole::wait_group done;
            done.go([&] {
                std::unique_lock lock(m);
                c.wait(lock, [&] {
                    ++asked;
                    ok(lock.owns_lock());
                    return level == 3;
                });
                ok.equal(level, 3);
                c.wait(lock, [] { return true; });  // does not wait
            });
            for (int i = 1; i <= 3; ++i) {
                wait_until([&] {
                    const std::lock_guard lock(m);
                    return asked == i;
                });
                const std::lock_guard lock(m);
                level = i;
                c.notify_one();
            }
            done.wait();
            ok.equal(asked, 4);
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-50 those who began first are woken first", "[sync][cond]") {
    findings ok;
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [&] {
            waiters_in_order w;
            const int n = 50;
            for (int i = 0; i < n; ++i) w.add(i);
            for (int i = 0; i < n; ++i) {
                w.c.notify_one();
                wait_until([&] { return w.count() == static_cast<std::size_t>(i) + 1; });
            }
            w.done.wait();
            std::vector<int> expected;
            for (int i = 0; i < n; ++i) expected.push_back(i);
            ok(w.woken == expected, "the order");
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-50 also when the numbers begin again", "[sync][cond]") {
    findings ok;
    run_on(2, [&] {
        waiters_in_order w;
        static_assert(sizeof w.c == 2 * sizeof(std::uint32_t));
        std::memset(static_cast<void*>(&w.c), 0xff, sizeof w.c);  // as many waits, and all notified
        for (int i = 0; i < 4; ++i) w.add(i);
        ok(stays([&] { return w.count() == 0; }));
        for (std::size_t i = 1; i <= 2; ++i) {
            w.c.notify_one();
            wait_until([&] { return w.count() == i; });
        }
        w.c.notify_all();
        w.done.wait();
        ok(w.woken[0] == 0 && w.woken[1] == 1, "the order");
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-51 who begins later takes no notification from an earlier one", "[sync][cond]") {
    findings ok;
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [&] {
            for (int round = 0; round < scaled(300); ++round) {
                vole::mutex m;
                vole::cond c;
                vole::wait_group done;
                bool begun = false;
                std::atomic<bool> first_woken{false};
                done.go([&] {
                    std::unique_lock lock(m);
                    begun = true;
                    c.wait(lock);
                    first_woken = true;
                });
                wait_until([&] {
                    const std::lock_guard lock(m);
                    return begun;
                });
                // It has its ticket, but has perhaps not queued yet.
                bool second_woken = false;
                bool second_begun = false;
                done.go([&] {
                    std::unique_lock lock(m);
                    second_begun = true;
                    c.wait(lock);
                    second_woken = true;
                });
                c.notify_one();
                wait_until([&] { return first_woken.load(); }, "the first one's notification");
                wait_until([&] {
                    const std::lock_guard lock(m);
                    return second_begun;
                });
                ok(!second_woken);
                c.notify_one();
                done.wait();
                ok(second_woken);
            }
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-51 not even from one that has not queued yet", "[sync][cond]") {
    findings ok;
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            waiters_in_order w;
            slow first;
            vole::wait_group done;
            std::atomic<bool> first_woken{false};
            done.go([&] {
                w.c.wait(first);
                first_woken = true;
            });
            wait_until([&] { return first.entered.load(); });
            w.add(0);
            w.add(1);
            w.c.notify_one();  // for the first
            ok(stays([&] { return w.count() == 0 && !first_woken; }));
            w.c.notify_one();
            wait_until([&] { return w.count() == 1; }, "the second");
            ok(!first_woken);
            first.go_on.send();
            done.wait();
            ok(w.count() == 1);
            w.c.notify_one();
            w.done.wait();
            ok.equal(w.woken.back(), 1);
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-51 one that queues late is found behind those that came later", "[sync][cond]") {
    findings ok;
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            waiters_in_order w;
            slow first;
            std::atomic<std::uint64_t> id{0};
            std::atomic<bool> first_woken{false};
            w.done.go([&] {
                id = vole::goroutine_id();
                w.c.wait(first);
                first_woken = true;
            });
            wait_until([&] { return first.entered.load(); });
            w.add(0);
            settle();  // it queues; if not, the first one is the first there, too
            first.go_on.send();
            ok(parked_as(id, "sync.Cond.Wait"));
            w.c.notify_one();
            wait_until([&] { return first_woken.load(); },
                       "the first, which is the last in the queue");
            ok(w.count() == 0);
            w.add(1);
            w.add(2);
            for (std::size_t n = 1; n <= 3; ++n) {
                w.c.notify_one();
                wait_until([&] { return w.count() == n; });
            }
            w.done.wait();
            ok(w.woken == std::vector<int>{0, 1, 2}, "the order");
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-52 notify_all wakes all that wait, and none that comes later", "[sync][cond]") {
    findings ok;
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [&] {
            waiters_in_order w;
            for (int i = 0; i < 30; ++i) w.add(i);
            w.c.notify_all();
            w.add(30);
            wait_until([&] { return w.count() == 30; });
            ok(stays([&] { return w.count() == 30; }));
            w.c.notify_all();
            w.done.wait();
            ok.equal(w.count(), std::size_t{31});
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-53 notifying with and without the lock", "[sync][cond]") {
    findings ok;
    for (const bool with_lock : {false, true}) {
        for (const bool all : {false, true}) {
            run_on(2, [&] {
                waiters_in_order w;
                w.add(0);
                std::unique_lock lock(w.m, std::defer_lock);
                if (with_lock) lock.lock();
                all ? w.c.notify_all() : w.c.notify_one();
                if (with_lock) lock.unlock();
                w.done.wait();
                ok.equal(w.count(), std::size_t{1});
            });
        }
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-55 any lock will do", "[sync][cond]") {
    findings ok;
    run_on(2, [&] {
        vole::rw_mutex m;
        vole::cond c;
        vole::wait_group done;
        std::atomic<int> waiting{0};
        std::atomic<int> inside{0};
        const auto meet = [&] {
            ++inside;  // readers may be inside together
            wait_until([&] { return inside == 2; });
        };
        done.go([&] {
            std::shared_lock lock(m);
            ++waiting;
            c.wait(lock);
            ok(lock.owns_lock());
            meet();
        });
        done.go([&] {
            vole::read_locker lock = m.reader();
            lock.lock();
            ++waiting;
            c.wait(lock);
            meet();
            lock.unlock();
        });
        wait_until([&] { return waiting == 2; });
        {
            std::unique_lock lock(m);  // both wait: they have let go
            c.notify_all();
        }
        done.wait();
        done.go([&] {
            m.lock();
            ++waiting;
            c.wait(m);
            m.unlock();
        });
        wait_until([&] { return waiting == 3; });
        {
            const std::unique_lock lock(m);
            c.notify_one();
        }
        done.wait();
        ok(m.try_lock());
        m.unlock();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-55 wait without the lock is refused before it waits", "[sync][cond]") {
    findings ok;
    run_on(1, [&] {
        waiters_in_order w;
        std::unique_lock lock(w.m, std::defer_lock);
        std::unique_lock<vole::mutex> none;
        for (auto* l : {&lock, &none}) {
            try {
                w.c.wait(*l);
                ok(false, "no error");
            } catch (const std::system_error& e) {
                ok(e.code() == std::errc::operation_not_permitted);
            }
        }
        w.add(0);  // its notification is not the refused ones'
        w.c.notify_one();
        w.done.wait();
        ok.equal(w.count(), std::size_t{1});
    });
    CHECK(ok.text() == "");
}

TEST_CASE(
    "a lock that throws, and a predicate that throws or ends the goroutine, leave nothing behind",
    "[sync][cond]") {
    struct refusing {
        vole::mutex m;
        bool refuses = false;
        void lock() {
            if (refuses) throw std::runtime_error("refused");
            m.lock();
        }
        void unlock() { m.unlock(); }
    };
    findings ok;
    run_on(1, [&] {
        vole::cond c;
        vole::wait_group done;
        refusing r;
        r.lock();
        done.go([&] {
            r.lock();
            c.notify_one();
            r.refuses = true;
            r.unlock();
        });
        ok.throws<std::runtime_error>("refused", [&] { c.wait(r); });
        done.wait();

        waiters_in_order w;
        done.go([&] {
            std::unique_lock lock(w.m);
            w.c.wait(lock, []() -> bool { vole::goexit(); });
        });
        done.wait();
        {
            std::unique_lock lock(w.m);
            ok.throws<std::runtime_error>(
                "no", [&] { w.c.wait(lock, []() -> bool { throw std::runtime_error("no"); }); });
            ok(lock.owns_lock());
        }
        w.add(0);
        w.c.notify_one();
        w.done.wait();
        ok.equal(w.count(), std::size_t{1});
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-97 threads and goroutines wait in one queue for a condition", "[sync][cond]") {
    findings ok;
    run_on(2, [&] {
        waiters_in_order w;
        std::vector<std::thread> threads;
        for (int i = 0; i < 20; ++i) {
            if (i % 2 == 0) {
                w.add(i);
                continue;
            }
            threads.emplace_back([&w, i] {
                std::unique_lock lock(w.m);
                ++w.waiting;
                w.c.wait(lock);
                w.woken.push_back(i);
            });
            w.wait_for(i + 1);
        }
        for (int i = 0; i < 20; ++i) {
            w.c.notify_one();
            wait_until([&] { return w.count() == static_cast<std::size_t>(i) + 1; });
            const std::lock_guard lock(w.m);
            ok.equal(w.woken.back(), i);
        }
        w.done.wait();
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-95 one of the program's, used by threads alone", "[sync][cond]") {
    static constinit vole::mutex m;
    bool told = false;
    std::thread t([&] {
        const std::lock_guard lock(m);
        told = true;
        global.notify_one();
    });
    {
        std::unique_lock lock(m);
        global.wait(lock, [&] { return told; });
    }
    t.join();
    CHECK(told);
}
