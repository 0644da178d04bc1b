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

}  // namespace

TEST_CASE("SYNC-17 readers in a row are spread, and the next writer gathers them",
          "[sync][rw_mutex]") {
    const bool can = can_spread();
    findings ok;
    run_on(2, [&] {
        rw_mutex m;
        for (int round = 0; round < 3; ++round) {
            for (std::uint64_t i = 1; i < probe::after; ++i) {
                m.lock_shared();
                m.unlock_shared();
            }
            ok(!probe::is_spread(m));
            m.lock_shared();
            ok.equal(probe::is_spread(m), can);
            m.unlock_shared();
            m.lock();
            ok(!probe::is_spread(m));
            ok(!m.try_lock_shared());
            m.unlock();
            // A writer begins the count anew.
            for (std::uint64_t i = 1; i < probe::after; ++i) {
                m.lock_shared();
                m.unlock_shared();
            }
            ok(!probe::is_spread(m));
            m.lock();
            m.unlock();
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
