// The run queue and runnext under all that the memory orders allow: nothing is lost, nothing is taken twice, and who takes a
// goroutine sees what was done with it before. Without one kind of order, or the fence, something goes wrong: so each is needed.
#include <catch2/catch.hpp>

#include "test/explore/weak/units.hpp"
#include "test/explore/weak/weak_support.hpp"

#include <array>
#include <stdexcept>
#include <string>

using namespace weak_memory;

namespace {

// Each item is put in once and taken once; what is written before the one is read after the other.
class ledger {
  public:
    int make(int item) {
        work_[static_cast<std::size_t>(item)].write(static_cast<word>(item));
        return item;
    }
    void took(int item) {
        if (item == 0) return;
        const auto i = static_cast<std::size_t>(item);
        if (++taken_[i] != 1) throw std::logic_error("taken twice");
        if (work_[i].read() != i) throw std::logic_error("taken before it was made");
    }
    void check_all(int last) const {
        for (int i = 1; i <= last; ++i) {
            if (taken_[static_cast<std::size_t>(i)] != 1) throw std::logic_error("lost");
        }
    }

  private:
    std::array<plain, items> work_;
    std::array<int, items> taken_{};
};

void drain(queue_unit& q, ledger& l) {
    while (const int item = q.pop()) l.took(item);
    l.took(q.pop_next());
}

using scenario = void (*)(world&, sharing_kind);

// The owner fills and empties its ring; a thief takes half, and runs that.
void ring_and_thief(world& w, sharing_kind how) {
    const auto mine = make_queue(how);
    const auto thiefs = make_queue(how);
    ledger l;
    run_threads(w, {[&] {
                        mine->push(l.make(1));
                        mine->push(l.make(2));
                        l.took(mine->pop());
                        mine->push(l.make(3));
                        l.took(mine->pop());
                    },
                    [&] {
                        l.took(mine->steal_into(*thiefs));
                        drain(*thiefs, l);
                    }});
    drain(*mine, l);
    l.check_all(3);
}

// The owner hands over by runnext; a thief takes from it.
void next_and_thief(world& w, sharing_kind how) {
    const auto mine = make_queue(how);
    const auto thiefs = make_queue(how);
    ledger l;
    run_threads(w, {[&] {
                        l.took(mine->exchange_next(l.make(1)));
                        l.took(mine->pop_next());
                        l.took(mine->exchange_next(l.make(2)));
                        l.took(mine->exchange_next(l.make(3)));
                        l.took(mine->pop_next());
                    },
                    [&] { l.took(mine->steal_next(*thiefs)); }});
    drain(*mine, l);
    l.check_all(3);
}

void next_and_two_thieves(world& w, sharing_kind how) {
    const auto mine = make_queue(how);
    const auto thiefs = make_queue(how);
    const auto others = make_queue(how);
    ledger l;
    run_threads(w, {[&] {
                        l.took(mine->exchange_next(l.make(1)));
                        l.took(mine->pop_next());
                        l.took(mine->exchange_next(l.make(2)));
                    },
                    [&] { l.took(mine->steal_next(*thiefs)); },
                    [&] { l.took(mine->steal_next(*others)); }});
    drain(*mine, l);
    l.check_all(2);
}

// A goroutine is in the queue all the time, in runnext or in the ring: whoever looks must not find it empty.
void never_empty(world& w, sharing_kind how) {
    const auto mine = make_queue(how);
    mine->exchange_next(1);
    run_threads(w, {[&] {
                        mine->push(mine->exchange_next(2));
                        (void)mine->pop();
                        mine->push(mine->exchange_next(1));
                        (void)mine->pop();
                    },
                    [&] {
                        if (mine->empty()) throw std::logic_error("looked empty");
                    }});
}

void hold(scenario run, sharing_kind how) {
    holds([=](world& w) { run(w, how); }, 20'000);
}
std::string fails_without(without what, scenario run, sharing_kind how) {
    return fails(
        what, [=](world& w) { run(w, how); }, 200'000);
}

}  // namespace

TEST_CASE("weak: the ring loses nothing and gives nothing twice", "[explore][weak]") {
    hold(ring_and_thief, sharing_kind::exchanged);
}
TEST_CASE("weak: runnext, exchanged", "[explore][weak]") {
    hold(next_and_thief, sharing_kind::exchanged);
    hold(next_and_two_thieves, sharing_kind::exchanged);
}
TEST_CASE("weak: runnext, fenced", "[explore][weak]") {
    hold(next_and_thief, sharing_kind::fenced);
    hold(next_and_two_thieves, sharing_kind::fenced);
}
TEST_CASE("weak: a queue that is never empty does not look empty", "[explore][weak]") {
    hold(never_empty, sharing_kind::exchanged);
    hold(never_empty, sharing_kind::fenced);
}

TEST_CASE("weak: the ring needs its orders", "[explore][weak]") {
    CHECK(fails_without(without::release, ring_and_thief, sharing_kind::exchanged) != "");
    CHECK(fails_without(without::acquire, ring_and_thief, sharing_kind::exchanged) != "");
}
TEST_CASE("weak: runnext needs its orders, or the fence", "[explore][weak]") {
    CHECK(fails_without(without::release, next_and_thief, sharing_kind::exchanged) != "");
    CHECK(fails_without(without::acquire, next_and_thief, sharing_kind::exchanged) != "");
    // The fence that the thief makes all pass orders everything before it; so it alone is needed.
    CHECK(fails_without(without::fence_all, next_and_thief, sharing_kind::fenced) != "");
}
