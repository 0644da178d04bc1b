// Cleanups under all that the memory orders allow: each runs once, unless it was stopped; with what was written before it was
// added; and drain() has seen them all.
#include <catch2/catch.hpp>

#include "test/explore/weak/blocking.hpp"
#include "test/explore/weak/units.hpp"
#include "test/explore/weak/weak_support.hpp"

#include <array>
#include <span>

using namespace weak_memory;

namespace {

// Who adds has written what the cleanup reads; who looks at what the cleanup wrote comes after it.
struct job {
    plain before, ran;

    void give_to(cleanups_unit& c, int item) {
        before.write(1);
        c.add(item, [this] {
            must(before.read() == 1, "what was written before it was added");
            ran.write(ran.read() + 1);
        });
    }
};

// And lets go.
void give_both(std::span<job> jobs, cleanups_unit& c) {
    jobs[0].give_to(c, 1);
    jobs[1].give_to(c, 2);
    c.let_go();
}

void several_owners(world& w) {
    const auto c = make_cleanups(2);
    std::array<job, 3> jobs;
    run_threads(w, {[&] { give_both(jobs, *c); },
                    [&] {
                        jobs[2].give_to(*c, 3);
                        c->let_go();
                    }});
    for (const job& j : jobs) must(j.ran.read() == 1, "each ran once");
}

// Nothing orders them but drain().
void drained(world& w) {
    const auto c = make_cleanups(1);
    std::array<job, 2> jobs;
    run_threads(w, {[&] {
                    give_both(jobs, *c);
                    c->drain();
                    for (const job& j : jobs) must(j.ran.read() == 1, "drained before it ran");
                }});
}

void drained_by_others(world& w) {
    const auto c = make_cleanups(1);
    std::array<job, 2> jobs;
    run_threads(w, {[&] { give_both(jobs, *c); }, [&] { c->drain(); }, [&] { c->drain(); }});
    for (const job& j : jobs) must(j.ran.read() == 1, "each ran once");
}

// A cleanup that waits for another: somebody else has to run that one.
void one_waits_for_another(world& w) {
    const auto c = make_cleanups(1);
    const char first = 0;
    run_threads(w, {[&] {
                    c->add(1, [&] { wake(&first); });
                    c->add(2, [&] { sleep(&first); });
                    c->let_go();
                    c->drain();
                }});
}

void stopped_or_run(world& w) {
    const auto c = make_cleanups(1);
    plain ran;
    c->add(1, [&] { ran.write(ran.read() + 1); });
    run_threads(w, {[&] { c->let_go(); }, [&] { c->stop(1); }});
    must(ran.read() <= 1, "once at most");
    must(c->dropped(1) == 1, "the function is destroyed once");
}

}  // namespace

TEST_CASE("weak: cleanups run once, and see what was before", "[explore][weak]") {
    holds(several_owners);
    holds(stopped_or_run);
}
TEST_CASE("weak: cleanups that are drained, one that waits for another", "[explore][weak]") {
    holds(drained);
    holds(drained_by_others);
    holds(one_waits_for_another);
}
TEST_CASE("weak: cleanups need release and acquire", "[explore][weak]") {
    CHECK(fails(without::release, several_owners) != "");
    CHECK(fails(without::acquire, several_owners) != "");
}
