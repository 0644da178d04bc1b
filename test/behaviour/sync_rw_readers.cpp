// vole::rw_mutex while its readers are counted on each P: the same rules. Cites SYNC-17 to SYNC-25; load: test/stress.
#include <catch2/catch.hpp>

#include <vole/rw_mutex.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"
#include "test/support/rw_probe.hpp"
#include "test/support/subprocess.hpp"
#include "test/support/wait.hpp"

#include <memory>
#include <thread>

namespace vole::test {

namespace {

using probe = detail::rw_mutex_probe;

/// The kernel has what it takes; qemu's has not.
bool can_spread() {
    rw_mutex m;
    spread_readers(m);
    return probe::is_spread(m);
}

void read(rw_mutex& m, std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) {
        m.lock_shared();
        m.unlock_shared();
    }
}

}  // namespace

TEST_CASE("SYNC-17 readers in a row are spread, and the next writer gathers them",
          "[sync][rw_mutex]") {
    const bool can = can_spread();
    findings ok;
    run_on(2, [&] {
        rw_mutex m;
        read(m, probe::after - 1);
        ok(!probe::is_spread(m));
        m.lock_shared();
        ok.equal(probe::is_spread(m), can);
        ok(!probe::has_home(m));
        m.unlock_shared();
        m.lock();
        ok(!probe::is_spread(m));
        ok(!m.try_lock_shared());
        m.unlock();
        read(m, probe::look - 1);
        ok(!probe::is_spread(m));
        read(m, 1);
        ok(probe::has_home(m) == can, "a writer had come");
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-17 readers and writers on one P have a home there, until somebody waits",
          "[sync][rw_mutex]") {
    if (!can_spread()) return;  // the case above says whether it should be
    findings ok;
    run_on(1, [&] {
        rw_mutex m;
        for (std::uint64_t i = 0; i < probe::look / 15 + 1; ++i) {
            read(m, 15);
            m.lock();
            ok(!probe::is_spread(m));
            ok(!m.try_lock_shared());
            ok(!m.try_lock());
            m.unlock();
        }
        ok(probe::has_home(m), "after so many readers");
        wait_group all;
        int order = 0;
        m.lock_shared();
        all.go([&] {
            m.lock();
            ok.equal(++order, 2);
            m.unlock();
        });
        gosched();
        ok(!probe::is_spread(m), "while a writer waits");
        all.go([&] {
            m.lock_shared();
            ok.equal(++order, 3);
            m.unlock_shared();
        });
        gosched();
        ok.equal(++order, 1);
        m.unlock_shared();
        all.wait();
        ok(probe::is_free(m), "others have waited");
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-19 readers from elsewhere are counted beside those of the home",
          "[sync][rw_mutex]") {
    findings ok;
    run_on(1, [&] {
        rw_mutex m;
        home_readers(m);
        std::thread([&] { m.lock_shared(); }).join();
        ok(!m.try_lock());
        home_readers(m);
        m.lock_shared();
        std::atomic<int> left{0};
        wait_group all;
        all.go([&] {
            m.lock();
            ok.equal(left.load(), 2);
            m.unlock();
        });
        gosched();
        ++left;
        std::thread([&] { m.unlock_shared(); }).join();
        gosched();
        ++left;
        m.unlock_shared();
        all.wait();
        // Left here who came there, and the other way round.
        home_readers(m);
        m.lock_shared();
        std::thread([&] {
            m.unlock_shared();
            m.lock_shared();
        }).join();
        m.unlock_shared();
        ok.equal(m.try_lock(), true);
        m.unlock();
        ok(probe::is_free(m));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-19 a writer from elsewhere waits for the home's readers", "[sync][rw_mutex]") {
    findings ok;
    run_on(2, [&] {
        rw_mutex m;
        home_readers(m);
        m.lock_shared();
        std::atomic<bool> written{false};
        std::thread writer([&] {
            m.lock();
            written = true;
            m.unlock();
        });
        wait_until([&] { return !m.try_lock_shared() || (m.unlock_shared(), false); });
        ok(!written);
        m.unlock_shared();
        blocking([&] { writer.join(); });
        ok(written);
        ok(probe::is_free(m));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-17 a home that others write to is tried less and less often", "[sync][rw_mutex]") {
    if (!can_spread()) return;
    findings ok;
    run_on(1, [&] {
        rw_mutex m;
        const auto write_elsewhere = [&] {
            std::thread([&] {
                m.lock();
                m.unlock();
            }).join();
            ok(!probe::is_spread(m));
        };
        // How many looks until it is tried again.
        const auto looks = [&] {
            for (int n = 1;; ++n) {
                m.lock();
                m.unlock();
                read(m, probe::look);
                if (probe::has_home(m)) return n;
            }
        };
        for (const int wanted : {1, 1, 2, 4, 8}) {
            ok.equal(looks(), wanted);
            write_elsewhere();
        }
        ok.equal(looks(), 16);
        for (int i = 0; i < 100; ++i) {
            m.lock();
            m.unlock();
        }
        ok(probe::has_home(m));
        write_elsewhere();
        ok(looks() == 1, "it had paid");
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-17 many readers from elsewhere end a home", "[sync][rw_mutex]") {
    if (!can_spread()) return;
    findings ok;
    run_on(1, [&] {
        for (const bool writes : {false, true}) {
            rw_mutex m;
            home_readers(m);
            read(m, 100);
            if (writes) m.lock(), m.unlock();
            ok(probe::has_home(m));
            std::thread([&] { read(m, probe::after); }).join();
            ok(!probe::has_home(m));
            ok.equal(probe::is_spread(m), !writes);
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-19 SYNC-25 a writer waits for readers that came by one way and leave by another",
          "[sync][rw_mutex]") {
    findings ok;
    run_on(4, [&] {
        for (const int when :
             {0, 1, 2}) {  // spread before the readers come, while they are in, by the last
            rw_mutex m;
            if (when == 0) spread_readers(m);
            constexpr int readers = 5;
            const auto leave = make_chan<void>();
            const auto left = make_chan<void>(readers);
            std::atomic<int> inside{0};
            wait_group all;
            for (int i = 0; i < readers; ++i) {
                all.go([&] {
                    m.lock_shared();
                    ++inside;
                    leave.recv();
                    --inside;
                    m.unlock_shared();
                    left.send();
                });
            }
            wait_until([&] { return inside == readers; });
            if (when == 1) spread_readers(m);
            if (when == 2) {
                m.lock_shared();
                probe::spread(m);
            }
            if (when != 0) ok(!m.try_lock());
            std::atomic<bool> written{false};
            all.go([&] {
                m.lock();
                written = true;
                ok.equal(inside.load(), 0);
                m.unlock();
            });
            wait_until([&] { return !m.try_lock_shared() || (m.unlock_shared(), false); });
            for (int i = 0; i < readers; ++i) {
                ok(!written);
                leave.send();
                left.recv();
            }
            if (when == 2) {
                ok(!written);
                // By a thread that has not locked it.
                std::thread([&] { m.unlock_shared(); }).join();
            }
            all.wait();
            ok(written);
            ok(m.try_lock());
            m.unlock();
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-23 try_lock finds out whether readers are in", "[sync][rw_mutex]") {
    findings ok;
    const auto use = [&] {
        rw_mutex m;
        spread_readers(m);
        ok(m.try_lock());
        ok(!m.try_lock());
        ok(!m.try_lock_shared());
        m.unlock();
        spread_readers(m);
        ok(m.try_lock_shared());
        m.lock_shared();
        ok(!m.try_lock());
        m.unlock_shared();
        ok(!m.try_lock());
        m.unlock_shared();
        ok(m.try_lock());
        m.unlock();
    };
    run_on(2, use);
    use();  // by a thread
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-18 readers that are spread wait for a writer that waits", "[sync][rw_mutex]") {
    findings ok;
    run_on(2, [&] {
        rw_mutex m;
        spread_readers(m);
        wait_group all;
        std::atomic<int> order{0};
        std::atomic<int> writer_at{0};
        std::atomic<int> reader_at{0};
        m.lock_shared();
        all.go([&] {
            m.lock();
            writer_at = ++order;
            m.unlock();
        });
        wait_until([&] { return !m.try_lock_shared() || (m.unlock_shared(), false); });
        all.go([&] {
            m.lock_shared();
            reader_at = ++order;
            m.unlock_shared();
        });
        settle();
        ok.equal(order.load(), 0);
        m.unlock_shared();
        all.wait();
        ok.equal(writer_at.load(), 1);
        ok.equal(reader_at.load(), 2);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("child: one unlock_shared too many while readers are spread", "[.child]") {
    rw_mutex m;
    run([&] {
        spread_readers(m);
        m.lock_shared();
        m.unlock_shared();
        m.unlock_shared();
        m.lock();
    });
}
TEST_CASE("SYNC-22 an unlock_shared too many is found by the next writer", "[sync][rw_mutex]") {
    const auto r =
        run_case_in_subprocess("child: one unlock_shared too many while readers are spread");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(r.err.find("fatal error: sync: RUnlock of unlocked RWMutex") != std::string::npos);
}

}  // namespace vole::test
