// Cleanups of managed objects: stopping them, what becomes of their arguments, misuse. Cites CLN-3 to CLN-5.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/managed.hpp>
#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/duel.hpp"
#include "test/support/findings.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

using namespace vole::test;

namespace {

using counter = std::atomic<int>;
void count_up(counter* c) { ++*c; }

}  // namespace

TEST_CASE("CLN-3 misuse", "[managed]") {
    findings ok;
    const auto refuses = [&](const char* text, auto f) { ok.throws<vole::runtime_error>(text, f); };
    const auto nothing_to_do = [](auto&&) {};
    refuses("runtime.AddCleanup: ptr is nil",
            [&] { vole::add_cleanup(std::shared_ptr<int>(), nothing_to_do, 1); });
    refuses("runtime.AddCleanup: ptr not in allocated block",
            [&] { vole::add_cleanup(std::make_shared<int>(1), nothing_to_do, 1); });
    static int immortal = 1;
    refuses("runtime.AddCleanup: ptr not in allocated block", [&] {
        vole::add_cleanup(std::shared_ptr<int>(std::shared_ptr<int>(), &immortal), nothing_to_do,
                          1);
    });
    auto p = vole::make_managed<std::pair<int, int>>(1, 2);
    constexpr const char* equal = "runtime.AddCleanup: ptr is equal to arg, cleanup will never run";
    refuses(equal, [&] { vole::add_cleanup(p, nothing_to_do, p); });
    refuses(equal, [&] { vole::add_cleanup(p, nothing_to_do, p.get()); });
    refuses(equal,
            [&] { vole::add_cleanup(p, nothing_to_do, std::shared_ptr<int>(p, &p->second)); });
    refuses(equal, [&] { vole::add_cleanup(p, nothing_to_do, std::shared_ptr<void>(p)); });
    refuses("runtime.AddCleanup: f is nil",
            [&] { vole::add_cleanup(p, std::function<void(int)>(), 1); });
    CHECK(ok.text() == "");
    // None of that keeps the object, and others may be arguments.
    CHECK(p.use_count() == 1);
    counter ran{0};
    const auto count = [&](auto&&) { ++ran; };
    vole::add_cleanup(p, count, std::make_shared<int>(1));
    vole::add_cleanup(p, count, std::weak_ptr<void>(p));
    vole::add_cleanup(p, count, vole::make_weak(p));
    vole::add_cleanup(p, count, &ran);
    p.reset();
    vole::drain_cleanups();
    CHECK(ran == 4);
}

TEST_CASE("CLN-4 a stopped cleanup does not run; others do", "[managed]") {
    CHECK(everywhere([](findings& ok) {
              counter first{0};
              counter second{0};
              counter third{0};
              auto p = vole::make_managed<int>(1);
              vole::add_cleanup(p, count_up, &first);
              auto h = vole::add_cleanup(p, count_up, &second);
              auto copy = h;
              vole::add_cleanup(p, count_up, &third);
              h.stop();
              h.stop();
              copy.stop();
              vole::cleanup_handle().stop();
              p.reset();
              h.stop();
              vole::drain_cleanups();
              ok.equal(first.load(), 1);
              ok.equal(second.load(), 0);
              ok.equal(third.load(), 1);
          }) == "");
}

TEST_CASE("CLN-4 a handle that is dropped stops nothing; one of a cleanup that ran is harmless",
          "[managed]") {
    counter ran{0};
    vole::cleanup_handle kept;
    vole::run([&] {
        auto p = vole::make_managed<int>(1);
        vole::add_cleanup(p, count_up, &ran);
        kept = vole::add_cleanup(p, count_up, &ran);
        {
            const auto dropped = vole::add_cleanup(p, count_up, &ran);
            const auto copy = dropped;
            const auto another = copy;
        }
        p.reset();
        vole::drain_cleanups();
    });
    kept.stop();
    kept.stop();
    CHECK(ran == 3);
}

TEST_CASE("CLN-4 stop of one that is queued and not begun", "[managed]") {
    // On one P the worker does not run before this goroutine gives way.
    const auto attempt = [] {
        counter ran{0};
        run_on(1, [&] {
            auto p = vole::make_managed<int>(1);
            auto h = vole::add_cleanup(p, count_up, &ran);
            p.reset();
            h.stop();
            vole::drain_cleanups();
        });
        return ran.load();
    };
    CHECK(settled(attempt, 0) == 0);
}

TEST_CASE("CLN-4 stop does not wait for one that runs", "[managed]") {
    bool ended = true;
    counter ran{0};
    run_on(2, [&] {
        auto gate = vole::make_chan<void>();
        std::atomic<bool> begun{false};
        auto p = vole::make_managed<int>(1);
        auto h = vole::add_cleanup(
            p,
            [&](const vole::chan<void>& c) {
                begun = true;
                (void)c.recv();
                ++ran;
            },
            gate);
        p.reset();
        wait_until([&] { return begun.load(); });
        h.stop();
        ended = ran != 0;
        gate.close();
        vole::drain_cleanups();
    });
    CHECK(!ended);
    CHECK(ran == 1);
}

TEST_CASE("CLN-4 stop against the last release: run or stopped, never both", "[managed]") {
    const int rounds = scaled(5000);
    int wrong = 0;
    int after_stop = 0;
    const procs_scope procs(2);
    vole::run([&] {
        struct fate {
            counter ran{0};
            counter dropped{0};
        };
        struct function {
            std::shared_ptr<fate> f;
            explicit function(std::shared_ptr<fate> x) : f(std::move(x)) {}
            function(function&&) = default;
            ~function() {
                if (f != nullptr) ++f->dropped;
            }
            void operator()(int) const { ++f->ran; }
        };
        std::shared_ptr<int> p;
        std::shared_ptr<fate> now;
        vole::cleanup_handle h;
        duel(
            rounds,
            [&] {
                vole::drain_cleanups();
                if (now != nullptr && (now->ran > 1 || now->dropped != 1)) ++wrong;
                now = std::make_shared<fate>();
                p = vole::make_managed<int>(1);
                h = vole::add_cleanup(p, function(now), 1);
            },
            [&] { p.reset(); },
            [&] {
                h.stop();
                if (now->dropped == 1 && now->ran == 0 && now.use_count() != 1) ++after_stop;
            });
    });
    CHECK(wrong == 0);
    CHECK(after_stop == 0);
}

TEST_CASE("CLN-5 function and argument go right after the run, or with the stop", "[managed]") {
    const auto token = std::make_shared<int>(1);
    const auto add = [&](const std::shared_ptr<int>& p) {
        return vole::add_cleanup(
            p, [token](const std::shared_ptr<int>&) {}, token);
    };
    vole::run([&] {
        auto p = vole::make_managed<int>(1);
        const auto h = add(p);
        p.reset();
        vole::drain_cleanups();
    });
    CHECK(token.use_count() == 1);
    auto p = vole::make_managed<int>(1);
    auto h = add(p);
    CHECK(token.use_count() == 3);
    h.stop();
    CHECK(token.use_count() == 1);
    {
        // Also of one that throws, while its handle lives.
        const auto before = vole::set_panic_handler([](const vole::panic_value&) {});
        h = vole::add_cleanup(
            p, [token](const std::shared_ptr<int>&) { throw std::runtime_error("thrown"); }, token);
        p.reset();
        vole::drain_cleanups();
        CHECK(token.use_count() == 1);
        vole::set_panic_handler(before);
    }
}
