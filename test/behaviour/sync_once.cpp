// vole::once, once_func and once_value. Cites SYNC-39 to SYNC-47 and SYNC-94 to SYNC-97; load: test/stress.
#include <catch2/catch.hpp>

#include <vole/once.hpp>
#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "sync/src/wait_table.hpp"
#include "test/behaviour/sched_support.hpp"
#include "test/support/duel.hpp"
#include "test/support/findings.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

static_assert(!std::is_copy_constructible_v<vole::once>);
static_assert(!std::is_move_constructible_v<vole::once>);
static_assert(!std::is_copy_assignable_v<vole::once>);
static_assert(std::is_trivially_destructible_v<vole::once>);
static_assert(!std::is_move_constructible_v<decltype(vole::once_func([] {}))>);

namespace {

constinit vole::once global;  // SYNC-95

constexpr const char* nil_call = "runtime error: invalid memory address or nil pointer dereference";

/// A foreign exception with an identity.
struct strange {
    int value;
};

}  // namespace

TEST_CASE("SYNC-39 the function is called once, and everybody returns after its end",
          "[sync][once]") {
    findings ok;
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [&] {
            for (int round = 0; round < scaled(100); ++round) {
                vole::once o;
                vole::wait_group done;
                int plain = 0;  // no atomic: the once is the order
                for (int i = 0; i < 10; ++i) {
                    done.go([&] {
                        o.call([&] {
                            if (round % 2 == 0) vole::gosched();
                            ++plain;
                        });
                        ok.equal(plain, 1);
                    });
                }
                done.wait();
                ok.equal(plain, 1);
            }
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-39 who comes meanwhile waits", "[sync][once]") {
    findings ok;
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            vole::once o;
            vole::wait_group done;
            std::atomic<bool> inside{false};
            std::atomic<bool> leave{false};
            std::atomic<std::uint64_t> id{0};
            std::atomic<bool> past{false};
            done.go([&] {
                o.call([&] {
                    inside = true;
                    wait_until([&] { return leave.load(); });
                });
            });
            wait_until([&] { return inside.load(); });
            done.go([&] {
                id = vole::goroutine_id();
                o.call([&] { ok(false, "a second function"); });
                past = true;
            });
            std::thread t([&] { o.call([&] { ok(false, "a thread's function"); }); });
            wait_until([&] { return id != 0; });
            ok(parked_as(id, "sync.Mutex.Lock"));
            ok(!past);
            leave = true;
            done.wait();
            vole::blocking([&] { t.join(); });
            ok(past);
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-39 who is about to wait when the function ends does not", "[sync][once]") {
    findings ok;
    run_on(2, [&] {
        std::unique_ptr<vole::once> o;
        std::atomic<bool> begun{false};
        duel(
            scaled(1000),
            [&] {
                begun = false;
                o = std::make_unique<vole::once>();
            },
            [&] {
                // Holds the other one up between its first look and the queue.
                const vole::detail::runtime_pin pin;
                const vole::detail::lock_guard held(vole::detail::bucket_of(o.get()).mu);
                o->call([&] {
                    begun = true;
                    const std::atomic<int> nothing{0};
                    for (int i = 0; i < 20000; ++i) (void)nothing.load();
                });
            },
            [&] {
                while (!begun) {
                }
                o->call([&] { ok(false, "a second function"); });
            });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-40 a function that throws has been called", "[sync][once]") {
    CHECK(everywhere([](findings& ok) {
              vole::once o;
              int calls = 0;
              ok.throws<std::runtime_error>("first", [&] {
                  o.call([&] {
                      ++calls;
                      throw std::runtime_error("first");
                  });
              });
              o.call([&] { ++calls; });  // SYNC-41: std::call_once would
              ok.equal(calls, 1);
          }) == "");
}

TEST_CASE("SYNC-40 those who waited return normally, however it ends", "[sync][once]") {
    findings ok;
    for (const bool throws : {true, false}) {
        run_on(2, [&] {
            vole::once o;
            vole::wait_group done;
            std::atomic<bool> inside{false};
            std::atomic<bool> leave{false};
            std::atomic<bool> unwound{false};
            std::atomic<int> past{0};
            done.go([&] {
                try {
                    o.call([&] {
                        struct witness {
                            std::atomic<bool>& flag;
                            ~witness() { flag = true; }
                        } const w{unwound};
                        inside = true;
                        wait_until([&] { return leave.load(); });
                        if (throws) throw strange{1};
                        vole::goexit();
                    });
                    ok(false, "went on");
                } catch (const strange&) {
                    ok(throws);
                }
            });
            wait_until([&] { return inside.load(); });
            std::vector<std::atomic<std::uint64_t>> ids(5);
            for (auto& id : ids) {
                done.go([&] {
                    id = vole::goroutine_id();
                    o.call([&] { ok(false, "called again"); });
                    ok(unwound, "returned before the end");
                    ++past;
                });
            }
            for (auto& id : ids) {
                wait_until([&] { return id != 0; });
                ok(parked_as(id, "sync.Mutex.Lock"));
            }
            leave = true;
            done.wait();
            ok.equal(past.load(), 5);
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-42 different onces nest", "[sync][once]") {
    CHECK(everywhere([](findings& ok) {
              vole::once a;
              vole::once b;
              std::string order;
              a.call([&] {
                  order += 'a';
                  b.call([&] { order += 'b'; });
              });
              b.call([&] { order += 'B'; });
              ok.equal(order, std::string("ab"));
          }) == "");
}

TEST_CASE("SYNC-43 SYNC-95 one of the program's", "[sync][once]") {
    int calls = 0;
    for (int i = 0; i < 3; ++i) global.call([&] { ++calls; });
    CHECK(calls == 1);
}

TEST_CASE("SYNC-44 once_func calls once, and throws the same exception each time",
          "[sync][once_func]") {
    CHECK(everywhere([](findings& ok) {
              int calls = 0;
              auto f = vole::once_func([&] { ++calls; });
              ok.equal(calls, 0);
              for (int i = 0; i < 3; ++i) f();
              ok.equal(calls, 1);

              auto throws = vole::once_func([&] {
                  ++calls;
                  throw strange{7};
              });
              std::vector<const strange*> seen;
              std::vector<std::exception_ptr> kept;  // so that no address is used twice
              for (int i = 0; i < 3; ++i) {
                  try {
                      throws();
                  } catch (const strange& s) {
                      seen.push_back(&s);
                      kept.push_back(std::current_exception());
                      ok.equal(s.value, 7);
                  }
              }
              ok.equal(calls, 2);
              ok.equal(seen.size(), std::size_t{3});
              for (const strange* s : seen) ok(s == seen[0], "the same object");
          }) == "");
}

TEST_CASE("SYNC-44 once_value gives the same object each time", "[sync][once_value]") {
    CHECK(everywhere([](findings& ok) {
              int calls = 0;
              auto f = vole::once_value(
                  [&] { return std::string("number ") + std::to_string(++calls); });
              static_assert(std::is_same_v<decltype(f()), const std::string&>);
              const std::string* first = &f();
              ok(&f() == first);
              ok.equal(f(), std::string("number 1"));
              ok.equal(calls, 1);

              auto throws = vole::once_value([&]() -> int {
                  ++calls;
                  throw vole::runtime_error("no value");
              });
              for (int i = 0; i < 3; ++i) {
                  ok.throws<vole::runtime_error>("no value", [&] { throws(); });
              }
              ok.equal(calls, 2);

              auto two = vole::once_value([] { return std::pair(1, std::string("b")); });
              const auto& [a, b] = two();
              ok.equal(a, 1);
              ok.equal(b, std::string("b"));
          }) == "");
}

TEST_CASE("SYNC-44 those who waited for a once_func get its exception, too", "[sync][once_func]") {
    findings ok;
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [&] {
            for (int round = 0; round < scaled(50); ++round) {
                vole::wait_group done;
                std::atomic<int> caught{0};
                auto f = vole::once_func([] {
                    vole::gosched();
                    throw strange{3};
                });
                for (int i = 0; i < 8; ++i) {
                    done.go([&] {
                        try {
                            f();
                        } catch (const strange& s) {
                            caught += s.value;
                        }
                    });
                }
                done.wait();
                ok.equal(caught.load(), 24);
            }
        });
    }
    CHECK(ok.text() == "");
}

namespace {
std::string origin_report;

[[gnu::noinline]] void the_origin() { vole::panic("from the origin"); }
}  // namespace

TEST_CASE("SYNC-44 an uncaught exception of a once_func is reported with where it was thrown",
          "[sync][once_func]") {
    origin_report.clear();
    const auto before = vole::set_panic_handler([](const vole::panic_value& p) {
        origin_report = std::string(p.what()) + "\n" + p.report();
    });
    run_on(1, [] {
        auto f = vole::once_func([] { the_origin(); });
        vole::wait_group done;
        done.go([&] { f(); });
        done.wait();
    });
    vole::set_panic_handler(before);
    INFO(origin_report);
    CHECK(origin_report.rfind("from the origin\n", 0) == 0);
    CHECK(origin_report.find("the_origin") != std::string::npos);
}

TEST_CASE("SYNC-45 a panic without a value, and goexit", "[sync][once_func]") {
    findings ok;
    run_on(2, [&] {
        auto f = vole::once_func([] { vole::panic(nullptr); });
        for (int i = 0; i < 2; ++i) {
            try {
                f();
                ok(false, "no error");
            } catch (const vole::panic_nil_error&) {
            }
        }
        std::atomic<int> calls{0};
        auto leaves = vole::once_func([&] {
            ++calls;
            vole::goexit();
        });
        auto leaves_value = vole::once_value([&]() -> std::string {
            ++calls;
            vole::goexit();
        });
        const auto call = [&](auto& what) {
            vole::wait_group done;
            done.go([&] {
                what();
                ok(false, "went on");
            });
            done.wait();
            for (int i = 0; i < 2; ++i) {
                try {
                    what();
                    ok(false, "no error");
                } catch (const vole::panic_nil_error&) {
                }
            }
        };
        call(leaves);
        call(leaves_value);
        ok.equal(calls.load(), 2);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-46 what the function captured is gone when it has been called",
          "[sync][once_func]") {
    CHECK(everywhere([](findings& ok) {
              const auto captured = std::make_shared<int>(1);
              const auto n = [&] { return captured.use_count(); };
              {
                  auto f = vole::once_func([captured] {});
                  auto v = vole::once_value([captured] { return *captured; });
                  auto t = vole::once_func([captured] { throw strange{1}; });
                  auto unused = vole::once_func([captured] {});
                  ok.equal(n(), 5L);
                  f();
                  ok.equal(n(), 4L);
                  ok.equal(v(), 1);
                  ok.equal(n(), 3L);
                  try {
                      t();
                  } catch (const strange&) {
                  }
                  ok.equal(n(), 2L);
              }
              ok.equal(n(), 1L);
          }) == "");
}

TEST_CASE("SYNC-47 the value goes with its object, if there is one", "[sync][once_value]") {
    const auto token = std::make_shared<int>(1);
    {
        auto get = vole::once_value([token] { return token; });
        CHECK(token.use_count() == 2);
        CHECK(get() == token);
        CHECK(token.use_count() == 2);  // the value, no longer the function
    }
    CHECK(token.use_count() == 1);
    {
        auto get = vole::once_value([token]() -> std::shared_ptr<int> { throw strange{1}; });
        CHECK_THROWS_AS(get(), strange);
    }
    CHECK(token.use_count() == 1);
}

TEST_CASE("SYNC-46 nor by goexit does it stay", "[sync][once_func]") {
    const auto captured = std::make_shared<int>(1);
    long count = 0;
    run_on(1, [&] {
        auto f = vole::once_func([captured] { vole::goexit(); });
        vole::wait_group done;
        done.go([&] { f(); });
        done.wait();
        count = captured.use_count();
    });
    CHECK(count == 1);
}

TEST_CASE("SYNC-47 who comes meanwhile waits for the value, which need not even move",
          "[sync][once_value]") {
    struct pinned {
        explicit pinned(int n) : value(std::make_unique<int>(n)) {}
        pinned(const pinned&) = delete;
        pinned& operator=(const pinned&) = delete;
        std::unique_ptr<int> value;
    };
    findings ok;
    for (const int procs : {1, 2, 4}) {
        run_on(procs, [&] {
            for (int round = 0; round < scaled(50); ++round) {
                auto v = vole::once_value([&] {
                    vole::gosched();
                    return pinned(round);
                });
                auto p = vole::once_value([] { return std::make_unique<int>(5); });
                vole::wait_group done;
                for (int i = 0; i < 8; ++i) {
                    done.go([&] {
                        ok.equal(*v().value, round);
                        ok.equal(*p(), 5);
                    });
                }
                done.wait();
            }
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("SYNC-94 a null function", "[sync][once]") {
    CHECK(everywhere([](findings& ok) {
              vole::once o;
              void (*nothing)() = nullptr;
              ok.throws<vole::runtime_error>(nil_call, [&] { o.call(nothing); });
              o.call([&] { ok(false, "it has been called"); });
              auto f = vole::once_func(nothing);
              auto g = vole::once_func(std::function<void()>());
              auto v = vole::once_value(std::function<int()>());
              for (int i = 0; i < 3; ++i) {
                  ok.throws<vole::runtime_error>(nil_call, [&] { f(); });
                  ok.throws<vole::runtime_error>(nil_call, [&] { g(); });
                  ok.throws<vole::runtime_error>(nil_call, [&] { v(); });
              }
          }) == "");
}

TEST_CASE("SYNC-97 threads call beside goroutines", "[sync][once]") {
    findings ok;
    run_on(2, [&] {
        for (int round = 0; round < scaled(30); ++round) {
            vole::once o;
            int plain = 0;
            vole::wait_group done;
            std::vector<std::thread> threads;
            const auto call = [&] {
                o.call([&] {
                    std::this_thread::yield();
                    ++plain;
                });
                ok.equal(plain, 1);
            };
            for (int i = 0; i < 3; ++i) {
                done.go(call);
                threads.emplace_back(call);
            }
            done.wait();
            vole::blocking([&] {
                for (auto& t : threads) t.join();
            });
        }
    });
    CHECK(ok.text() == "");
}
