// sync under all that the memory orders allow, its own protocols included: no wake-up is lost, nobody is readied twice, and
// who comes after sees what was done before. Without one kind of order, something goes wrong.
#include <catch2/catch.hpp>

#include "test/explore/weak/blocking.hpp"
#include "test/explore/weak/units.hpp"
#include "test/explore/weak/weak_support.hpp"

#include <memory>
#include <stdexcept>

using namespace weak_memory;

namespace {

void must(bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
}

void add_under(lock_unit& mu, plain& n) {
    mu.lock();
    n.write(n.read() + 1);
    mu.unlock();
}

template <release_kind how>
void two_with_a_mutex(world& w) {
    const auto mu = make_mutex(how);
    plain n;
    const auto twice = [&] {
        add_under(*mu, n);
        add_under(*mu, n);
    };
    run_threads(w, {twice, twice});
    must(n.read() == 4, "an addition was lost");
}

template <release_kind how>
void three_with_a_mutex(world& w) {
    const auto mu = make_mutex(how);
    plain n;
    const auto once = [&] { add_under(*mu, n); };
    const auto tries = [&] {
        if (mu->try_lock()) {
            n.write(n.read() + 1);
            mu->unlock();
        } else {
            add_under(*mu, n);
        }
    };
    run_threads(w, {once, once, tries});
    must(n.read() == 3, "an addition was lost");
}

// What a writer changes in two steps, and no reader sees half changed.
struct guarded_pair {
    const std::unique_ptr<rw_lock_unit> mu = make_rw_mutex();
    plain a;
    plain b;

    void write() {
        mu->lock();
        a.write(a.read() + 1);
        b.write(b.read() + 1);
        mu->unlock();
    }
    void read() {
        mu->lock_shared();
        must(a.read() == b.read(), "a reader between the writes");
        mu->unlock_shared();
    }
};

void readers_and_writers(world& w) {
    guarded_pair p;
    const auto writes = [&] { p.write(); };
    const auto reads = [&] { p.read(); };
    run_threads(w, {writes, writes, reads, reads});
    must(p.a.read() == 2, "a write was lost");
}

// The same, where some count themselves on their P. The second thread has the first one's P when that is done
// with it: who is woken has seen what the other did, as whoever takes a P from the scheduler.
template <bool at_home>
void readers_on_their_procs(world& w) {
    guarded_pair p;
    const char handed = 0;
    be_on(0);
    p.mu->lock_shared();
    at_home ? p.mu->spread_at_home() : p.mu->spread();
    p.mu->unlock_shared();
    const auto first = [&] {
        be_on(0);
        p.read();
        wake(&handed);
    };
    const auto second = [&] {
        sleep(&handed);
        be_on(0);
        p.write();
        p.read();
    };
    const auto elsewhere = [&] {
        be_on(1);
        p.read();
        p.write();
    };
    run_threads(w, {first, second, elsewhere});
    must(p.a.read() == 2, "a write was lost");
}

// One of them is woken, and finds that the lock has been taken meanwhile.
void three_writers(world& w) {
    const auto mu = make_rw_mutex();
    plain n;
    const auto writes = [&] { add_under(*mu, n); };
    run_threads(w, {writes, writes, writes});
    must(n.read() == 3, "an addition was lost");
}

void group(world& w) {
    const auto g = make_group();
    plain done[2];
    g->add(2);
    const auto waits = [&] {
        g->wait();
        must(done[0].read() + done[1].read() == 2, "it did not wait");
    };
    const auto does = [&](int i) {
        done[i].write(1);
        g->add(-1);
    };
    run_threads(w, {waits, waits, [&] { does(0); }, [&] { does(1); }});
}

void once_only(world& w) {
    const auto o = make_once();
    plain value;
    int times = 0;
    const auto asks = [&] {
        o->call([&] {
            ++times;
            value.write(7);
        });
        must(value.read() == 7, "not yet");
    };
    run_threads(w, {asks, asks, asks});
    must(times == 1, "called twice");
}

void producers_and_consumers(world& w) {
    const auto mu = make_mutex(release_kind::exchanged);
    const auto changed = make_cond();
    plain items;
    const auto takes = [&] {
        mu->lock();
        while (items.read() == 0) changed->wait(*mu);
        items.write(items.read() - 1);
        mu->unlock();
    };
    const auto puts = [&](bool all) {
        add_under(*mu, items);
        if (all) {
            changed->notify_all();
        } else {
            changed->notify_one();
        }
    };
    run_threads(w, {takes, takes, [&] { puts(false); }, [&] { puts(true); }});
    must(items.read() == 0, "left over");
}

template <std::size_t capacity>
void handed_over(world& w) {
    const auto c = make_channel(capacity);
    plain work[4];
    int got = 0;
    const auto sends = [&](int x) {
        work[x].write(1);
        c->send(x);
    };
    run_threads(w, {[&] {
                        sends(1);
                        sends(2);
                    },
                    [&] { sends(3); },
                    [&] {
                        for (int i = 0; i < 3; ++i) {
                            const int x = c->recv();
                            must(work[x].read() == 1, "received before it was sent");
                            got += 1 << x;
                        }
                    }});
    must(got == (1 << 1) + (1 << 2) + (1 << 3), "not each value once");
}

template <std::size_t capacity>
void tried_and_closed(world& w) {
    const auto c = make_channel(capacity);
    plain last;
    run_threads(w, {[&] {
                        (void)c->try_send(1);
                        last.write(1);
                        c->close();
                    },
                    [&] { (void)c->try_recv(); },
                    [&] {
                        while (c->recv() != 0) {
                        }
                        must(last.read() == 1, "closed before it was closed");
                    }});
}

// What was sent before the close comes before it.
void drained_before_it_is_closed(world& w) {
    const auto c = make_channel(1);
    run_threads(w, {[&] {
                        c->send(1);
                        c->close();
                    },
                    [&] { must(c->try_recv() != -1, "closed, with a value in it"); }});
}

// Each can be the other's partner in two ways, and both have a third one in common.
void two_selects(world& w) {
    const auto a = make_channel(0);
    const auto b = make_channel(0);
    const auto spare = make_channel(1);
    int values[2] = {0, 0};
    int chosen[2] = {-1, -1};
    run_threads(
        w, {[&] {
                chosen[0] = select({{a.get(), 1}, {b.get()}, {spare.get(), 3}}, false, &values[0]);
            },
            [&] {
                chosen[1] = select({{b.get(), 2}, {a.get()}, {spare.get()}}, false, &values[1]);
            }});
    // Either both have met on one channel, or the first put a value aside for the second.
    const bool met = (chosen[0] == 0 && chosen[1] == 1 && values[1] == 1) ||
                     (chosen[0] == 1 && chosen[1] == 0 && values[0] == 2) ||
                     (chosen[0] == 2 && chosen[1] == 2 && values[1] == 3);
    must(met, "they did not meet");
    must(a->try_recv() == 0 && b->try_recv() == 0, "somebody is left over");
}

// One value, two selects that want it, and what they leave in the queues.
void select_against_select(world& w) {
    const auto a = make_channel(0);
    const auto quit = make_channel(0);
    int got = 0;
    const auto wants = [&] {
        int x = 0;
        if (select({{a.get()}, {quit.get()}}, false, &x) == 0) got += x;
    };
    run_threads(w, {wants, wants, [&] {
                        a->send(5);
                        quit->close();
                    }});
    must(got == 5, "not once");
    must(!a->try_send(6), "somebody is left over");
}

}  // namespace

TEST_CASE("weak: a mutex", "[explore][weak]") {
    holds(two_with_a_mutex<release_kind::exchanged>);
    holds(three_with_a_mutex<release_kind::exchanged>);
}
TEST_CASE("weak: a mutex that is released by compare, then store", "[explore][weak]") {
    holds(two_with_a_mutex<release_kind::restartable>);
    holds(three_with_a_mutex<release_kind::restartable>);
}
TEST_CASE("weak: readers and writers", "[explore][weak]") {
    holds(readers_and_writers);
    holds(three_writers);
}
TEST_CASE("weak: readers that count themselves on their P", "[explore][weak]") {
    holds(readers_on_their_procs<false>);
    holds(readers_on_their_procs<true>);
}
TEST_CASE("weak: a group", "[explore][weak]") { holds(group); }
TEST_CASE("weak: once", "[explore][weak]") { holds(once_only); }
TEST_CASE("weak: a condition", "[explore][weak]") { holds(producers_and_consumers); }
TEST_CASE("weak: channels", "[explore][weak]") {
    holds(handed_over<0>);
    holds(handed_over<1>);
    holds(tried_and_closed<0>);
    holds(tried_and_closed<1>);
    holds(drained_before_it_is_closed);
}
TEST_CASE("weak: select", "[explore][weak]") {
    holds(two_selects);
    holds(select_against_select);
}

TEST_CASE("weak: sync needs its orders", "[explore][weak]") {
    CHECK(fails(without::release, two_with_a_mutex<release_kind::exchanged>) != "");
    CHECK(fails(without::acquire, two_with_a_mutex<release_kind::exchanged>) != "");
    CHECK(fails(without::release, readers_and_writers) != "");
    CHECK(fails(without::acquire, readers_and_writers) != "");
    CHECK(fails(without::fence_all, readers_on_their_procs<false>) != "");
    CHECK(fails(without::fence_all, readers_on_their_procs<true>) != "");
    CHECK(fails(without::release, group) != "");
    CHECK(fails(without::acquire, group) != "");
    CHECK(fails(without::release, once_only) != "");
    CHECK(fails(without::acquire, once_only) != "");
    CHECK(fails(without::fence_all, two_with_a_mutex<release_kind::restartable>) != "");
}
