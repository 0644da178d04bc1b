// Labels of goroutines: <vole/labels.hpp>. Cites LBL-1 to LBL-5, LBL-7, SCHED-49.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/labels.hpp>
#include <vole/panic.hpp>
#include <vole/sync.hpp>
#include <vole/synctest.hpp>
#include <vole/time.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

using namespace vole::test;
using namespace std::chrono_literals;
using vole::labels;
using vole::with_labels;

namespace {

/// The line of the calling goroutine in a traceback, behind its state.
std::string shown() {
    const std::string all = traceback();
    const std::string mine = "goroutine " + std::to_string(vole::goroutine_id()) + " [";
    const auto at = all.find(mine);
    if (at == all.npos) return "not there";
    const auto from = all.find("]:", at) + 2;
    return all.substr(from, all.find('\n', from) - from);
}

std::string message_of(std::initializer_list<labels::pair> pairs) {
    try {
        const labels l(pairs);
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "no error";
}

}  // namespace

TEST_CASE("LBL-1 a set is ordered by key, and the later of two counts", "[sched][labels]") {
    findings ok;
    run_on(1, [&] {
        const labels l{{"b", "2"}, {"a", "1"}, {"b", "3"}};
        with_labels(l, [&] { ok.equal(shown(), std::string(" {a: 1, b: 3}")); });
        with_labels(l.with({{"a", "9"}, {"c", ""}}),
                    [&] { ok.equal(shown(), std::string(" {a: 9, b: 3, c: }")); });
        with_labels(l, [&] { ok.equal(shown(), std::string(" {a: 1, b: 3}")); });  // unchanged
        ok(labels().empty());
        ok(!l.empty());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("LBL-1 what cannot be a label is refused, and said", "[sched][labels]") {
    CHECK(message_of({{"", "x"}}) == "labels: a key is empty");
    CHECK(message_of({{"key", {"a\0b", 3}}}) ==
          "labels: the key or value of \"key\" contains a NUL");
    const std::string most(1997, 'x');  // with the key and two NULs: 2000
    CHECK(message_of({{"k", most}}) == "no error");
    CHECK(message_of({{"k", most + "x"}}) ==
          "labels: keys and values take 2001 bytes together, limit 2000: leave some out");
}

TEST_CASE("LBL-2 they are restored however the function ends", "[sched][labels]") {
    findings ok;
    run_on(2, [&] {
        const labels outer{{"a", "1"}};
        ok.equal(with_labels(outer, [&] { return 7; }), 7);
        with_labels(outer, [&] {
            with_labels({{"b", "2"}}, [&] { ok.equal(shown(), std::string(" {a: 1, b: 2}")); });
            ok.equal(shown(), std::string(" {a: 1}"));
            try {
                with_labels({{"b", "2"}}, [] { throw std::runtime_error("out"); });
            } catch (const std::runtime_error&) {
                ok.equal(shown(), std::string(" {a: 1}"));
            }
            vole::wait_group other;
            other.go([&] {
                const vole::defer last{[&] { ok.equal(shown(), std::string(" {a: 1}")); }};
                with_labels({{"b", "2"}}, [] { vole::goexit(); });
            });
            other.wait();
        });
        ok.equal(shown(), std::string(""));
    });
    CHECK(ok.text() == "");
}

TEST_CASE(
    "LBL-3 LBL-7 goroutines inherit what is set when they are started, beside names and bubbles",
    "[sched][labels]") {
    findings ok;
    run_on(2, [&] {
        auto go_on = vole::make_chan<void>();
        vole::wait_group all;
        with_labels({{"a", "1"}}, [&] {
            all.go([&] {
                go_on.recv();
                ok.equal(shown(), std::string(" {a: 1}"));
                all.go([&] { ok.equal(shown(), std::string(" {a: 1}")); });
            });
            all.add(1);
            vole::go({.name = "named"}, [&] {
                ok.equal(shown(), std::string(" named {a: 1}"));
                with_labels({{"b", "2"}},
                            [&] { ok.equal(shown(), std::string(" named {a: 1, b: 2}")); });
                all.done();
            });
        });
        vole::set_goroutine_labels({{"later", "1"}});
        go_on.close();
        all.wait();
        vole::set_goroutine_labels({});
        with_labels({{"a", "1"}}, [&] {
            vole::synctest::test([&] {
                ok.equal(shown(), std::string(" {a: 1}"));
                vole::sleep(1s);
                with_labels({{"b", "2"}}, [&] {
                    vole::sleep(1s);
                    ok.equal(shown(), std::string(" {a: 1, b: 2}"));
                });
            });
            ok.equal(shown(), std::string(" {a: 1}"));
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("LBL-3 functions of timers are nobody's children", "[sched][labels]") {
    findings ok;
    run_on(2, [&] {
        auto done = vole::make_chan<void>();
        with_labels({{"a", "1"}}, [&] {
            vole::after_func(1ms, [&] {
                ok.equal(shown(), std::string(""));
                done.close();
            });
            done.recv();
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("LBL-4 set replaces, an empty set clears, and a new goroutine begins without",
          "[sched][labels]") {
    findings ok;
    run_on(1, [&] {
        vole::set_goroutine_labels({{"a", "1"}});
        vole::set_goroutine_labels({{"b", "2"}});
        ok.equal(shown(), std::string(" {b: 2}"));
        vole::set_goroutine_labels(labels());
        ok.equal(shown(), std::string(""));
        for (int i = 0; i < 50; ++i) {
            vole::wait_group one;
            one.go([&] {
                ok.equal(shown(), std::string(""));
                vole::set_goroutine_labels({{"left", "behind"}});
            });
            one.wait();
        }
    });
    CHECK(ok.text() == "");
    vole::set_goroutine_labels({{"thread", "none"}});  // no effect, no crash
}

TEST_CASE("LBL-5 a profile keeps equal stacks with other labels apart", "[sched][labels]") {
    std::string text;
    run_on(1, [&] {
        auto gate = vole::make_chan<void>();
        vole::wait_group all;
        for (const char* who : {"three", "two", "three", "two", "three"}) {
            with_labels({{"who", who}}, [&] { all.go([&] { gate.recv(); }); });
        }
        settle();
        text = traceback(vole::traceback_scope::profile);
        gate.close();
        all.wait();
    });
    INFO(text);
    CHECK_THAT(
        text,
        Catch::Matches("(.|\n)*3 goroutines \\[chan receive\\]:[^\n]* \\{who: three\\}\n(.|\n)*"));
    CHECK_THAT(text, Catch::Matches(
                         "(.|\n)*2 goroutines \\[chan receive\\]:[^\n]* \\{who: two\\}\n(.|\n)*"));
}

TEST_CASE("LBL-6 tracebacks read labels that come and go", "[sched][labels]") {
    std::atomic<int> wrong{0};
    run_on(4, [&] {
        std::atomic<bool> stop{false};
        vole::wait_group all;
        for (int g = 0; g < 3; ++g) {
            all.go([&, g] {
                for (int i = 0; !stop; ++i) {
                    const std::string value(static_cast<std::size_t>(i % 700),
                                            static_cast<char>('a' + g));
                    with_labels({{"value", value}}, [] { vole::gosched(); });
                }
            });
        }
        for (int i = 0; i < scaled(200); ++i) {
            if (traceback().find("goroutine ") == std::string::npos) ++wrong;
        }
        stop = true;
        all.wait();
    });
    CHECK(wrong == 0);
}
