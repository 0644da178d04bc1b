// Coroutines: <vole/coro.hpp>. Cites CORO-6, CORO-8, CORO-10 to CORO-14, CORO-16, CORO-18.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/coro.hpp>
#include <vole/iter.hpp>
#include <vole/panic.hpp>
#include <vole/runtime.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace vole::test;
using vole::coro;

namespace {

constexpr const char* two_at_once = "vole: two goroutines use one coroutine at the same time";
constexpr const char* locked_text =
    "coro: OS thread locking must match locking at coroutine creation";

// The compiler keeps the address of errno, which another thread would not share.
[[gnu::noinline]] int get_errno() { return errno; }
[[gnu::noinline]] void set_errno(int n) { errno = n; }

[[gnu::noinline]] int coro_receives(const vole::chan<int>& c) { return c.recv().value_or(-1); }
[[gnu::noinline]] int coro_consumes(vole::iter::puller<int>& p) { return *p.next() + 1; }

}  // namespace

TEST_CASE("CORO-18 values go both ways", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              coro<std::string, int> c([](auto& yield, int first) {
                  int n = first;
                  while (n != 0) n = yield("got " + std::to_string(n));
              });
              ok(c.resume(1) == "got 1");
              ok(c.resume(2) == "got 2");
              ok(c.resume(0) == std::nullopt);
              ok(c.done());
              coro<> bare([](auto& yield) {
                  yield();
                  yield();
              });
              ok(bare.resume());
              ok(bare.resume());
              ok(!bare.resume());
              coro<void, std::unique_ptr<int>> sink([&](auto& yield, std::unique_ptr<int> first) {
                  ok.equal(*first, 1);
                  ok.equal(*yield(), 2);
              });
              ok(sink.resume(std::make_unique<int>(1)));
              ok(!sink.resume(std::make_unique<int>(2)));
          }) == "");
}

TEST_CASE("CORO-18 exceptions go both ways", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              coro<int> c([&](auto& yield) {
                  ok.throws<std::runtime_error>("into", [&] { yield(1); });
                  yield(2);
                  throw std::logic_error("out of");
              });
              ok(c.resume() == 1);
              ok(c.throw_into(std::make_exception_ptr(std::runtime_error("into"))) == 2);
              ok.throws<std::logic_error>("out of", [&] { c.resume(); });
              ok(c.done());
              coro<int> fresh([&](auto&) { ok(false); });
              ok.throws<std::runtime_error>("into", [&] {
                  fresh.throw_into(std::make_exception_ptr(std::runtime_error("into")));
              });
              ok(fresh.done());
          }) == "");
}

TEST_CASE("CORO-12 what has ended, or runs, cannot be resumed", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              std::optional<coro<int>> c;
              c.emplace([&](auto& yield) {
                  ok.throws<vole::runtime_error>("coroswitch of a goroutine to itself",
                                                 [&] { c->resume(); });
                  yield(1);
              });
              ok(c->resume() == 1);
              ok(c->resume() == std::nullopt);
              ok.throws<vole::runtime_error>("coroswitch on exited coro", [&] { c->resume(); });
              ok.throws<vole::runtime_error>("coroswitch on exited coro",
                                             [&] { c->throw_into(nullptr); });
              c->stop();
              coro<int> moved = std::move(*c);
              ok(c->done());
          }) == "");
}

TEST_CASE("CORO-18 stop unwinds the body, also one that catches everything", "[coro]") {
    CHECK(everywhere([](findings& ok) {
              std::string log;
              coro<int> c([&](auto& yield) {
                  const vole::defer d{[&] { log += "d"; }};
                  try {
                      yield(1);
                  } catch (const std::exception&) {
                      log += "never";
                  } catch (...) {
                      log += "c";
                      yield(2);
                      log += "never";
                  }
              });
              ok(c.resume() == 1);
              c.stop();
              ok.equal(log, std::string("cd"));
              ok(c.done());
              c.stop();
          }) == "");
}

TEST_CASE("CORO-6 goexit in a body ends the goroutine that resumed it", "[coro]") {
    for (const bool stopped : {false, true}) {
        findings ok;
        std::string log;
        run_on(2, [&] {
            vole::wait_group all;
            all.go([&] {
                const vole::defer d{[&] { log += "consumer "; }};
                auto p = vole::iter::pull([&](vole::iter::yielder<int> yield) {
                    const vole::defer inner{[&] { log += "body "; }};
                    yield(1);
                    vole::goexit();
                });
                ok(p.next() == 1);
                if (stopped) {
                    p.stop();
                } else {
                    p.next();
                }
                log += "never";
            });
            all.wait();
            ok.equal(vole::read_stats().coroutines, std::uint64_t{0});
        });
        CHECK(log == "body consumer ");
        CHECK(ok.text() == "");
    }
    // A thread cannot end so.
    findings ok;
    auto p = vole::iter::pull([](vole::iter::yielder<int>) { vole::goexit(); });
    ok.throws<vole::runtime_error>(
        "vole::goexit called in a coroutine of a thread that is not a goroutine",
        [&] { p.next(); });
    ok(p.next() == std::nullopt);
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-5 a panic is recovered on either side", "[coro]") {
    findings ok;
    run_on(2, [&] {
        // In a deferred call of the body: the body has ended as usual.
        auto inside = vole::iter::pull([&](vole::iter::yielder<int> yield) {
            const vole::defer d{[&] { ok(vole::recover()->what() == std::string("inside")); }};
            yield(1);
            vole::panic("inside");
        });
        ok(inside.next() == 1);
        ok(inside.next() == std::nullopt);
        // In one of the consumer's.
        bool recovered = false;
        vole::recovering([&] {
            const vole::defer d{[&] { recovered = vole::recover().has_value(); }};
            auto p = vole::iter::pull([](vole::iter::yielder<int>) { vole::panic("outside"); });
            p.next();
        });
        ok(recovered);
        // What was recovered on this side is not seen on the other.
        vole::recovering([&] {
            const vole::defer d{[&] {
                auto p = vole::iter::pull([&](vole::iter::yielder<int> yield) {
                    ok(!vole::recover());
                    yield(1);
                });
                ok(p.next() == 1);
                ok(vole::recover().has_value());
            }};
            vole::panic("mine");
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-5 frames that recover go along when another goroutine resumes the body", "[coro]") {
    findings ok;
    run_on(4, [&] {
        std::optional<coro<int>> c;
        c.emplace([&](auto& yield) {
            vole::recovering([&] {
                const vole::defer d{[&] { ok(vole::recover().has_value()); }};
                yield(1);
                vole::panic("in the second goroutine");
            });
            yield(2);
        });
        vole::wait_group one;
        one.go([&] { vole::recovering([&] { ok(c->resume() == 1); }); });
        one.wait();
        vole::wait_group two;
        two.go([&] {
            bool recovered = false;
            vole::recovering([&] {
                const vole::defer d{[&] { recovered = vole::recover().has_value(); }};
                ok(c->resume() == 2);
                vole::panic("the consumer's own");
            });
            ok(recovered);
        });
        two.wait();
        ok(c->resume() == std::nullopt);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-8 any goroutine may resume it, and any thread, one after the other", "[coro]") {
    findings ok;
    run_on(4, [&] {
        auto p = vole::iter::pull([](vole::iter::yielder<int> yield) {
            for (int i = 0; yield(i); ++i) {
            }
        });
        vole::mutex lock;
        std::vector<int> got;
        vole::wait_group all;
        for (int n = 0; n < 8; ++n) {
            all.go([&] {
                for (int k = 0; k < scaled(200); ++k) {
                    const std::lock_guard held(lock);
                    got.push_back(*p.next());
                    if (k % 7 == 0) vole::gosched();
                }
            });
        }
        std::thread thread([&] {
            for (int k = 0; k < 20; ++k) {
                const std::lock_guard held(lock);
                got.push_back(*p.next());
            }
        });
        all.wait();
        vole::blocking([&] { thread.join(); });
        for (std::size_t i = 0; i < got.size(); ++i) ok.equal(got[i], static_cast<int>(i));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-8 a second goroutine is told that the first one is inside", "[coro]") {
    findings ok;
    run_on(4, [&] {
        auto gate = vole::make_chan<int>();
        auto p = vole::iter::pull([&](vole::iter::yielder<int> yield) {
            while (yield(gate.recv().value_or(-1))) {
            }
        });
        std::atomic<std::uint64_t> id{0};
        vole::wait_group first;
        first.go([&] {
            id = vole::goroutine_id();
            ok(p.next() == 1);
        });
        wait_until([&] { return id != 0; });
        ok(parked_as(id, "chan receive"));
        ok.throws<vole::runtime_error>(two_at_once, [&] { p.next(); });
        ok.throws<vole::runtime_error>(two_at_once, [&] { p.stop(); });
        gate.send(1);
        first.wait();
        vole::wait_group feeder;
        feeder.go([&] { gate.send(2); });
        ok(p.next() == 2);
        feeder.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-8 many at once: each value is given once, all others are told", "[coro]") {
    findings ok;
    run_on(4, [&] {
        constexpr int goroutines = 8;
        const int wanted = scaled(20'000);
        auto p = vole::iter::pull([](vole::iter::yielder<int> yield) {
            for (int i = 0; yield(i); ++i) {
            }
        });
        std::vector<std::atomic<int>> given(static_cast<std::size_t>(wanted + goroutines));
        std::atomic<int> count{0};
        vole::wait_group all;
        for (int n = 0; n < goroutines; ++n) {
            all.go([&] {
                while (count < wanted) {
                    try {
                        const int v = *p.next();
                        ++given[static_cast<std::size_t>(v)];
                        ++count;
                    } catch (const vole::runtime_error& e) {
                        const std::string text = e.what();
                        ok(text == two_at_once ||
                               text == "iter.Pull: next called again before yield",
                           text);
                        vole::gosched();
                    }
                }
            });
        }
        all.wait();
        const int all_given = count;
        for (int i = 0; i < all_given; ++i) ok.equal(given[static_cast<std::size_t>(i)].load(), 1);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-10 a body that blocks blocks its consumer, and runs as that goroutine", "[coro]") {
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        bool arrived = false;
        auto p = vole::iter::pull([&](vole::iter::yielder<std::uint64_t> yield) {
            yield(vole::goroutine_id());
            c.recv();
            arrived = true;
            yield(0);
        });
        ok(p.next() == vole::goroutine_id());
        vole::wait_group other;
        other.go([&] {
            settle();
            ok(!arrived);
            c.send(1);
        });
        ok(p.next() == std::uint64_t{0});
        ok(arrived);
        other.wait();
        // No switch of the scheduler's while they only yield.
        auto q = vole::iter::pull([](vole::iter::yielder<int> yield) {
            for (int i = 0; yield(i); ++i) {
            }
        });
        q.next();
        const auto before = vole::read_stats().switches;
        for (int i = 0; i < 100; ++i) q.next();
        ok(vole::read_stats().switches - before < 50);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-10 parked bodies resume where they were, on whichever thread", "[coro]") {
    findings ok;
    run_on(4, [&] {
        vole::wait_group all;
        auto c = vole::make_chan<int>(4);
        for (int n = 0; n < 16; ++n) {
            all.go([&, n] {
                auto p = vole::iter::pull([&, n](vole::iter::yielder<int> yield) {
                    for (int i = 0;; ++i) {
                        set_errno(n);
                        if (n % 2 == 0) {
                            c.send(i);
                        } else {
                            c.recv();
                        }
                        ok.equal(get_errno(), n);
                        if (!yield(i)) return;
                    }
                });
                for (int i = 0; i < scaled(2000); ++i) ok(p.next() == i);
            });
        }
        all.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-13 a locked thread: the body may lock and unlock between yields, and not over one",
          "[coro]") {
    findings ok;
    run_on(2, [&] {
        auto fine = vole::iter::pull([&](vole::iter::yielder<std::thread::id> yield) {
            for (int i = 0; i < 3; ++i) {
                vole::lock_os_thread();
                vole::lock_os_thread();
                const auto id = std::this_thread::get_id();
                vole::unlock_os_thread();
                vole::unlock_os_thread();
                if (!yield(id)) return;
            }
        });
        while (fine.next()) {
        }

        auto keeps = vole::iter::pull([&](vole::iter::yielder<int> yield) {
            vole::lock_os_thread();
            ok.throws<vole::runtime_error>(locked_text, [&] { yield(1); });
            vole::unlock_os_thread();
            yield(2);
        });
        ok(keeps.next() == 2);
        keeps.stop();

        auto later = vole::iter::pull([](vole::iter::yielder<int> yield) { yield(1); });
        vole::lock_os_thread();
        ok.throws<vole::runtime_error>(locked_text, [&] { later.next(); });
        vole::unlock_os_thread();
        ok(later.next() == 1);

        // Locked for the whole of it, nested, and stopped while locked.
        vole::lock_os_thread();
        const auto here = std::this_thread::get_id();
        {
            auto outer = vole::iter::pull([&](vole::iter::yielder<int> yield) {
                auto inner = vole::iter::pull([&](vole::iter::yielder<int> mine) {
                    for (int i = 0; mine(i); ++i) {
                        vole::gosched();
                        ok(std::this_thread::get_id() == here);
                    }
                });
                while (yield(*inner.next())) {
                }
            });
            for (int i = 0; i < 10; ++i) ok(outer.next() == i);
            outer.stop();
        }
        auto foreign = vole::iter::pull([](vole::iter::yielder<int> yield) { yield(1); });
        vole::wait_group other;
        other.go([&] { ok.throws<vole::runtime_error>(locked_text, [&] { foreign.next(); }); });
        other.wait();
        ok(foreign.next() == 1);
        vole::unlock_os_thread();
        vole::lock_os_thread();
        foreign.stop();
        vole::unlock_os_thread();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-12 not on the system stack", "[coro]") {
    findings ok;
    run_on(1, [&] {
        auto p = vole::iter::pull([&](vole::iter::yielder<int> yield) {
            vole::on_system_stack([&] {
                ok.throws<vole::runtime_error>("iter.Pull: yield called again before next",
                                               [&] { yield(1); });
            });
            yield(2);
        });
        vole::on_system_stack([&] {
            ok.throws<vole::runtime_error>(
                "vole: a coroutine cannot be resumed on the system stack", [&] { p.next(); });
        });
        ok(p.next() == 2);
        // Nor is it needed there: inside blocking() is its own stack.
        vole::blocking([&] { ok(p.next() == std::nullopt); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CORO-16 a traceback shows the body, and behind it who has resumed it", "[coro]") {
    std::string text;
    findings ok;
    run_on(2, [&] {
        auto c = vole::make_chan<int>();
        std::atomic<std::uint64_t> id{0};
        vole::wait_group all;
        all.go([&] {
            id = vole::goroutine_id();
            auto p =
                vole::iter::pull([&](vole::iter::yielder<int> yield) { yield(coro_receives(c)); });
            ok.equal(coro_consumes(p), 2);
        });
        wait_until([&] { return id != 0; });
        if (parked_as(id, "chan receive")) text = traceback();
        c.send(1);
        all.wait();
    });
    CHECK(ok.text() == "");
    INFO(text);
    const auto body = text.find("coro_receives");
    const auto consumer = text.find("coro_consumes");
    CHECK(body != text.npos);
    CHECK(consumer != text.npos);
    CHECK(body < consumer);
    CHECK(text.find("body_main") == text.npos);
}
