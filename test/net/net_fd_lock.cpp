// Who may use a descriptor, and when it ends: fd_lock. Cites NET-20..22.
#include "test/net/poll_support.hpp"

#include "net/src/fd_lock.hpp"
#include "test/support/duel.hpp"

#include <type_traits>

using namespace vole::test;
using inner::fd_lock;

namespace {

constexpr const char* too_many =
    "too many concurrent operations on a single file or socket (max 1048575)";

// Its operations are parts of others, inside the runtime.
using entered = fd_lock::entered;
entered try_enter(fd_lock& l, io_dir dir) {
    const inner::runtime_entry entry;
    return l.enter(dir);
}
bool enter(fd_lock& l, io_dir dir) { return try_enter(l, dir) == entered::yes; }
bool leave(fd_lock& l, io_dir dir) {
    const inner::runtime_entry entry;
    return l.leave(dir);
}
bool hold(fd_lock& l) {
    const inner::runtime_entry entry;
    return l.hold();
}
bool let_go(fd_lock& l) {
    const inner::runtime_entry entry;
    return l.let_go();
}
bool close(fd_lock& l) {
    const inner::runtime_entry entry;
    return l.close();
}
void await_end(fd_lock& l) {
    const inner::runtime_entry entry;
    l.await_end();
}
void end(fd_lock& l) {
    const inner::runtime_entry entry;
    l.ended();
}

// The word, which is its first member: how many wait for a direction is seen nowhere else.
static_assert(std::is_standard_layout_v<fd_lock>);
inner::atomic<std::uint64_t>& state(fd_lock& l) {
    return reinterpret_cast<inner::atomic<std::uint64_t>&>(l);
}
std::uint64_t waiting(fd_lock& l, io_dir dir) {
    return state(l).load(inner::memory_order_relaxed) >> (dir == io_dir::read ? 23 : 43) &
           fd_lock::most;
}
void await_waiting(fd_lock& l, io_dir dir, std::uint64_t n, place where = here()) {
    wait_until([&] { return waiting(l, dir) == n; }, "goroutines to wait for their turn", where);
}

}  // namespace

TEST_CASE("NET-20 one at a time reads, one at a time writes, both at once") {
    CHECK(everywhere([](findings& ok) {
              fd_lock l;
              std::atomic<int> inside[2] = {0, 0};
              std::atomic<int> turns{0};
              vole::wait_group all;
              for (int i = 0; i < 8; ++i) {
                  const io_dir dir = i % 2 == 0 ? io_dir::read : io_dir::write;
                  all.go([&, dir] {
                      auto& here = inside[static_cast<int>(dir)];
                      for (int k = 0; k < scaled(500); ++k) {
                          ok(enter(l, dir));
                          ok.equal(++here, 1);
                          if (k % 8 == 0) vole::gosched();
                          --here;
                          ok(!leave(l, dir));
                          ++turns;
                      }
                  });
              }
              all.wait();
              ok.equal(turns.load(), 8 * scaled(500));
              // The reader does not keep the writer out, nor either of them anybody who just holds.
              ok(enter(l, io_dir::read));
              ok(enter(l, io_dir::write));
              ok(hold(l));
              ok(!leave(l, io_dir::read));
              ok(!let_go(l));
              ok(!leave(l, io_dir::write));
              ok.equal(state(l).load(inner::memory_order_relaxed), std::uint64_t{0});
          }) == "");
}

TEST_CASE("NET-20 who waits for a turn gets it when the one before leaves") {
    CHECK(everywhere([](findings& ok) {
              for (const io_dir dir : both_directions) {
                  fd_lock l;
                  ok(enter(l, dir));
                  std::atomic<int> in{0};
                  vole::wait_group all;
                  for (std::uint64_t i = 1; i <= 5; ++i) {
                      all.go([&] {
                          ok(enter(l, dir));
                          ++in;
                          ok(!leave(l, dir));
                      });
                      await_waiting(l, dir, i);
                  }
                  ok(stays([&] { return in == 0; }, 50));
                  ok(!leave(l, dir));
                  all.wait();
                  ok.equal(in.load(), 5);
                  ok.equal(state(l).load(inner::memory_order_relaxed), std::uint64_t{0});
              }
          }) == "");
}

TEST_CASE("NET-20 turns are passed on when one leaves as the next comes") {
    findings ok;
    run_on(2, [&] {
        fd_lock l;
        for (const io_dir dir : both_directions) {
            duel(
                scaled(20'000), [&] { ok(enter(l, dir)); }, [&] { ok(!leave(l, dir)); },
                [&] {
                    ok(enter(l, dir));
                    ok(!leave(l, dir));
                });
        }
        ok.equal(state(l).load(inner::memory_order_relaxed), std::uint64_t{0});
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-20 more than 2^20 - 1 who use it are too many") {
    findings ok;
    fd_lock l;
    for (std::uint64_t i = 0; i < fd_lock::most; ++i) {
        if (!hold(l)) ok(false);
    }
    ok.throws<vole::runtime_error>(too_many, [&] { (void)hold(l); });
    ok.throws<vole::runtime_error>(too_many, [&] { (void)enter(l, io_dir::read); });
    ok.throws<vole::runtime_error>(too_many, [&] { (void)enter(l, io_dir::write); });
    ok.throws<vole::runtime_error>(too_many, [&] { (void)close(l); });
    for (std::uint64_t i = 0; i < fd_lock::most; ++i) {
        if (let_go(l)) ok(false);
    }
    ok.equal(state(l).load(inner::memory_order_relaxed), std::uint64_t{0});
    ok(enter(l, io_dir::read));
    ok(!leave(l, io_dir::read));
    CHECK(ok.text() == "");
}

TEST_CASE("NET-20 those who wait for a turn count as well") {
    findings ok;
    run_on(1, [&] {
        fd_lock l;
        ok(enter(l, io_dir::read));
        vole::wait_group waiters;
        for (std::uint64_t i = 1; i <= 2; ++i) {
            waiters.go([&] {
                ok(enter(l, io_dir::read));
                ok(!leave(l, io_dir::read));
            });
            await_waiting(l, io_dir::read, i);
        }
        for (std::uint64_t i = 3; i < fd_lock::most; ++i) {
            if (!hold(l)) ok(false);
        }
        ok.throws<vole::runtime_error>(too_many, [&] { (void)enter(l, io_dir::read); });
        ok.throws<vole::runtime_error>(too_many, [&] { (void)hold(l); });
        // They get their turns all the same.
        ok(!leave(l, io_dir::read));
        waiters.wait();
        for (std::uint64_t i = 3; i < fd_lock::most; ++i) {
            if (let_go(l)) ok(false);
        }
        ok.equal(state(l).load(inner::memory_order_relaxed), std::uint64_t{0});
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-22 nobody gets in after a close, and a second close says that it was closed") {
    CHECK(everywhere([](findings& ok) {
              fd_lock l;
              ok(!l.is_closed());
              ok(close(l));
              ok(l.is_closed());
              ok(!enter(l, io_dir::read));
              ok(!enter(l, io_dir::write));
              ok(!hold(l));
              ok(!close(l));
              ok(let_go(l));  // it was alone
              ok(!hold(l));
              ok(!close(l));
          }) == "");
}

TEST_CASE("NET-21 a close wakes all who wait for a turn, in both directions") {
    CHECK(everywhere([](findings& ok) {
              fd_lock l;
              ok(enter(l, io_dir::read));
              ok(enter(l, io_dir::write));
              std::atomic<int> refused{0};
              vole::wait_group all;
              for (const io_dir dir : both_directions) {
                  for (std::uint64_t i = 1; i <= 4; ++i) {
                      all.go([&, dir] {
                          if (try_enter(l, dir) == entered::closed) ++refused;
                      });
                      await_waiting(l, dir, i);
                  }
              }
              ok(close(l));
              all.wait();
              ok.equal(refused.load(), 8);
              // Those inside are still there, and the last of all ends it.
              ok(!leave(l, io_dir::write));
              ok(!let_go(l));
              ok(leave(l, io_dir::read));
          }) == "");
}

TEST_CASE("NET-21 a close waits for those, too, who waited for a turn") {
    findings ok;
    // On one P, where those who have been woken run when the others wait.
    run_on(1, [&] {
        fd_lock l;
        ok(enter(l, io_dir::read));
        int refused = 0;
        int last = 0;
        vole::wait_group all;
        for (std::uint64_t i = 1; i <= 3; ++i) {
            all.go([&] {
                const entered e = try_enter(l, io_dir::read);
                ok(e != entered::yes);
                ++refused;
                if (e != entered::closed_last) return;
                ++last;
                end(l);
            });
            await_waiting(l, io_dir::read, i);
        }
        ok(close(l));
        ok(!leave(l, io_dir::read));
        ok(!let_go(l));
        ok.equal(refused, 0);
        await_end(l);
        ok.equal(refused, 3);
        ok.equal(last, 1);
        all.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-21 a close waits for the last one who uses it") {
    CHECK(everywhere([](findings& ok) {
              fd_lock l;
              ok(enter(l, io_dir::read));
              ok(hold(l));
              std::atomic<bool> over{false};
              vole::wait_group closer;
              closer.go([&] {
                  ok(close(l));
                  ok(!let_go(l));
                  await_end(l);
                  over = true;
              });
              wait_until([&] { return l.is_closed(); }, "the close to begin");
              ok(stays([&] { return !over; }, 50));
              ok(!let_go(l));
              ok(stays([&] { return !over; }, 50));
              ok(leave(l, io_dir::read));
              ok(stays([&] { return !over; }, 50));  // not before it has been ended
              end(l);
              closer.wait();
          }) == "");
}

TEST_CASE("NET-21 closing while others come and go: one of them is the last, and only one") {
    findings ok;
    run_on(3, [&] {
        for (int round = 0; round < scaled(1000); ++round) {
            fd_lock l;
            std::atomic<int> last{0};
            std::atomic<bool> gone{false};
            const auto end_it = [&] {
                ++last;
                gone = true;
                end(l);
            };
            vole::wait_group all;
            for (int k = 0; k < 4; ++k) {
                all.go([&, k] {
                    const io_dir dir = k % 2 == 0 ? io_dir::read : io_dir::write;
                    for (;;) {
                        const entered e = try_enter(l, dir);
                        if (e == entered::closed_last) end_it();
                        if (e != entered::yes) return;
                        ok(!gone);
                        if (leave(l, dir)) end_it();
                        if (!hold(l)) return;
                        ok(!gone);
                        if (let_go(l)) end_it();
                        vole::gosched();
                    }
                });
            }
            settle(round % 20);
            ok(close(l));
            if (let_go(l)) end_it();
            await_end(l);
            ok(gone.load());
            all.wait();
            ok.equal(last.load(), 1);
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-22 of several closes at once one closes, and the others are told") {
    findings ok;
    run_on(2, [&] {
        std::atomic<int> succeeded{0};
        std::unique_ptr<fd_lock> l;
        duel(
            scaled(5000),
            [&] {
                if (l != nullptr) ok.equal(succeeded.load(), 1);
                succeeded = 0;
                l = std::make_unique<fd_lock>();
            },
            [&] { succeeded += close(*l) ? 1 : 0; }, [&] { succeeded += close(*l) ? 1 : 0; });
        ok.equal(succeeded.load(), 1);
    });
    CHECK(ok.text() == "");
}
