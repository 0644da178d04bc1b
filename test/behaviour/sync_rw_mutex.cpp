// vole::rw_mutex. Cites SYNC-17 to SYNC-26 and SYNC-95 to SYNC-98; misuse that ends the process: test/death; load: test/stress.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/rw_mutex.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"
#include "test/support/rw_probe.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

static_assert(!std::is_copy_constructible_v<vole::rw_mutex>);
static_assert(!std::is_move_constructible_v<vole::rw_mutex>);
static_assert(!std::is_copy_assignable_v<vole::rw_mutex>);

static_assert(sizeof(vole::rw_mutex) <= 32);

namespace {

constinit vole::rw_mutex global;  // SYNC-95

constexpr const char* wants_to_write = "sync.RWMutex.Lock";
constexpr const char* wants_to_read = "sync.RWMutex.RLock";

/// Lets others run meanwhile.
void pass_milliseconds(int n) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(n);
    wait_until([&] { return std::chrono::steady_clock::now() > end; });
}

/// A goroutine that takes the lock once, notes that it has it, and gives it back when told to.
class holder {
  public:
    holder(vole::rw_mutex& m, bool writes, vole::wait_group& done) {
        done.go([this, &m, writes] {
            id_ = vole::goroutine_id();
            writes ? m.lock() : m.lock_shared();
            inside = true;
            leave.recv();
            inside = false;
            writes ? m.unlock() : m.unlock_shared();
        });
        wait_until([this] { return id_ != 0; });
    }
    /// It waits for the lock.
    bool waits(const char* state) const { return parked_as(id_, state) && !inside; }
    bool enters() const {
        return wait_until([this] { return inside.load(); });
    }

    std::atomic<bool> inside{false};
    vole::chan<void> leave = vole::make_chan<void>(1);

  private:
    std::atomic<std::uint64_t> id_{0};
};

}  // namespace

TEST_CASE("SYNC-17 readers share, a writer does not", "[sync][rw_mutex]") {
    CHECK(everywhere([](findings& ok) {
              vole::rw_mutex m;
              m.lock_shared();
              m.lock_shared();
              ok(m.try_lock_shared(), "a third reader");
              ok(!m.try_lock(), "a writer beside readers");
              for (int i = 0; i < 3; ++i) m.unlock_shared();
              m.lock();
              ok(!m.try_lock_shared(), "a reader beside a writer");
              ok(!m.try_lock(), "a second writer");
              m.unlock();
              ok(m.try_lock_shared());
              m.unlock_shared();
          }) == "");
}

TEST_CASE("SYNC-17 SYNC-95 it starts unlocked and works before any run", "[sync][rw_mutex]") {
    global.lock();
    global.unlock();
    global.lock_shared();
    global.unlock_shared();
    CHECK(global.try_lock());
    global.unlock();
}

TEST_CASE("SYNC-17 as many readers as come are inside at once", "[sync][rw_mutex]") {
    for (const int procs : {1, 2, 4}) {
        std::atomic<int> inside{0};
        run_on(procs, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            for (int i = 0; i < 100; ++i) {
                done.go([&] {
                    m.lock_shared();
                    ++inside;
                    wait_until([&] { return inside == 100; }, "all readers to be inside");
                    m.unlock_shared();
                });
            }
            done.wait();
        });
        CHECK(inside == 100);
    }
}

TEST_CASE("SYNC-18 once a writer waits, new readers do too", "[sync][rw_mutex]") {
    findings ok;
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            m.lock_shared();
            holder w(m, true, done);
            ok(w.waits(wants_to_write));
            ok(!m.try_lock_shared(), "try_lock_shared");
            ok(!m.try_lock(), "try_lock");
            holder r(m, false, done);
            ok(r.waits(wants_to_read));
            m.unlock_shared();
            ok(w.enters());
            ok(stays([&] { return !r.inside; }));
            w.leave.send();
            ok(r.enters());
            r.leave.send();
            done.wait();
            ok(m.try_lock(), "free in the end");
            m.unlock();
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-19 a writer waits for all readers that were there before it, and no others",
          "[sync][rw_mutex]") {
    findings ok;
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            for (int i = 0; i < 3; ++i) m.lock_shared();
            holder w(m, true, done);
            ok(w.waits(wants_to_write));
            holder late(m, false, done);
            ok(late.waits(wants_to_read));
            for (int i = 0; i < 3; ++i) {
                ok(stays([&] { return !w.inside && !late.inside; }, 20), "waits for the last");
                m.unlock_shared();
            }
            ok(w.enters());
            w.leave.send();
            ok(late.enters());
            late.leave.send();
            done.wait();
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-20 readers that came while a writer had it go before the next writer",
          "[sync][rw_mutex]") {
    findings ok;
    for (const bool next_is_starving : {false, true}) {  // then the lock is handed over
        for (const int procs : {1, 2}) {
            run_on(procs, [&] {
                vole::rw_mutex m;
                vole::wait_group done;
                m.lock();
                holder next(m, true, done);
                ok(next.waits(wants_to_write));
                std::vector<std::unique_ptr<holder>> readers;
                for (int i = 0; i < 5; ++i) {
                    readers.push_back(std::make_unique<holder>(m, false, done));
                    ok(readers.back()->waits(wants_to_read));
                }
                if (next_is_starving) pass_milliseconds(2);
                m.unlock();
                for (auto& r : readers) ok(r->enters());
                ok(stays([&] { return !next.inside; }));
                for (auto& r : readers) {
                    ok(stays([&] { return !next.inside; }, 20), "one is still inside");
                    r->leave.send();
                }
                ok(next.enters());
                next.leave.send();
                done.wait();
                ok(m.try_lock(), "free in the end");
                m.unlock();
            });
        }
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-20 no stream of writers keeps a reader out, nor of readers a writer",
          "[sync][rw_mutex]") {
    for (const bool writers_stream : {true, false}) {
        for (const int procs : {1, 2, 4}) {
            bool finished = false;
            run_on(procs, [&] {
                vole::rw_mutex m;
                std::atomic<bool> stop{false};
                vole::wait_group done;
                for (int i = 0; i < 4; ++i) {
                    done.go([&] {
                        while (!stop) {
                            writers_stream ? m.lock() : m.lock_shared();
                            vole::gosched();  // others of the stream come while this one is inside
                            writers_stream ? m.unlock() : m.unlock_shared();
                        }
                    });
                }
                for (int i = 0; i < 50; ++i) {
                    writers_stream ? m.lock_shared() : m.lock();
                    vole::gosched();
                    writers_stream ? m.unlock_shared() : m.unlock();
                }
                finished = true;
                stop = true;
                done.wait();
            });
            CHECK(finished);
        }
    }
}

TEST_CASE("SYNC-21 writers are served in the order in which they came", "[sync][rw_mutex]") {
    const auto attempt = [] {
        std::vector<int> order;
        run_on(1, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            m.lock();
            for (int i = 0; i < 10; ++i) {
                done.go([&, i] {
                    m.lock();
                    order.push_back(i);
                    m.unlock();
                });
                vole::gosched();  // it queues before the next one is started
            }
            m.unlock();
            done.wait();
        });
        return order;
    };
    const std::vector<int> expected{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    CHECK(settled(attempt, expected) == expected);
}

TEST_CASE("SYNC-21 a writer that has waited for long is given the lock", "[sync][rw_mutex]") {
    findings ok;
    run_on(1, [&] {
        vole::rw_mutex m;
        vole::wait_group done;
        m.lock();
        holder w(m, true, done);
        ok(w.waits(wants_to_write));
        pass_milliseconds(3);
        m.unlock();
        ok(w.inside, "and the rest of the time slice");
        ok(!m.try_lock(), "it is the other's");
        w.leave.send();
        done.wait();
        ok(m.try_lock(), "free in the end");
        m.unlock();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-21 so are those behind it, and then the lock is as new", "[sync][rw_mutex]") {
    findings ok;
    for (const bool with_readers : {false, true}) {
        run_on(1, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            m.lock();
            std::vector<std::unique_ptr<holder>> writers;
            for (int i = 0; i < 3; ++i) {
                writers.push_back(std::make_unique<holder>(m, true, done));
                ok(writers.back()->waits(wants_to_write));
            }
            std::unique_ptr<holder> reader;
            if (with_readers) {
                reader = std::make_unique<holder>(m, false, done);
                ok(reader->waits(wants_to_read));
            }
            pass_milliseconds(3);
            m.unlock();
            if (with_readers) {
                ok(reader->enters());
                reader->leave.send();
            }
            for (auto& w : writers) {
                ok(w->enters());
                pass_milliseconds(3);
                w->leave.send();
            }
            done.wait();
            ok(vole::detail::rw_mutex_probe::is_free(m), "nothing is left behind");
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-21 a writer that is woken and finds the lock taken keeps its place",
          "[sync][rw_mutex]") {
    const auto attempt = [] {
        std::string order;
        run_on(1, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            m.lock();
            for (const char who : {'a', 'b', 'c'}) {
                done.go([&, who] {
                    m.lock();
                    order += who;
                    m.unlock();
                });
                vole::gosched();
            }
            m.unlock();  // the first is woken, but does not run yet
            m.lock();
            vole::gosched();
            m.unlock();
            done.wait();
            if (!vole::detail::rw_mutex_probe::is_free(m)) order += "left behind";
        });
        return order;
    };
    CHECK(settled(attempt, std::string("abc")) == "abc");
}

TEST_CASE("SYNC-23 a try succeeds while a writer that has been woken is on its way",
          "[sync][rw_mutex]") {
    const auto attempt = [] {
        bool got = false;
        run_on(1, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            m.lock();
            for (int i = 0; i < 2; ++i) {
                done.go([&] {
                    m.lock();
                    m.unlock();
                });
                vole::gosched();
            }
            m.unlock();  // the first is woken, but does not run yet
            got = m.try_lock();
            if (got) m.unlock();
            done.wait();
        });
        return got;
    };
    CHECK(settled(attempt, true));
}

TEST_CASE("SYNC-23 a try that fails leaves nothing behind", "[sync][rw_mutex]") {
    CHECK(everywhere([](findings& ok) {
              vole::rw_mutex m;
              m.lock_shared();
              for (int i = 0; i < 100; ++i) ok(!m.try_lock());
              ok(m.try_lock_shared(), "readers go on");
              m.unlock_shared();
              m.unlock_shared();
              m.lock();
              for (int i = 0; i < 100; ++i) ok(!m.try_lock_shared());
              m.unlock();
              ok(m.try_lock(), "no reader is counted");
              m.unlock();
          }) == "");
}

TEST_CASE("SYNC-24 what was written is seen: by readers, and by the next writer",
          "[sync][rw_mutex]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        const int each = scaled(400);
        long plain = 0;  // no atomic: the lock is the order
        long twin = 0;
        std::vector<long> read(10);  // each reader's own, read by writers under the lock
        run_on(procs, [&] {
            vole::rw_mutex m;
            vole::wait_group done;
            for (std::size_t g = 0; g < read.size(); ++g) {
                done.go([&, g] {
                    for (int i = 0; i < each; ++i) {
                        m.lock_shared();
                        const long seen = plain;
                        if (i % 16 == 0) vole::gosched();
                        ok.equal(twin, seen);
                        ++read[g];
                        m.unlock_shared();
                        m.lock();
                        const long before = plain;
                        if (i % 16 == 0) vole::gosched();
                        plain = before + 1;
                        twin = plain;
                        long sum = 0;
                        for (const long n : read) sum += n;
                        ok(sum <= static_cast<long>(read.size()) * each);
                        m.unlock();
                    }
                });
            }
            done.wait();
        });
        CHECK(ok.text() == "");
        CHECK(plain == static_cast<long>(read.size()) * each);
    }
}

TEST_CASE("SYNC-25 the standard guards work, shared ones too", "[sync][rw_mutex]") {
    CHECK(everywhere([](findings& ok) {
              vole::rw_mutex m;
              {
                  const std::shared_lock a(m);
                  const std::shared_lock b(m, std::try_to_lock);
                  ok(a.owns_lock() && b.owns_lock());
                  const std::unique_lock c(m, std::try_to_lock);
                  ok(!c.owns_lock());
              }
              {
                  const std::unique_lock a(m);
                  const std::shared_lock b(m, std::try_to_lock);
                  ok(a.owns_lock() && !b.owns_lock());
              }
              vole::rw_mutex other;
              const std::scoped_lock both(m, other);
              ok(!m.try_lock_shared() && !other.try_lock_shared());
          }) == "");
}

TEST_CASE("SYNC-25 its reader is a lock of its own", "[sync][rw_mutex]") {
    CHECK(everywhere([](findings& ok) {
              vole::rw_mutex m;
              vole::read_locker r = m.reader();
              {
                  const std::lock_guard hold(r);
                  ok(r.try_lock(), "another reader");
                  r.unlock();
                  ok(!m.try_lock(), "a writer beside it");
              }
              m.lock();
              ok(!r.try_lock(), "a reader beside a writer");
              m.unlock();
              ok(m.try_lock());
              m.unlock();
          }) == "");
}

TEST_CASE("SYNC-25 another goroutine or thread may unlock", "[sync][rw_mutex]") {
    bool done = false;
    run_on(2, [&] {
        vole::rw_mutex m;
        m.lock();
        vole::go([&] { m.unlock(); });
        m.lock_shared();
        m.lock_shared();
        std::thread t([&] { m.unlock_shared(); });
        vole::go([&] { m.unlock_shared(); });
        m.lock();
        vole::blocking([&] { t.join(); });
        m.unlock();
        done = true;
    });
    CHECK(done);
}

TEST_CASE("SYNC-97 threads and goroutines wait for each other", "[sync][rw_mutex]") {
    const int each = scaled(1500);
    long plain = 0;
    findings ok;
    run_on(2, [&] {
        vole::rw_mutex m;
        vole::wait_group done;
        std::vector<std::thread> threads;
        const auto work = [&] {
            for (int i = 0; i < each; ++i) {
                if (i % 4 == 0) {
                    const std::unique_lock hold(m);
                    ++plain;
                } else {
                    const std::shared_lock hold(m);
                    ok(plain >= 0);
                }
            }
        };
        for (int i = 0; i < 4; ++i) {
            done.go(work);
            threads.emplace_back(work);
        }
        done.wait();
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
    });
    CHECK(ok.text() == "");
    CHECK(plain == 8L * ((each + 3) / 4));
}

TEST_CASE("SYNC-98 goexit and exceptions release a guarded rw_mutex", "[sync][rw_mutex]") {
    int left = 0;
    bool free_again = false;
    run_on(1, [&] {
        vole::rw_mutex m;
        vole::wait_group done;
        done.go([&] {
            const std::shared_lock hold(m);
            ++left;
            vole::goexit();
        });
        done.go([&] {
            const std::unique_lock hold(m);
            ++left;
            vole::goexit();
        });
        done.go([&] {
            try {
                const std::unique_lock hold(m);
                ++left;
                throw std::runtime_error("inside");
            } catch (const std::runtime_error&) {
            }
        });
        done.wait();
        free_again = m.try_lock();
        m.unlock();
    });
    CHECK(left == 3);
    CHECK(free_again);
}
