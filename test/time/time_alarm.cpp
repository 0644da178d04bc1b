// Alarms, which go off without a goroutine (time/internal/alarm.hpp). Cites NET-40 and NET-45, for which they were made.
#include "runtime/internal/entry.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/internal/timers.hpp"
#include "test/support/duel.hpp"
#include "test/time/time_support.hpp"
#include "time/internal/alarm.hpp"

#include <vole/synctest.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace vole::test {
namespace {

namespace inner = vole::detail;

// Says when it went off, and readies a goroutine that has left itself in it.
struct test_alarm : inner::alarm {
    struct record {
        std::atomic<int> times{0};
        std::atomic<std::int64_t> when{0};
        std::atomic<int> destroyed{0};
        std::atomic<inner::G*> waits{nullptr};
    };
    explicit test_alarm(std::shared_ptr<record> to) : alarm(functions_of), r(std::move(to)) {}
    static const functions functions_of;
    // An entry in a heap may outlive the test.
    std::shared_ptr<record> r;
};

inner::G* on_time(inner::timer_core* t) noexcept {
    test_alarm::record& r = *static_cast<test_alarm*>(t)->r;
    r.when = inner::timer_now();
    inner::G* g = r.waits.exchange(nullptr);
    ++r.times;
    return g;
}
void destroy(inner::timer_core* t) noexcept {
    auto* a = static_cast<test_alarm*>(t);
    ++a->r->destroyed;
    delete a;
}
constinit const inner::timer_core::functions test_alarm::functions_of{nullptr, nullptr, destroy,
                                                                      on_time};

class owned_alarm {
  public:
    ~owned_alarm() { drop(); }
    void set(std::int64_t when) {
        const inner::runtime_entry entry;
        inner::set_alarm(a_, when);
    }
    void set_in(nanoseconds d) { set(inner::timer_now() + d.count()); }
    void stop() {
        const inner::runtime_entry entry;
        inner::stop_alarm(a_);
    }
    void drop() {
        if (a_ == nullptr) return;
        stop();
        const inner::runtime_entry entry;
        inner::release_timer(a_);
        a_ = nullptr;
    }
    /// The calling goroutine waits until it goes off.
    void park_until_it(std::int64_t when) {
        struct leave {
            test_alarm* a;
            std::int64_t when;
        } how{a_, when};
        const inner::runtime_entry entry;
        inner::park_scope self;
        inner::park(
            self.g(),
            [](inner::G* g, void* p) noexcept {
                const leave to = *static_cast<const leave*>(p);
                to.a->r->waits = g;
                inner::set_alarm(to.a, to.when);
            },
            &how, inner::wait_reason::io);
    }

  private:
    std::shared_ptr<test_alarm::record> r_ = std::make_shared<test_alarm::record>();
    test_alarm* a_ = new test_alarm(r_);

  public:
    test_alarm::record& r = *r_;
};

void await_times(const owned_alarm& a, int n, place where = here()) {
    wait_until([&] { return a.r.times == n; }, "an alarm to go off", where);
}

// f(when) with a time that is near, until it has done its part before that: the kernel may hold a thread up for longer.
template <class F>
void meets_in_time(F f) {
    wait_until([&] { return f(inner::timer_now() + 2'000'000); }, "something to be done in 2 ms");
}

}  // namespace

TEST_CASE("NET-40 an alarm goes off once, not before its time") {
    CHECK(everywhere([](findings& ok) {
              owned_alarm a;
              for (int i = 1; i <= 3; ++i) {
                  const std::int64_t when = inner::timer_now() + 500'000;
                  a.set(when);
                  await_times(a, i);
                  ok(a.r.when >= when);
              }
              a.set(1);  // long ago
              await_times(a, 4);
              pass(2ms);
              ok.equal(a.r.times.load(), 4);
          }) == "");
}

TEST_CASE("NET-40 an alarm readies the goroutine that it gives") {
    CHECK(everywhere([](findings& ok) {
              owned_alarm a;
              vole::wait_group all;
              all.go([&] {
                  for (int i = 1; i <= 50; ++i) {
                      a.park_until_it(inner::timer_now() + i % 5 * 50'000);
                      ok.equal(a.r.times.load(), i);
                  }
              });
              all.wait();
          }) == "");
}

TEST_CASE("NET-45 an alarm that is set again goes off at its new time only") {
    CHECK(everywhere([](findings& ok) {
              meets_in_time([&](std::int64_t first) {
                  owned_alarm later;
                  later.set(first);
                  const std::int64_t when = first + 4'000'000;
                  later.set(when);
                  if (inner::timer_now() >= first) return false;
                  await_times(later, 1);
                  ok(later.r.when >= when);
                  pass(1ms);
                  ok.equal(later.r.times.load(), 1);
                  return true;
              });
              owned_alarm earlier;
              earlier.set_in(1h);
              earlier.set_in(1ms);
              await_times(earlier, 1);
              pass(3ms);
              ok.equal(earlier.r.times.load(), 1);
          }) == "");
}

TEST_CASE("NET-45 an alarm that is stopped does not go off, and can be set again") {
    CHECK(everywhere([](findings& ok) {
              meets_in_time([&](std::int64_t when) {
                  owned_alarm a;
                  a.stop();
                  for (int i = 0; i < 3; ++i) {
                      a.set(when);
                      a.stop();
                  }
                  if (inner::timer_now() >= when) return false;
                  pass(nanoseconds(when - inner::timer_now()) + 2ms);
                  ok.equal(a.r.times.load(), 0);
                  a.set_in(100us);
                  await_times(a, 1);
                  return true;
              });
          }) == "");
}

TEST_CASE("NET-45 an alarm is stopped as it goes off: then, or not at all") {
    findings ok;
    run_on(2, [&] {
        owned_alarm a;
        const int rounds = scaled(2000);
        for (int i = 0; i < rounds; ++i) {
            const std::int64_t when = inner::timer_now() + 20'000;
            a.set(when);
            while (inner::timer_now() < when - 1000 + i % 20 * 100) {
            }
            a.stop();
            // Once for each setting, though what had begun may end after the stop.
            ok(a.r.times <= i + 1);
        }
        const int before = a.r.times;
        a.set_in(1us);
        wait_until([&] { return a.r.times > before; }, "the last one");
        pass(1ms);
        ok(a.r.times <= rounds + 1);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-48 an alarm goes by real time in a bubble, too") {
    findings ok;
    synctest::test({.real_timeout = patience()}, [&] {
        owned_alarm a;
        a.set_in(1ms);
        // Virtual time flies while everybody sleeps; real time does not.
        vole::sleep(std::chrono::hours(1));
        wait_until([&] { return a.r.times == 1; }, "an alarm to go off");
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-45 an alarm is destroyed once, when nobody can find it any more") {
    CHECK(everywhere([](findings& ok) {
              owned_alarm never;
              never.drop();
              ok.equal(never.r.destroyed.load(), 1);
              owned_alarm gone_off;
              gone_off.set_in(100us);
              await_times(gone_off, 1);
              gone_off.drop();
              wait_until([&] { return gone_off.r.destroyed == 1; }, "its end");
              meets_in_time([&](std::int64_t when) {
                  owned_alarm set;
                  set.set(when);
                  set.drop();
                  const bool in_time = inner::timer_now() < when;
                  // Its entry in the heap is taken out when it is due.
                  wait_until([&] { return set.r.destroyed == 1; }, "its end");
                  ok(!in_time || set.r.times == 0);
                  return in_time;
              });
          }) == "");
}

}  // namespace vole::test
