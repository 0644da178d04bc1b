// Read-write locks, conditions and onces under load. Cites SYNC-19, SYNC-20, SYNC-27, SYNC-39, SYNC-48 to SYNC-52,
// SYNC-96, SYNC-97. Objects that are destroyed lie on the heap, where ASan sees a late touch.
#include <catch2/catch.hpp>

#include <vole/cond.hpp>
#include <vole/once.hpp>
#include <vole/rw_mutex.hpp>
#include <vole/sync.hpp>

#include "test/support/duel.hpp"
#include "test/support/findings.hpp"
#include "test/support/rw_probe.hpp"
#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

using namespace vole::test;

namespace {

/// Who is inside: readers count one each, a writer counts many.
class activity {
  public:
    void read(bool give_way) {
        if (level_.fetch_add(1) >= writing) ++crowds_;
        if (give_way) vole::gosched();
        if (level_.fetch_sub(1) > writing) ++crowds_;
    }
    void write(bool give_way) {
        if (level_.fetch_add(writing) != 0) ++crowds_;
        if (give_way) vole::gosched();
        if (level_.fetch_sub(writing) != writing) ++crowds_;
    }
    int crowds() const { return crowds_; }

  private:
    static constexpr int writing = 10'000;
    std::atomic<int> level_{0};
    std::atomic<int> crowds_{0};
};

/// One random operation on the lock; returns whether it was done.
bool read_or_write(vole::rw_mutex& m, activity& a, dice& roll, int writes_in) {
    const bool writes = roll(static_cast<std::uint64_t>(writes_in)) == 0;
    const bool tries = roll(4) == 0;
    const bool gives_way = roll(16) == 0;
    if (writes) {
        if (tries ? !m.try_lock() : (m.lock(), false)) return false;
        a.write(gives_way);
        m.unlock();
    } else {
        if (tries ? !m.try_lock_shared() : (m.lock_shared(), false)) return false;
        if (roll(20) == 0) vole::detail::rw_mutex_probe::spread(m);
        if (roll(10) == 0) vole::detail::rw_mutex_probe::spread_at_home(m);
        a.read(gives_way);
        m.unlock_shared();
    }
    return true;
}

}  // namespace

TEST_CASE("stress SYNC-27: readers and writers on 1 to 10 Ps", "[stress][sync][rw_mutex]") {
    for (const int procs : {1, 2, 3, 4, 10}) {
        for (const int writes_in : {2, 10, 1000}) {
            const int each = stress_scaled(8000);
            activity a;
            bool free_in_the_end = false;
            run_on(procs, [&] {
                vole::rw_mutex m;
                vole::wait_group done;
                const auto work = [&](std::uint64_t seed) {
                    dice roll(seed);
                    for (int i = 0; i < each;) {
                        if (read_or_write(m, a, roll, writes_in)) {
                            ++i;
                        } else {
                            vole::gosched();
                        }
                    }
                };
                std::vector<std::thread> threads;
                for (std::uint64_t i = 1; i <= 10; ++i) done.go([&, i] { work(i); });
                for (std::uint64_t i = 11; i <= 12; ++i) threads.emplace_back([&, i] { work(i); });
                done.wait();
                vole::blocking([&] {
                    for (auto& t : threads) t.join();
                });
                free_in_the_end = m.try_lock();
                if (free_in_the_end) m.unlock();
            });
            CHECK(a.crowds() == 0);
            CHECK(free_in_the_end);
        }
    }
}

TEST_CASE("stress SYNC-27: a reader and a writer that meet", "[stress][sync][rw_mutex]") {
    int wrong = 0;
    run_on(2, [&] {
        vole::rw_mutex m;
        activity a;
        const auto write = [&] {
            m.lock();
            a.write(false);
            m.unlock();
        };
        const auto read = [&] {
            m.lock_shared();
            a.read(false);
            m.unlock_shared();
        };
        int how = 0;
        const auto free = [&] {
            if (!m.try_lock()) ++wrong;
            m.unlock();
            if (how == 1) spread_readers(m);
            if (how == 2) home_readers(m);  // on the P of one of them
        };
        for (; how < 3; ++how) {
            duel(stress_scaled(40'000), free, write, read);
            duel(stress_scaled(40'000), free, write, write);
            duel(stress_scaled(40'000), free, read, read);
        }
        wrong += a.crowds();
    });
    CHECK(wrong == 0);
}

TEST_CASE("stress SYNC-7: writers that keep the lock over a millisecond",
          "[stress][sync][rw_mutex]") {
    // The lock is handed over, with readers waiting and without.
    for (const int procs : {1, 2, 4}) {
        const int each = scaled(10);
        activity a;
        run_on(procs, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            for (int g = 0; g < 4; ++g) {
                done.go([&, g] {
                    for (int i = 0; i < each; ++i) {
                        const std::unique_lock hold(m);
                        a.write(true);
                        if (g == 0) {
                            vole::blocking(
                                [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); });
                        }
                    }
                });
                done.go([&] {
                    for (int i = 0; i < 20 * each; ++i) {
                        const std::shared_lock hold(m);
                        a.read(i % 4 == 0);
                    }
                });
            }
            done.wait();
        });
        CHECK(a.crowds() == 0);
    }
}

TEST_CASE("stress SYNC-96: whoever is last destroys the rw_mutex", "[stress][sync][rw_mutex]") {
    // Who is last is agreed on under the lock. Of two readers neither knows whether the other has left, so there is
    // one; or there are several, and a writer that finds them gone is the last.
    struct shared {
        vole::rw_mutex m;
        std::atomic<int> users{6};
    };
    std::atomic<long> destroyed{0};
    const int rounds = stress_scaled(12'000);
    for (const int procs : {2, 4}) {
        run_on(procs, [&] {
            for (int r = 0; r < rounds; ++r) {
                auto* s = new shared;
                vole::wait_group done;
                const bool one_reader = r % 2 == 0;
                const auto use = [&, s, r](bool writes) {
                    writes ? s->m.lock() : s->m.lock_shared();
                    if (r % 5 == 0) vole::gosched();
                    const bool last = --s->users == 0;
                    writes ? s->m.unlock() : s->m.unlock_shared();
                    if (!last) return;
                    delete s;
                    ++destroyed;
                };
                const auto use_last = [&, s] {
                    for (bool last = false; !last;) {
                        s->m.lock();
                        last = s->users == 1;
                        s->m.unlock();
                        if (!last) vole::gosched();
                    }
                    delete s;
                    ++destroyed;
                };
                for (int i = 0; i < 5; ++i) done.go([&use, one_reader] { use(one_reader); });
                if (one_reader) {
                    done.go([&use] { use(false); });
                } else {
                    done.go(use_last);
                }
                done.wait();
            }
        });
    }
    CHECK(destroyed == 2L * rounds);
}

TEST_CASE("stress SYNC-96: the rw_mutex is destroyed as the last one leaves",
          "[stress][sync][rw_mutex]") {
    // A duel: one unlocks; the other, who waits for that or comes by, is the last, and destroys.
    struct shared {
        vole::rw_mutex m;
        std::atomic<int> users{2};
    };
    shared* s = nullptr;
    long destroyed = 0;
    const int rounds = stress_scaled(80'000);
    run_on(2, [&] {
        const auto use = [&](bool writes) {
            shared* mine = s;
            writes ? mine->m.lock() : mine->m.lock_shared();
            const bool last = --mine->users == 0;
            writes ? mine->m.unlock() : mine->m.unlock_shared();
            if (!last) return;
            delete mine;
            ++destroyed;
        };
        int made = 0;
        const auto make = [&] {
            s = new shared;
            ++made;
            if (made % 3 == 1) spread_readers(s->m);
            if (made % 3 == 2) home_readers(s->m);
        };
        duel(
            rounds, make, [&] { use(true); }, [&] { use(false); });
        duel(
            rounds, make, [&] { use(true); }, [&] { use(true); });
    });
    CHECK(destroyed == 2L * rounds);
}

TEST_CASE("stress SYNC-48: a queue of two conditions, one and all notified at random",
          "[stress][sync][cond]") {
    for (const int procs : {1, 2, 4}) {
        const int each = stress_scaled(8000);
        constexpr int senders = 4;
        constexpr int receivers = 4;
        constexpr std::size_t capacity = 3;
        long sum = 0;
        run_on(procs, [&] {
            vole::mutex m;
            vole::cond not_empty;
            vole::cond not_full;
            std::deque<int> queue;
            vole::wait_group done;
            const auto send = [&](std::uint64_t seed) {
                dice roll(seed);
                for (int i = 1; i <= each; ++i) {
                    std::unique_lock lock(m);
                    not_full.wait(lock, [&] { return queue.size() < capacity; });
                    queue.push_back(i);
                    const bool unlocks_first = roll(2) == 0;
                    if (unlocks_first) lock.unlock();
                    roll(3) == 0 ? not_empty.notify_all() : not_empty.notify_one();
                }
            };
            const auto receive = [&](std::uint64_t seed) {
                dice roll(seed);
                for (int i = 1; i <= each; ++i) {
                    std::unique_lock lock(m);
                    while (queue.empty()) not_empty.wait(lock);
                    sum += queue.front();
                    queue.pop_front();
                    const bool unlocks_first = roll(2) == 0;
                    if (unlocks_first) lock.unlock();
                    roll(3) == 0 ? not_full.notify_all() : not_full.notify_one();
                }
            };
            std::vector<std::thread> threads;
            for (std::uint64_t i = 0; i < senders; ++i) {
                if (i == 0) {
                    threads.emplace_back([&] { send(1); });
                    threads.emplace_back([&] { receive(2); });
                } else {
                    done.go([&, i] { send(2 * i + 1); });
                    done.go([&, i] { receive(2 * i + 2); });
                }
            }
            done.wait();
            vole::blocking([&] {
                for (auto& t : threads) t.join();
            });
        });
        static_assert(senders == receivers);
        CHECK(sum == static_cast<long>(senders) * each * (each + 1) / 2);
    }
}

TEST_CASE("stress SYNC-50: as many come back as were notified", "[stress][sync][cond]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            vole::mutex m;
            vole::cond c;
            vole::wait_group done;
            std::atomic<long> waiting{0};  // have a ticket, or are about to come back
            std::atomic<long> returned{0};
            std::atomic<bool> stop{false};
            long asked = 0;
            for (int g = 0; g < 8; ++g) {
                done.go([&] {
                    std::unique_lock lock(m);
                    while (!stop) {
                        ++waiting;
                        c.wait(lock);
                        ++returned;
                    }
                });
            }
            dice roll(3);
            for (int i = 0; i < stress_scaled(60'000); ++i) {
                {
                    // With the lock held the number of tickets that are not notified is known.
                    const std::unique_lock lock(m);
                    const long open = waiting - asked;
                    if (roll(5) == 0) {
                        c.notify_all();
                        asked += open;
                    } else if (open > 0) {
                        c.notify_one();
                        ++asked;
                    } else {
                        c.notify_one();  // for nobody
                    }
                }
                if (roll(4) == 0) vole::gosched();
                if (roll(64) == 0) {
                    wait_until([&] { return returned == asked; }, "those who were notified");
                    settle();
                    ok.equal(returned.load(), asked);
                }
            }
            stop = true;
            wait_until([&] {
                const std::unique_lock lock(m);
                c.notify_all();
                return returned == waiting;
            });
            done.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("stress SYNC-96: who is notified destroys the condition", "[stress][sync][cond]") {
    struct shared {
        vole::mutex m;
        vole::cond c;
        bool waiting = false;
    };
    shared* s = nullptr;
    long destroyed = 0;
    const int rounds = stress_scaled(80'000);
    run_on(2, [&] {
        for (const bool all : {false, true}) {
            duel(
                rounds, [&] { s = new shared; },
                [&] {
                    shared* mine = s;
                    std::unique_lock lock(mine->m);
                    mine->waiting = true;
                    mine->c.wait(lock);
                    lock.unlock();
                    delete mine;  // the other one may still be in notify_one()
                    ++destroyed;
                },
                [&] {
                    shared* mine = s;
                    for (;;) {
                        const std::lock_guard lock(mine->m);
                        if (mine->waiting) break;
                    }
                    all ? mine->c.notify_all() : mine->c.notify_one();
                });
        }
    });
    CHECK(destroyed == 2L * rounds);
}

TEST_CASE("stress SYNC-39 SYNC-96: onces that meet, and are destroyed at once",
          "[stress][sync][once]") {
    struct shared {
        vole::once o;
        int plain = 0;
        std::atomic<int> users{2};
    };
    shared* s = nullptr;
    std::atomic<long> wrong{0};
    const int rounds = stress_scaled(80'000);
    run_on(2, [&] {
        const auto use = [&] {
            shared* mine = s;
            mine->o.call([&] { ++mine->plain; });
            if (mine->plain != 1) ++wrong;
            if (--mine->users == 0) delete mine;
        };
        duel(
            rounds, [&] { s = new shared; }, use, use);
        // Who waits for it destroys it, the other still being in call().
        std::unique_ptr<vole::once> o;
        std::atomic<bool> begun{false};
        duel(
            rounds,
            [&] {
                begun = false;
                o = std::make_unique<vole::once>();
            },
            [p = &o, &begun] { (*p)->call([&] { begun = true; }); },
            [&] {
                while (!begun) vole::gosched();
                o->call([&] { ++wrong; });
                o.reset();
            });
    });
    CHECK(wrong == 0);
}
