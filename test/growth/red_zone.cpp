// The red zone of small segments is enough for the runtime's own operations: from every depth, with every
// byte below the guard watched, down to where the neighbour's slab begins. Cites STK-2, STK-3, STK-70.
#include <catch2/catch.hpp>

#include <vole/cond.hpp>
#include <vole/context.hpp>
#include <vole/once.hpp>
#include <vole/rw_mutex.hpp>
#include <vole/semaphore.hpp>
#include <vole/task_group.hpp>

#include "test/growth/growth_support.hpp"
#include "test/growth/red_zone.hpp"

#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>

using namespace vole::test;
using namespace std::chrono_literals;

TEST_CASE("STK-3 parking operations fit below the guard of a small segment", "[growth]") {
    const int procs = GENERATE(1, 4);
    CAPTURE(procs);
    vole::run([procs] {
        const int before = vole::gomaxprocs(procs);
        auto full = vole::make_chan<int>();
        auto empty = vole::make_chan<int>();
        auto stop = vole::make_chan<void>();
        vole::go([=] {
            for (bool on = true; on;) {
                vole::select(vole::on_send(full, 1, [] {}),
                             vole::on_recv(stop, [&](bool) { on = false; }));
                vole::gosched();
            }
        });
        vole::go([=] {
            for (bool on = true; on;) {
                vole::select(vole::on_recv(empty, [](auto) {}),
                             vole::on_recv(stop, [&](bool) { on = false; }));
                vole::gosched();
            }
        });
        static vole::mutex mu;
        const auto check = [](const char* what, std::size_t left) {
            INFO(what);
            CHECK(left >= least_left);
        };
        check("gosched", least_untouched([] { vole::gosched(); }));
        check("receive", least_untouched([=] { full.recv(); }));
        check("send", least_untouched([=] { empty.send(1); }));
        check("select", least_untouched([=] {
                  vole::select(vole::on_recv(full, [](auto) {}), vole::on_send(empty, 2, [] {}));
              }));
        check("mutex", least_untouched([] {
                  mu.lock();
                  vole::gosched();
                  mu.unlock();
              }));
        static vole::rw_mutex rw;
        check("read-write mutex", least_untouched([] {
                  rw.lock();
                  vole::go({.stack = vole::stack_policy::dense()}, [] {
                      rw.lock();
                      vole::gosched();
                      rw.unlock();
                  });
                  vole::gosched();
                  rw.unlock();
                  rw.lock_shared();
                  vole::gosched();
                  rw.unlock_shared();
              }));
        static vole::cond changed;
        check("condition", least_untouched([] {
                  std::unique_lock lock(mu);
                  vole::go({.stack = vole::stack_policy::dense()}, [] {
                      const std::lock_guard hold(mu);
                      changed.notify_one();
                  });
                  changed.wait(lock);
              }));
        check("once", least_untouched([] {
                  vole::once o;
                  vole::wait_group w;
                  w.go([&o] { o.call([] { vole::gosched(); }); });
                  vole::gosched();
                  o.call([] { vole::gosched(); });
                  w.wait();
              }));
        check("wait group", least_untouched([] {
                  vole::wait_group w;
                  w.go([] {});
                  w.wait();
              }));
        static vole::weighted_semaphore sem(1);
        check("semaphore", least_untouched([] {
                  auto [ctx, cancel] = vole::with_timeout(vole::context::background(), 1h);
                  sem.acquire(ctx);
                  vole::go([] { sem.release(); });
                  sem.acquire(ctx);
                  std::error_code e;
                  vole::go(cancel);
                  sem.acquire(ctx, 1, e);
                  sem.release();
              }));
        check("context", least_untouched([] {
                  auto [ctx, cancel] = vole::with_timeout(vole::context::background(), 1h);
                  const auto child = vole::with_cancel(vole::with_value<int>(ctx, 1)).first;
                  const auto stop_func = vole::after_func(child, [] {});
                  vole::go(cancel);
                  child.done().recv();
                  stop_func();
              }));
        check("task group", least_untouched([] {
                  vole::task_group g;
                  g.set_limit(1);
                  for (int i = 0; i < 3; ++i) g.go([] { vole::gosched(); });
                  g.wait();
              }));
        check("go", least_untouched([] {
                  vole::go({.name = "a name", .stack = vole::stack_policy::dense()}, [] {});
              }));
        check("large closure", least_untouched([] {
                  std::array<long, 40> much{};
                  vole::go([much] { static_cast<void>(much); });
              }));
        check("make, close, drop a channel", least_untouched([] {
                  auto c = vole::make_chan<int>(10);
                  c.close();
              }));
        check("throw of the runtime", least_untouched([] {
                  auto c = vole::make_chan<int>(1);
                  c.close();
                  try {
                      c.send(1);
                  } catch (const vole::runtime_error&) {
                  }
              }));
        check("blocking", least_untouched([] { vole::blocking([] {}); }));
        check("locked thread", least_untouched([] {
                  vole::lock_os_thread();
                  vole::gosched();
                  vole::unlock_os_thread();
              }));
        check("ensure",
              least_untouched([] { vole::stack::ensure(100'000, [] { vole::gosched(); }); }));
        check("libraries", least_untouched([] {
                  char text[64];
                  std::snprintf(text, sizeof(text), "%f", 1.5);
                  const std::string copy(text);
                  try {
                      throw std::runtime_error(copy);
                  } catch (const std::exception& e) {
                      use(e);
                  }
              }));
        stop.close();
        vole::gomaxprocs(before);
    });
}

TEST_CASE("STK-70 10,000 dense goroutines that have used libraries park in little memory",
          "[growth]") {
    constexpr std::uint64_t count = 10'000;
    std::uint64_t each = 0;
    vole::run([&] {
        auto gate = vole::make_chan<int>();
        vole::wait_group ready;
        vole::wait_group done;
        const auto before = vole::read_stats().stack_bytes_in_use;
        for (std::uint64_t i = 0; i < count; ++i) {
            ready.add(1);
            done.add(1);
            vole::go({.stack = vole::stack_policy::dense()}, [&, i] {
                char text[64];
                std::snprintf(text, sizeof(text), "%f", static_cast<double>(i));
                std::string copy(text);
                try {
                    throw std::runtime_error(copy);
                } catch (const std::exception& e) {
                    copy += e.what();
                }
                ready.done();
                gate.recv();
                done.done();
            });
        }
        ready.wait();
        each = (vole::read_stats().stack_bytes_in_use - before) / count;
        gate.close();
        done.wait();
    });
    // A slab of 2 KiB each, and what a few threads keep to lend.
    CHECK(each <= 2400);
}
