// Races that TSan must report, with the places where both goroutines were created; and beside each the same with the order
// that it lacks, which TSan must leave alone.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/iter.hpp>
#include <vole/mutex.hpp>
#include <vole/rw_mutex.hpp>
#include <vole/select.hpp>
#include <vole/time.hpp>

#include "test/race/race_support.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

using namespace vole::test;
using namespace std::chrono_literals;

namespace {

/// Takes the mutex, or does not.
class maybe_locked {
  public:
    maybe_locked(vole::mutex& mu, bool really) : held_(mu, std::defer_lock) {
        if (really) held_.lock();
    }

  private:
    std::unique_lock<vole::mutex> held_;
};

void nobody_locks(bool right) {
    both b;
    vole::mutex mu;
    int x = 0;
    const auto write = [&] {
        const maybe_locked held(mu, right);
        ++x;
    };
    run_both([&] { b.first(write); }, [&] { b.second(write); });
}

void one_does_not_lock(bool right) {
    both b;
    vole::mutex mu;
    int x = 0;
    const auto write = [&](bool locks) {
        const maybe_locked held(mu, locks);
        ++x;
    };
    run_both([&] { b.first([&] { write(true); }); }, [&] { b.second([&] { write(right); }); });
}

// What is done after the send is not ordered before what follows the receive.
void channel(bool right, std::size_t capacity) {
    both b;
    auto c = vole::make_chan<int>(capacity);
    int x = 0;
    run_both(
        [&] {
            b.first([&] {
                if (right) x = 1;
                c.send(1);
                if (!right) x = 1;
            });
        },
        [&] {
            b.meet();
            (void)c.recv();
            b.meet();
            const int seen = x;
            b.meet();
            if (seen != 1) say("impossible");
        });
}
void buffered_channel(bool right) { channel(right, 1); }
void unbuffered_channel(bool right) { channel(right, 0); }

// That a long time passes in between orders nothing.
void sleeper(bool right) {
    both b;
    std::atomic<bool> written{false};
    int x = 0;
    run_both(
        [&] {
            b.first([&] {
                x = 1;
                store(written, true, right);
            });
        },
        [&] {
            b.meet();
            vole::sleep(20ms);
            b.meet();
            const int seen = load(written, right) ? x : 0;
            b.meet();
            if (seen != 1) say("impossible");
        });
}

// A timer's function comes after the call that set it, and not after what is done next.
void timer_function(bool right) {
    both b;
    int x = 0;
    run_both(
        [&] {
            b.meet();
            if (right) x = 1;
            vole::after_func(1ms, [&] {
                b.meet();
                const int seen = x;
                b.meet();
                if (seen != 1) say("impossible");
            });
            if (!right) x = 1;
            b.meet();
            b.meet();
        },
        [&] { b.meet(); });
}

struct lazy_table {
    vole::mutex mu;
    std::atomic<bool> ready{false};
    std::unique_ptr<std::map<int, int>> table;

    const std::map<int, int>& get(bool right) {
        if (!load(ready, right)) {
            const std::lock_guard held(mu);
            if (table == nullptr) {
                table = std::make_unique<std::map<int, int>>();
                table->emplace(1, 2);
                store(ready, true, right);
            }
        }
        return *table;
    }
};

void double_check(bool right) {
    both b;
    lazy_table lazy;
    const auto look = [&] {
        if (lazy.get(right).size() != 1) say("impossible");
    };
    run_both([&] { b.first(look); }, [&] { b.second(look); });
}

// Readers may be inside together, so none of them may write.
void write_under_read_lock(bool right) {
    both b;
    vole::rw_mutex mu;
    int x = 0;
    const auto write = [&] { x = 1; };
    const auto read = [&] {
        if (x != 1) say("impossible");
    };
    run_both(
        [&] {
            if (right) {
                b.first([&] {
                    const std::unique_lock held(mu);
                    write();
                });
            } else {
                const std::shared_lock held(mu);
                b.first(write);
            }
        },
        [&] {
            if (right) {
                b.second([&] {
                    const std::shared_lock held(mu);
                    read();
                });
            } else {
                const std::shared_lock held(mu);
                b.second(read);
            }
        });
}

// What a coroutine does is done by the goroutine that asks it for a value, before and after what that one does itself.
void coroutine(bool right) {
    both b;
    vole::mutex mu;
    int x = 0;
    int own = 0;
    const auto write = [&] {
        const maybe_locked held(mu, right);
        ++x;
    };
    run_both(
        [&] {
            own = 1;
            auto values = vole::iter::pull<int>([&](auto& yield) {
                ++own;
                b.first(write);
                yield(own);
            });
            const auto value = values.next();
            if (value != own || ++own != 3) say("impossible");
        },
        [&] { b.second(write); });
}

// blocking() gives the P away; the goroutine and its thread stay what they are.
void in_blocking(bool right) {
    both b;
    std::mutex mu;
    int x = 0;
    const auto write = [&] {
        std::unique_lock held(mu, std::defer_lock);
        if (right) held.lock();
        ++x;
    };
    run_both(
        [&] {
            int own = 1;
            vole::blocking([&] {
                ++own;
                b.first(write);
            });
            if (++own != 3) say("impossible");
        },
        [&] { b.second(write); });
}

void after_select(bool right) {
    both b;
    auto c = vole::make_chan<int>();
    auto other = vole::make_chan<int>();
    int x = 0;
    run_both(
        [&] {
            b.first([&] {
                if (right) x = 1;
                vole::select(vole::on_send(c, 1), vole::on_recv(other));
                if (!right) x = 1;
            });
        },
        [&] {
            b.meet();
            vole::select(vole::on_recv(other), vole::on_recv(c));
            b.meet();
            const int seen = x;
            b.meet();
            if (seen != 1) say("impossible");
        });
}

void relaxed_publication(bool right) {
    both b;
    struct box {
        int value = 0;
    };
    box made;
    std::atomic<box*> published{nullptr};
    run_both(
        [&] {
            b.first([&] {
                made.value = 1;
                store(published, &made, right);
            });
        },
        [&] {
            b.second([&] {
                if (load(published, right)->value != 1) say("impossible");
            });
        });
}

}  // namespace

PLANTED_RACE("two write, and nobody locks", nobody_locks)
PLANTED_RACE("two write, and one of them locks", one_does_not_lock)
PLANTED_RACE("written after a send, read after its receive", buffered_channel)
PLANTED_RACE("written after a send without a buffer, read after its receive", unbuffered_channel)
PLANTED_RACE("written before somebody has slept", sleeper)
PLANTED_RACE("written behind a timer's beginning, read by its function", timer_function,
             "start_call\n\t")
PLANTED_RACE("made once, by a double check without an order", double_check)
PLANTED_RACE("written under a lock for readers", write_under_read_lock)
PLANTED_RACE("written by a coroutine", coroutine)
PLANTED_RACE("written in blocking", in_blocking)
PLANTED_RACE("written after a select has sent, read after one has received", after_select)
PLANTED_RACE("published by a relaxed store", relaxed_publication)
