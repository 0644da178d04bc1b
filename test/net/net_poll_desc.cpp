// The states of one descriptor in the poller, with events made by hand. Cites NET-3..8, NET-12, NET-21, NET-40..46.
//
// The kernel reports nothing about the descriptors used here (quiet_desc), so what a case does is all that happens.
#include "test/net/poll_support.hpp"

#include "test/support/duel.hpp"

#include <vole/detail/timer_core.hpp>

using namespace vole::test;
using inner::dir_read;
using inner::dir_write;
using inner::poll_desc;

namespace {

constexpr unsigned dir_both = dir_read | dir_write;
unsigned mask(io_dir d) { return inner::mask_of(d); }
// f(when) with a time that is near, until it has done its part before that: the kernel may hold a thread up for longer.
template <class F>
void meets_in_time(F f) {
    wait_until([&] { return f(in_ns(3ms)); }, "something to be done in 3 ms");
}
io_dir other(io_dir d) { return d == io_dir::read ? io_dir::write : io_dir::read; }

}  // namespace

// ---- ready --------------------------------------------------------------------------------------

TEST_CASE("NET-5 an event that comes while nobody waits is remembered, and used once") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              for (const io_dir dir : both_directions) {
                  ok.equal(deliver(d, mask(dir)), 0u);
                  ok.equal(waiter_of(d, dir), std::uintptr_t{1});
                  ok.equal(deliver(d, mask(dir)), 0u);  // two are one
                  ok.equal(await_event(d, dir), std::string("ready"));
                  ok.equal(waiter_of(d, dir), std::uintptr_t{0});
                  waiting_goroutine w(d, dir);
                  ok(w.parked().waits());
                  ok.equal(deliver(d, mask(dir)), 1u);
                  ok.equal(w.get(), std::string("ready"));
                  ok.equal(waiter_of(d, dir), std::uintptr_t{0});
              }
          }) == "");
}

TEST_CASE("NET-5 a new operation takes the remembered event back before it tries") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              for (const io_dir dir : both_directions) {
                  deliver(d, dir_both);
                  ok.equal(try_first(d, dir), std::string("ready"));
                  ok.equal(waiter_of(d, dir), std::uintptr_t{0});
                  ok.equal(waiter_of(d, other(dir)), std::uintptr_t{1});
                  waiting_goroutine w(d, dir);
                  ok(w.parked().waits());
                  deliver(d, mask(dir));
                  ok.equal(w.get(), std::string("ready"));
              }
          }) == "");
}

TEST_CASE("NET-5 no edge is lost: an event at the moment of waiting") {
    findings ok;
    run_on(2, [&] {
        const quiet_desc d;
        for (const io_dir dir : both_directions) {
            duel(
                scaled(20'000), [&] { ok.equal(try_first(d, dir), std::string("ready")); },
                [&] { ok.equal(await_event(d, dir), std::string("ready")); },
                [&] { deliver(d, mask(dir)); });
        }
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-5 a byte that is written at the moment of an empty read is read") {
    findings ok;
    run_on(2, [&] {
        auto ends = vole::net::os_pipe();
        duel(
            scaled(10'000), [] {}, [&] { ok.equal(read(ends.first, 10), got("x")); },
            [&] { ok.equal(write(ends.second, "x"), wrote(1)); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-4 an event wakes the directions it names, and those only") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              for (const io_dir dir : both_directions) {
                  waiting_goroutine one(d, dir);
                  waiting_goroutine two(d, other(dir));
                  one.parked();
                  two.parked();
                  ok.equal(deliver(d, mask(dir)), 1u);
                  ok.equal(one.get(), std::string("ready"));
                  ok(two.waits());
                  ok.equal(deliver(d, mask(other(dir))), 1u);
                  ok.equal(two.get(), std::string("ready"));
                  ok.equal(waiter_of(d, dir), std::uintptr_t{0});
              }
              waiting_goroutine one(d, io_dir::read);
              waiting_goroutine two(d, io_dir::write);
              one.parked();
              two.parked();
              ok.equal(deliver(d, dir_both), 2u);
              ok.equal(one.get() + two.get(), std::string("readyready"));
          }) == "");
}

TEST_CASE("NET-4 a scan error is reported by reads, not by writes, and by all to come") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              waiting_goroutine in(d, io_dir::read);
              waiting_goroutine out(d, io_dir::write);
              in.parked();
              out.parked();
              ok.equal(deliver({inner::token_of(d), dir_both, true, true}), 2u);
              ok.equal(in.get(), std::string("not pollable"));
              ok.equal(out.get(), std::string("ready"));
              ok.equal(try_first(d, io_dir::read), std::string("not pollable"));
              ok.equal(try_first(d, io_dir::write), std::string("ready"));
              ok.equal(await_event(d, io_dir::read), std::string("not pollable"));
          }) == "");
}

TEST_CASE("NET-4 what a short read means is not forgotten while the descriptor is open") {
    CHECK(everywhere([](findings& ok) {
              quiet_desc d;
              ok(d.get()->short_read_is_all());
              deliver(d, dir_both);
              ok(d.get()->short_read_is_all());
              deliver({inner::token_of(d), dir_read, false, true});
              ok(!d.get()->short_read_is_all());
              deliver(d, dir_both);
              ok(!d.get()->short_read_is_all());
              d.reopen();
              ok(d.get()->short_read_is_all());
          }) == "");
}

TEST_CASE("NET-6 an event without a cause is harmless: the call is tried again") {
    CHECK(everywhere([](findings& ok) {
              const auto [a, b] = tcp_fds();
              std::error_code ec;
              inner::socket* s = inner::make_socket(a, AF_INET, SOCK_STREAM, "tcp", ec);
              vole::net::conn c(s);
              vole::net::conn peer = vole::net::adopt_conn(b);
              background reader([&] { return read(c, 10); });
              for (int i = 0; i < 10; ++i) {
                  reader.parked();
                  await_parked(s->pd, io_dir::read);
                  deliver(s->pd, dir_read);
              }
              ok(reader.waits());
              ok.equal(write(peer, "abc"), wrote(3));
              ok.equal(reader.get(), got("abc"));
          }) == "");
}

// ---- who waits ----------------------------------------------------------------------------------

TEST_CASE("NET-3 a second one that waits in the same direction is an error of the program") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              for (const io_dir dir : both_directions) {
                  waiting_goroutine first(d, dir);
                  first.parked();
                  ok.throws<vole::runtime_error>("runtime: double wait",
                                                 [&] { await_event(d, dir); });
                  ok(first.waits());
                  waiting_goroutine second(d, other(dir));
                  second.parked();
                  deliver(d, dir_both);
                  ok.equal(first.get() + second.get(), std::string("readyready"));
              }
          }) == "");
}

TEST_CASE("NET-8 an event that comes late does not touch who uses the memory next") {
    CHECK(everywhere([](findings& ok) {
              quiet_desc d;
              const poll_desc* memory = d.get();
              std::vector<std::uint64_t> old;
              for (int i = 0; i < 4; ++i) {
                  old.push_back(inner::token_of(d));
                  d.reopen();
                  ok(d.get() == memory);
              }
              waiting_goroutine in(d, io_dir::read);
              waiting_goroutine out(d, io_dir::write);
              in.parked();
              out.parked();
              for (const std::uint64_t token : old) {
                  ok(token != inner::token_of(d));
                  ok.equal(deliver({token, dir_both, true, true}), 0u);
              }
              ok(in.waits());
              ok(out.waits());
              ok(d.get()->short_read_is_all());
              deliver(d, dir_both);
              ok.equal(in.get() + out.get(), std::string("readyready"));
              for (const std::uint64_t token : old) deliver({token, dir_both, true, true});
              ok.equal(waiter_of(d, io_dir::read), std::uintptr_t{0});
              ok.equal(try_first(d, io_dir::read), std::string("ready"));
          }) == "");
}

TEST_CASE("NET-8 nothing of its past is left in a descriptor that is used again") {
    CHECK(everywhere([](findings& ok) {
              quiet_desc d;
              deliver({inner::token_of(d), dir_both, true, true});
              set_limits(d, dir_read, poll_desc::passed);
              set_limits(d, dir_write, in_ns(1ms));
              d.reopen();
              for (const io_dir dir : both_directions) {
                  ok.equal(waiter_of(d, dir), std::uintptr_t{0});
                  ok.equal(try_first(d, dir), std::string("ready"));
              }
              waiting_goroutine out(d, io_dir::write);
              out.parked();
              // Later than the one of its past, which would have gone off before.
              vole::sleep(3ms);
              ok(out.waits());
              deliver(d, dir_write);
              ok.equal(out.get(), std::string("ready"));
          }) == "");
}

TEST_CASE(
    "NET-8 events at the moment of reuse: late ones are dropped, none wakes a stranger twice") {
    findings ok;
    run_on(2, [&] {
        quiet_desc d;
        std::uint64_t token = 0;
        duel(
            scaled(5000), [&] { token = inner::token_of(d); }, [&] { d.reopen(); },
            [&] {
                deliver({token, dir_both, true, true});
            });
        // Whatever the last one did came before the last reuse, or found another tag; `ready` may be left.
        d.reopen();
        ok(d.get()->short_read_is_all());
        ok.equal(try_first(d, io_dir::read), std::string("ready"));
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

// ---- closing ------------------------------------------------------------------------------------

TEST_CASE("NET-21 closing ends both waits, and all to come") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              waiting_goroutine in(d, io_dir::read);
              waiting_goroutine out(d, io_dir::write);
              in.parked();
              out.parked();
              end_waits(d);
              ok.equal(in.get(), std::string("closed"));
              ok.equal(out.get(), std::string("closed"));
              for (const io_dir dir : both_directions) {
                  ok.equal(await_event(d, dir), std::string("closed"));
                  ok.equal(try_first(d, dir), std::string("closed"));
                  deliver(d, dir_both);
                  ok.equal(await_event(d, dir), std::string("closed"));
              }
          }) == "");
}

TEST_CASE("NET-21 closing counts more than a deadline and an error") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              deliver({inner::token_of(d), dir_both, true, true});
              set_limits(d, dir_both, poll_desc::passed);
              ok.equal(try_first(d, io_dir::read), std::string("timeout"));
              end_waits(d);
              ok.equal(try_first(d, io_dir::read), std::string("closed"));
              ok.equal(try_first(d, io_dir::write), std::string("closed"));
          }) == "");
}

TEST_CASE("NET-7 closing at the moment of waiting is not missed") {
    findings ok;
    run_on(2, [&] {
        quiet_desc d;
        for (const io_dir dir : both_directions) {
            duel(
                scaled(10'000), [&] { d.reopen(); },
                [&] { ok.equal(await_event(d, dir), std::string("closed")); },
                [&] { end_waits(d); });
        }
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-7 closing and an event at once: one of them ends the wait, and it ends once") {
    findings ok;
    run_on(3, [&] {
        quiet_desc d;
        std::atomic<int> ended{0};
        vole::wait_group waiter;
        duel(
            scaled(5000),
            [&] {
                waiter.wait();
                d.reopen();
                waiter.go([&] {
                    const std::string s = await_event(d, io_dir::read);
                    ok(s == "closed" || s == "ready", s);
                    ++ended;
                });
                await_parked(d, io_dir::read);
            },
            [&] { end_waits(d); }, [&] { deliver(d, dir_read); });
        waiter.wait();
        ok.equal(ended.load(), scaled(5000));
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

// ---- deadlines ----------------------------------------------------------------------------------

TEST_CASE("NET-41 a deadline in the past ends the wait of its direction, and each to come") {
    CHECK(everywhere([](findings& ok) {
              for (const io_dir dir : both_directions) {
                  const quiet_desc d;
                  waiting_goroutine one(d, dir);
                  waiting_goroutine two(d, other(dir));
                  one.parked();
                  two.parked();
                  set_limits(d, mask(dir), poll_desc::passed);
                  ok.equal(one.get(), std::string("timeout"));
                  ok(two.waits());
                  for (int i = 0; i < 3; ++i) {  // NET-42
                      ok.equal(try_first(d, dir), std::string("timeout"));
                      ok.equal(await_event(d, dir), std::string("timeout"));
                  }
                  deliver(d, dir_both);
                  ok.equal(await_event(d, dir), std::string("timeout"));  // even with data
                  ok.equal(two.get(), std::string("ready"));
              }
          }) == "");
}

TEST_CASE("NET-41 a later deadline, or none, makes it usable again") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              for (const std::int64_t later : {poll_desc::none, in_ns(1h), INT64_MAX}) {
                  set_limits(d, dir_both, poll_desc::passed);
                  ok.equal(try_first(d, io_dir::read), std::string("timeout"));
                  set_limits(d, dir_both, later);
                  ok.equal(try_first(d, io_dir::read), std::string("ready"));
                  waiting_goroutine w(d, io_dir::read);
                  ok(w.parked().waits());
                  deliver(d, dir_read);
                  ok.equal(w.get(), std::string("ready"));
              }
          }) == "");
}

TEST_CASE("NET-40 a deadline holds for who waits already, and not before its time") {
    CHECK(everywhere([](findings& ok) {
              for (const io_dir dir : both_directions) {
                  const quiet_desc d;
                  waiting_goroutine w(d, dir);
                  w.parked();
                  const std::int64_t when = in_ns(2ms);
                  set_limits(d, mask(dir), when);
                  ok.equal(w.get(), std::string("timeout"));
                  ok(inner::timer_now() >= when);
                  ok.equal(try_first(d, other(dir)), std::string("ready"));
              }
          }) == "");
}

TEST_CASE("NET-40 a deadline that passes while nobody waits is noticed by the next") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              set_limits(d, dir_both, in_ns(100us));
              wait_until([&] { return try_first(d, io_dir::read) == "timeout"; },
                         "a deadline to pass");
              ok.equal(await_event(d, io_dir::read), std::string("timeout"));
              // Both have an alarm of their own, due at the same time.
              wait_until([&] { return try_first(d, io_dir::write) == "timeout"; }, "the other one");
          }) == "");
}

TEST_CASE("NET-40 a deadline that is moved later, or taken back, lets who waits go on waiting") {
    CHECK(everywhere([](findings& ok) {
              for (const std::int64_t later : {poll_desc::none, in_ns(1h)}) {
                  meets_in_time([&](std::int64_t first) {
                      const quiet_desc d;
                      waiting_goroutine w(d, io_dir::read);
                      w.parked();
                      set_limits(d, dir_read, first);
                      set_limits(d, dir_read, later);
                      const bool in_time = inner::timer_now() < first;
                      while (in_time && inner::timer_now() < first + 2'000'000) vole::gosched();
                      ok(!in_time || w.waits());
                      deliver(d, dir_read);
                      ok(!in_time || w.get() == "ready");
                      return in_time;
                  });
              }
          }) == "");
}

TEST_CASE("NET-40 a deadline that is moved earlier ends the wait earlier") {
    CHECK(everywhere([](findings& ok) {
              const quiet_desc d;
              set_limits(d, dir_read, in_ns(1h));
              waiting_goroutine w(d, io_dir::read);
              w.parked();
              set_limits(d, dir_read, in_ns(1ms));
              ok.equal(w.get(), std::string("timeout"));
          }) == "");
}

TEST_CASE("NET-45 equal deadlines for both, one of them moved: the other one holds") {
    CHECK(everywhere([](findings& ok) {
              meets_in_time([&](std::int64_t first) {
                  const quiet_desc d;
                  waiting_goroutine in(d, io_dir::read);
                  waiting_goroutine out(d, io_dir::write);
                  in.parked();
                  out.parked();
                  set_limits(d, dir_both, first);
                  set_limits(d, dir_read, in_ns(1h));
                  const bool in_time = inner::timer_now() < first;
                  ok.equal(out.get(), std::string("timeout"));
                  ok(!in_time || in.waits());
                  set_limits(d, dir_read, poll_desc::passed);
                  // Late, it has been woken perhaps, and has not found why: harmless (NET-6).
                  ok(!in_time || in.get() == "timeout");
                  return in_time;
              });
          }) == "");
}

TEST_CASE("NET-7 a deadline set into the past at the moment of waiting is not missed") {
    findings ok;
    run_on(2, [&] {
        const quiet_desc d;
        for (const io_dir dir : both_directions) {
            duel(
                scaled(10'000), [&] { set_limits(d, mask(dir), poll_desc::none); },
                [&] { ok.equal(await_event(d, dir), std::string("timeout")); },
                [&] { set_limits(d, mask(dir), poll_desc::passed); });
        }
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-45 two set a deadline at once: the alarm follows the one that holds") {
    findings ok;
    int soon_held = 0;
    run_on(2, [&] {
        const quiet_desc d;
        const auto holds = [&] {
            const inner::runtime_pin pin;
            const inner::lock_guard held(d.get()->mu);
            return d.get()->deadline[0];
        };
        duel(
            scaled(20'000),
            [&] {
                const std::int64_t when = holds();
                if (when == poll_desc::passed || (when > 0 && when < in_ns(1min))) {
                    ++soon_held;
                    ok.equal(await_event(d, io_dir::read), std::string("timeout"));
                }
                set_limits(d, dir_read, poll_desc::none);
            },
            [&] { set_limits(d, dir_read, in_ns(1h)); },
            [&] { set_limits(d, dir_read, in_ns(10us)); });
        set_limits(d, dir_read, poll_desc::none);
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
    CHECK(soon_held > 0);
}

namespace {
// Nobody else knows the descriptor.
inner::timer_core* alarm_of(const poll_desc& d) VOLE_NO_TS {
    return reinterpret_cast<inner::timer_core*>(d.alarm_of[0]);
}
}  // namespace

TEST_CASE("NET-45 an alarm that goes off late does nothing to a deadline that has been moved") {
    CHECK(everywhere([](findings& ok) {
              quiet_desc d;
              set_limits(d, dir_read, in_ns(1h));
              auto* alarm = alarm_of(*d.get());
              const auto goes_off = [&] {
                  const inner::runtime_pin pin;
                  ok(alarm->of.expire(alarm) == nullptr);
              };
              waiting_goroutine in(d, io_dir::read);
              in.parked();
              goes_off();
              set_limits(d, dir_read, poll_desc::none);
              goes_off();
              ok(in.waits());
              ok.equal(try_first(d, io_dir::write), std::string("ready"));
              deliver(d, dir_read);
              ok.equal(in.get(), std::string("ready"));
              // Nor to who uses the memory next.
              {
                  const inner::runtime_pin pin;
                  inner::retain_timer(alarm);
              }
              d.reopen();
              set_limits(d, dir_read, in_ns(1h));
              goes_off();
              ok.equal(try_first(d, io_dir::read), std::string("ready"));
              const inner::runtime_pin pin;
              inner::release_timer(alarm);
          }) == "");
}

TEST_CASE(
    "NET-45 a deadline that comes due and is moved at the same moment: one of the two holds") {
    findings ok;
    run_on(3, [&] {
        const quiet_desc d;
        for (int i = 0; i < scaled(500); ++i) {
            const std::int64_t when = in_ns(40us);
            set_limits(d, dir_read, when);
            waiting_goroutine w(d, io_dir::read);
            while (inner::timer_now() < when - 2000 + i * 10 % 4000) {
            }
            set_limits(d, dir_read, in_ns(1h));
            deliver(d, dir_read);
            const std::string s = w.get();
            ok(s == "timeout" || s == "ready", s);
            ok.equal(try_first(d, io_dir::read), std::string("ready"));
        }
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-45 deadlines, events and waits at once: each wait ends, and the count is right") {
    findings ok;
    run_on(4, [&] {
        const quiet_desc d;
        std::atomic<bool> stop{false};
        vole::wait_group all;
        for (const io_dir dir : both_directions) {
            all.go([&, dir] {
                while (!stop) {
                    const std::string s =
                        try_first(d, dir) == "ready" ? await_event(d, dir) : "timeout";
                    ok(s == "ready" || s == "timeout", s);
                    vole::gosched();
                }
            });
        }
        for (int k = 0; k < 2; ++k) {
            all.go([&, k] {
                dice roll(static_cast<std::uint64_t>(k));
                for (int i = 0; i < scaled(5000); ++i) {
                    const unsigned which = 1 + static_cast<unsigned>(roll(3));
                    const std::int64_t when[] = {poll_desc::none, poll_desc::passed, in_ns(10us),
                                                 in_ns(1h)};
                    if (roll(2) == 0) {
                        deliver(d, which);
                    } else {
                        set_limits(d, which, when[roll(4)]);
                    }
                    vole::gosched();
                }
                stop = true;
            });
        }
        wait_until([&] { return stop.load(); }, "the storm to end");
        // Who waits now, if anybody, is let go by what stays as it is.
        set_limits(d, dir_both, poll_desc::passed);
        wait_until(
            [&] {
                set_limits(d, dir_both, poll_desc::passed);
                return inner::io_waiters() == 0;
            },
            "all waits to end");
        all.wait();
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}
