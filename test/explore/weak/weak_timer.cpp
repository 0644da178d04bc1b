// Timers under all that the memory orders allow: one that is stopped does not go off, one that goes off does so once, and who set it is
// seen by who is called.
#include <catch2/catch.hpp>

#include "test/explore/weak/units.hpp"
#include "test/explore/weak/weak_support.hpp"

using namespace weak_memory;

namespace {

// Its calls; each sees what was written before it was set.
struct counted {
    plain before, calls;
    std::unique_ptr<timer_unit> t;

    void start(int in) {
        before.write(1);
        t = make_after_func(in, [this] {
            must(before.read() == 1, "what was written before it was set");
            calls.write(calls.read() + 1);
        });
    }
};

void goes_off(world& w) {
    counted c;
    run_threads(w, {[&] {
                        c.start(10);
                        let_pass(20);
                    },
                    [&] { let_pass(5); }});
    must(c.calls.read() == 1, "once");
}

void stop_races_with_time(world& w) {
    counted c;
    c.start(10);
    bool stopped = false;
    run_threads(w, {[&] { stopped = c.t->stop(); }, [&] { let_pass(20); }});
    must(c.calls.read() == (stopped ? 0 : 1), "stopped, or called");
}

void two_stop_it(world& w) {
    counted c;
    c.start(10);
    int stopped = 0;
    const auto stop = [&] { stopped += c.t->stop() ? 1 : 0; };
    run_threads(w, {stop, stop});
    let_pass(20);
    w.join_all();
    must(stopped == 1 && c.calls.read() == 0, "one of them has stopped it");
}

// Each time that it was pending when it was set anew, there is one call less.
void reset_races_with_time(world& w) {
    counted c;
    c.start(10);
    bool was_pending = false;
    run_threads(w, {[&] { was_pending = c.t->reset(30); }, [&] { let_pass(20); }});
    must(c.calls.read() == (was_pending ? 0 : 1), "not before its time");
    let_pass(100);
    w.join_all();
    must(c.calls.read() == (was_pending ? 1 : 2), "as often as it was set and not superseded");
}

void channel(world& w) {
    const auto t = make_timer(10);
    run_threads(w, {[&] { t->recv(); }, [&] { let_pass(20); }});
    must(!t->try_recv(), "one value");
    (void)t->reset(5);
    let_pass(5);
    must(t->try_recv(), "a value that nobody has waited for");
}

// Either it is stopped, or somebody gets the value: and none lies there afterwards.
void channel_stopped(world& w) {
    const auto t = make_timer(10);
    bool stopped = false;
    bool got = false;
    run_threads(w, {[&] {
                        stopped = t->stop();
                        must(!t->try_recv(), "none after stop");
                    },
                    [&] {
                        let_pass(20);
                        got = t->try_recv();
                    }});
    must(stopped != got, "stopped, or received");
}

void channel_reset_while_one_waits(world& w) {
    const auto t = make_timer(10);
    run_threads(w, {[&] { t->recv(); },
                    [&] {
                        (void)t->reset(5);
                        let_pass(5);
                    },
                    [&] { let_pass(20); }});
}

// Each schedule leaves its heaps behind: those of Ps are never destroyed.
constexpr std::uint64_t schedules = 3'000;

}  // namespace

TEST_CASE("weak: a timer that goes off, is stopped or set anew", "[explore][weak]") {
    holds(goes_off, schedules);
    holds(stop_races_with_time, schedules);
    holds(two_stop_it, schedules);
    holds(reset_races_with_time, schedules);
}
TEST_CASE("weak: a timer with a channel", "[explore][weak]") {
    holds(channel, schedules);
    holds(channel_stopped, schedules);
    holds(channel_reset_while_one_waits, schedules);
}
