// What belongs to a goroutine although the C++ implementation keeps it per thread: the state of
// exceptions, the floating-point environment, errno. It must survive switches and migrations.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"

#include <cerrno>
#include <cfenv>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using namespace vole::test;

namespace {

/// Runs f(i) in `count` goroutines on `procs` Ps, between goroutines that throw and catch all the time, so
/// that each switch meets a different state and each goroutine is moved.
int failures_among(int procs, int count, const std::function<bool(int)>& f) {
    const procs_scope guard(procs);
    std::atomic<int> failures{0};
    vole::run([&] {
        std::atomic<bool> stop{false};
        vole::wait_group noise;
        for (int i = 0; i < 3; ++i) {
            noise.go([&] {
                while (!stop) {
                    try {
                        throw 1;
                    } catch (int) {
                        vole::gosched();
                    }
                }
            });
        }
        vole::wait_group done;
        for (int i = 0; i < count; ++i) {
            done.go([&, i] {
                if (!f(i)) ++failures;
            });
        }
        done.wait();
        stop = true;
        noise.wait();
    });
    return failures;
}

int value_of(const std::exception_ptr& e) {
    try {
        if (e) std::rethrow_exception(e);
    } catch (const int n) {
        return n;
    } catch (...) {
    }
    return -1;
}

/// Switches away several times, by each kind of switch there is.
void travel(int i) {
    for (int n = 0; n < 5; ++n) {
        switch ((n + i) % 3) {
            case 0: vole::gosched(); break;
            case 1: vole::blocking([] { std::this_thread::yield(); }); break;
            default: {
                auto c = vole::make_chan<int>();
                vole::go([c]() mutable { c.send(1); });
                (void)c.recv();
            }
        }
    }
}

struct travels_when_destroyed {
    int i;
    int* seen;
    ~travels_when_destroyed() {
        const int before = std::uncaught_exceptions();
        travel(i);
        *seen = std::uncaught_exceptions() == before ? before : -1;
    }
};

}  // namespace

TEST_CASE("exceptions: a switch inside a catch block", "[sched][context]") {
    for (const int procs : {1, 2}) {
        CHECK(failures_among(procs, 100, [](int i) {
                  try {
                      throw i;
                  } catch (const int n) {
                      travel(i);
                      return n == i && value_of(std::current_exception()) == i;
                  }
              }) == 0);
    }
}

TEST_CASE("exceptions: rethrow after a switch inside the catch block", "[sched][context]") {
    for (const int procs : {1, 2}) {
        CHECK(failures_among(procs, 100, [](int i) {
                  try {
                      try {
                          throw i;
                      } catch (...) {
                          travel(i);
                          throw;
                      }
                  } catch (const int n) {
                      travel(i + 1);
                      if (n != i) return false;
                  }
                  return !std::current_exception();
              }) == 0);
    }
}

TEST_CASE("exceptions: nested, each level switches", "[sched][context]") {
    for (const int procs : {1, 2}) {
        CHECK(failures_among(procs, 60, [](int i) {
                  try {
                      throw 1000 + i;
                  } catch (const int outer) {
                      travel(i);
                      bool inner_ok = false;
                      try {
                          try {
                              throw std::to_string(i);
                          } catch (const std::string&) {
                              travel(i + 1);
                              throw std::runtime_error("third");
                          }
                      } catch (const std::runtime_error& e) {
                          travel(i + 2);
                          inner_ok = std::string(e.what()) == "third";
                      }
                      travel(i);
                      return inner_ok && outer == 1000 + i &&
                             value_of(std::current_exception()) == 1000 + i;
                  }
              }) == 0);
    }
}

TEST_CASE("exceptions: switches in destructors during unwinding", "[sched][context]") {
    for (const int procs : {1, 2}) {
        CHECK(failures_among(procs, 100, [](int i) {
                  int outer = 0;
                  int inner = 0;
                  try {
                      const travels_when_destroyed a{i, &outer};
                      const travels_when_destroyed b{i + 1, &inner};
                      throw i;
                  } catch (const int n) {
                      return n == i && outer == 1 && inner == 1 && std::uncaught_exceptions() == 0;
                  }
              }) == 0);
    }
}

TEST_CASE("exceptions: thrown and caught in a destructor that runs while unwinding",
          "[sched][context]") {
    struct throws_inside {
        int i;
        bool* ok;
        ~throws_inside() {
            try {
                travel(i);
                throw std::string("inner");
            } catch (const std::string& s) {
                travel(i + 1);
                *ok = s == "inner" && std::uncaught_exceptions() == 1;
            }
        }
    };
    CHECK(failures_among(2, 100, [](int i) {
              bool ok = false;
              try {
                  const throws_inside t{i, &ok};
                  throw i;
              } catch (const int n) {
                  return ok && n == i;
              }
          }) == 0);
}

TEST_CASE("exceptions: each goroutine sees only its own", "[sched][context]") {
    const procs_scope guard(1);
    bool other_clean = false;
    int mine = 0;
    vole::run([&] {
        vole::wait_group done;
        try {
            throw 7;
        } catch (int) {
            done.go([&] {
                other_clean = !std::current_exception() && std::uncaught_exceptions() == 0;
            });
            done.wait();
            mine = value_of(std::current_exception());
        }
    });
    CHECK(other_clean);
    CHECK(mine == 7);
}

TEST_CASE("exceptions: kept and rethrown by another goroutine", "[sched][context]") {
    CHECK(failures_among(2, 100, [](int i) {
              auto c = vole::make_chan<std::exception_ptr>();
              vole::go([c, i]() mutable {
                  try {
                      throw i;
                  } catch (...) {
                      c.send(std::current_exception());
                  }
              });
              const auto e = c.recv();
              travel(i);
              return e.has_value() && value_of(*e) == i;
          }) == 0);
}

TEST_CASE("exceptions: errors of a goroutine end only that goroutine", "[sched][context]") {
    // Each prints a report; that it names the exception is checked by test/death.
    int survivors = 0;
    vole::run([&] {
        vole::wait_group done;
        done.add(1);
        vole::go([&] {
            struct finish {
                vole::wait_group* g;
                ~finish() { g->done(); }
            } f{&done};
            throw std::runtime_error("expected by this test");
        });
        done.wait();
        ++survivors;
        only_left(1);
    });
    CHECK(survivors == 1);
    CHECK(vole::run([] { return 2; }) == 2);
}

TEST_CASE("floating point: the rounding mode belongs to the goroutine", "[sched][context]") {
    static constexpr int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    for (const int procs : {1, 2}) {
        CHECK(failures_among(procs, 40, [](int i) {
                  const int mode = modes[i % 4];
                  std::fesetround(mode);
                  bool ok = true;
                  for (int n = 0; n < 5; ++n) {
                      travel(i + n);
                      ok = ok && std::fegetround() == mode;
                      // The unit obeys, not only the number it shows.
                      volatile double one = 1.0;
                      volatile double ten = 10.0;
                      const double tenth = one / ten;
                      const double nearest = 0.1;
                      if (mode == FE_UPWARD || mode == FE_TONEAREST) ok = ok && tenth >= nearest;
                      if (mode == FE_DOWNWARD || mode == FE_TOWARDZERO) ok = ok && tenth < nearest;
                  }
                  std::fesetround(FE_TONEAREST);
                  return ok;
              }) == 0);
    }
}

TEST_CASE("floating point: a mode left behind does not reach the next goroutine",
          "[sched][context]") {
    const procs_scope guard(1);
    std::vector<int> seen;
    const int outside = std::fegetround();
    vole::run([&] {
        vole::wait_group done;
        done.go([] { std::fesetround(FE_UPWARD); });
        done.wait();
        seen.push_back(std::fegetround());
        done.go([&] { seen.push_back(std::fegetround()); });
        done.wait();
    });
    CHECK(seen == std::vector<int>{FE_TONEAREST, FE_TONEAREST});
    CHECK(std::fegetround() == outside);
}

#if defined(__x86_64__)
TEST_CASE("floating point: MXCSR and the x87 control word are kept", "[sched][context]") {
    for (const int procs : {1, 2}) {
        CHECK(failures_among(procs, 40, [](int i) {
                  // Flush-to-zero for some, single precision of the x87 unit for others.
                  const unsigned usual_mxcsr = _mm_getcsr();
                  std::uint16_t usual_x87 = 0;
                  __asm__ volatile("fnstcw %0" : "=m"(usual_x87));
                  const unsigned control_bits = 0xffc0;  // the six flags below are results
                  const unsigned mxcsr = i % 2 == 0 ? usual_mxcsr | 0x8000 : usual_mxcsr;
                  std::uint16_t x87 = usual_x87;
                  if (i % 3 == 0) x87 = static_cast<std::uint16_t>(x87 & ~0x300);
                  _mm_setcsr(mxcsr);
                  __asm__ volatile("fldcw %0" : : "m"(x87));
                  travel(i);
                  std::uint16_t x87_now = 0;
                  __asm__ volatile("fnstcw %0" : "=m"(x87_now));
                  const bool ok =
                      (_mm_getcsr() & control_bits) == (mxcsr & control_bits) && x87_now == x87;
                  _mm_setcsr(usual_mxcsr);
                  __asm__ volatile("fldcw %0" : : "m"(usual_x87));
                  return ok;
              }) == 0);
    }
}
#endif

TEST_CASE("floating point: values live in registers over a switch", "[sched][context]") {
    CHECK(failures_among(2, 50, [](int i) {
              double a = i;
              double b = i * 0.5;
              long double c = i;
              float d = static_cast<float>(i);
              for (int n = 0; n < 20; ++n) {
                  a += 1;
                  b *= 2;
                  c += 0.5L;
                  d -= 1;
                  vole::gosched();
              }
              return a == i + 20 && b == i * 0.5 * 1048576 && c == i + 10.0L &&
                     d == static_cast<float>(i - 20);
          }) == 0);
}

namespace {

// A compiler may keep the address of errno over a switch that it does not see as one; through a function
// that is never inlined it cannot. That is the rule for user code too.
[[gnu::noinline]] int errno_now() { return errno; }
[[gnu::noinline]] void set_errno(int n) { errno = n; }

}  // namespace

TEST_CASE("errno belongs to the goroutine", "[sched][context]") {
    for (const int procs : {1, 2}) {
        CHECK(failures_among(procs, 100, [](int i) {
                  for (int n = 0; n < 20; ++n) {
                      set_errno(1 + i);
                      if (n % 4 == 0) {
                          travel(i);
                      } else {
                          vole::gosched();
                      }
                      if (errno_now() != 1 + i) return false;
                  }
                  return true;
              }) == 0);
    }
}

TEST_CASE("errno: operations of the library leave it alone", "[sched][context]") {
    const procs_scope guard(2);
    std::vector<int> seen;
    vole::run([&] {
        auto c = vole::make_chan<int>(1);
        vole::mutex m;
        vole::wait_group done;
        const auto note = [&] {
            seen.push_back(errno_now());
            set_errno(EDOM);
        };
        set_errno(EDOM);
        done.go([] { set_errno(ERANGE); });
        note();
        done.wait();
        note();
        c.send(1);
        note();
        (void)c.recv();
        note();
        m.lock();
        note();
        m.unlock();
        note();
        vole::gomaxprocs(3);
        note();
    });
    CHECK(seen == std::vector<int>(seen.size(), EDOM));
}
