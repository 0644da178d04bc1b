// Wrong uses of locks, conditions, groups and semaphores. See planted.hpp.
#include <vole/synctest.hpp>
#include <vole/vole.hpp>

#include "test/explore/planted.hpp"

#include <chrono>
#include <mutex>
#include <vector>

namespace vole::test {

using namespace std::chrono_literals;

namespace {

// What is checked under the lock no longer holds when it is taken again.
void check_then_act() {
    mutex mu;
    int balance = 100;
    twice([&] {
        mu.lock();
        const bool enough = balance >= 60;
        mu.unlock();
        if (!enough) return;
        const std::lock_guard held(mu);
        balance -= 60;
    });
    must(balance >= 0, "overdrawn");
}

void two_locks_in_two_orders() {
    mutex a;
    mutex b;
    const auto take = [](mutex& first, mutex& second) {
        const std::lock_guard one(first);
        const std::lock_guard two(second);
    };
    both([&] { take(a, b); }, [&] { take(b, a); });
}

void philosophers() {
    mutex forks[3];
    wait_group done;
    for (int i = 0; i < 3; ++i) {
        done.go([&, i] {
            const std::lock_guard left(forks[i]);
            const std::lock_guard right(forks[(i + 1) % 3]);
        });
    }
    done.wait();
}

// Two readers that both want to become the writer.
void readers_that_want_to_write() {
    rw_mutex mu;
    int n = 0;
    twice([&] {
        mu.lock_shared();
        const bool first = n == 0;
        if (!first) {
            mu.unlock_shared();
            return;
        }
        mu.lock();  // while it still reads
        ++n;
        mu.unlock();
        mu.unlock_shared();
    });
}

// The flag is set, and notified, between the look and the wait.
void notified_before_it_waits() {
    mutex mu;
    cond changed;
    atomic<bool> ready{false};
    both(
        [&] {
            if (ready.load()) return;
            std::unique_lock held(mu);
            changed.wait(held);
        },
        [&] {
            ready.store(true);
            changed.notify_all();
        });
}

// notify_one() reaches a waiter of the wrong kind.
void one_is_not_enough() {
    mutex mu;
    cond changed;
    int items = 0;
    bool told = false;
    wait_group done;
    done.go([&] {
        std::unique_lock held(mu);
        changed.wait(held, [&] { return items > 0; });
        --items;
    });
    done.go([&] {
        std::unique_lock held(mu);
        changed.wait(held, [&] { return told; });
    });
    done.go([&] {
        {
            const std::lock_guard held(mu);
            ++items;
        }
        changed.notify_one();
        {
            const std::lock_guard held(mu);
            told = true;
        }
        changed.notify_one();
    });
    done.wait();
}

// `if` where `while` is needed: another consumer comes first.
void looks_once() {
    mutex mu;
    cond changed;
    int items = 0;
    const auto take = [&] {
        std::unique_lock held(mu);
        if (items == 0) changed.wait(held);
        --items;
        must(items >= 0, "took what is not there");
    };
    wait_group done;
    done.go(take);
    done.go(take);
    done.go([&] {
        for (int i = 0; i < 2; ++i) {
            const std::lock_guard held(mu);
            ++items;
            changed.notify_all();
        }
    });
    done.wait();
}

// The goroutine counts itself, perhaps only when nobody waits any more.
void counts_itself_in() {
    wait_group done;
    bool written = false;
    go([&] {
        done.add(1);
        written = true;
        done.done();
    });
    done.wait();
    const bool seen = written;
    synctest::wait();
    must(seen, "did not wait");
}

// Each takes one unit of two, and then the second.
void half_of_what_it_needs() {
    weighted_semaphore units(2);
    twice([&] {
        units.acquire(1);
        units.acquire(1);
        units.release(2);
    });
}

// A barrier for two that begins its second round while somebody is still in the first.
void barrier_without_phases() {
    mutex mu;
    cond changed;
    int arrived = 0;
    int rounds[2] = {0, 0};
    const auto meet = [&] {
        std::unique_lock held(mu);
        if (++arrived == 2) {
            changed.notify_all();
        } else {
            changed.wait(held, [&] { return arrived == 2; });
        }
        if (arrived == 2) arrived = 0;  // whoever is first; the other one waits for 2 again
    };
    wait_group done;
    for (int& mine : rounds) {
        done.go([&] {
            for (int i = 0; i < 2; ++i) {
                meet();
                ++mine;
            }
        });
    }
    done.wait();
}

// Somebody subscribes after the list was copied and before the flag is set.
void cancelled_before_it_subscribed() {
    mutex mu;
    bool cancelled = false;
    std::vector<chan<void>> subscribers;
    both(
        [&] {
            mu.lock();
            const bool late = cancelled;
            mu.unlock();
            if (late) return;
            auto told = make_chan<void>();
            {
                const std::lock_guard held(mu);
                subscribers.push_back(told);
            }
            told.recv();
        },
        [&] {
            const std::lock_guard held(mu);
            cancelled = true;
            for (auto& s : subscribers) s.close();
        });
}

// What stop() could not prevent has begun, not ended.
void stopped_is_not_ended() {
    atomic<int> running{0};
    timer t = after_func(10ms, [&] {
        running.store(1);
        running.store(0);
    });
    sleep(10ms);
    if (!t.stop()) must(running.load() == 0, "the call is still under way");
    synctest::wait();
}

// A lock that prefers readers: as long as one comes before the other leaves, the writer waits.
void writer_starves() {
    mutex mu;
    cond changed;
    int readers = 0;
    bool written = false;
    int passed = 0;
    wait_group done;
    for (int r = 0; r < 2; ++r) {
        done.go([&] {
            for (int i = 0; i < 6; ++i) {
                {
                    const std::lock_guard held(mu);
                    ++readers;
                    if (!written) ++passed;
                }
                {
                    const std::lock_guard held(mu);
                    if (--readers == 0) changed.notify_all();
                }
            }
        });
    }
    done.go([&] {
        std::unique_lock held(mu);
        passed = 0;
        changed.wait(held, [&] { return readers == 0; });
        written = true;
        must(passed <= 4, "the writer was passed by more readers than there are");
    });
    done.wait();
}

constexpr planted_bug all[] = {
    {"check, then act", check_then_act},
    {"two locks in two orders", two_locks_in_two_orders},
    {"three philosophers", philosophers},
    {"two readers that want to write", readers_that_want_to_write, true},
    {"notified before it waits", notified_before_it_waits},
    {"notify_one for two kinds of waiters", one_is_not_enough},
    {"a wait that looks once", looks_once},
    {"a goroutine that counts itself in", counts_itself_in},
    {"half of the units each", half_of_what_it_needs},
    {"a barrier without phases", barrier_without_phases},
    {"cancelled before it subscribed", cancelled_before_it_subscribed},
    {"stopped, but not ended", stopped_is_not_ended},
    {"a writer that starves", writer_starves},
};

}  // namespace

std::span<const planted_bug> bugs_with_locks() { return all; }

}  // namespace vole::test
