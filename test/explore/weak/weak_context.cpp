// Contexts that are cancelled from several sides, and semaphores, under all that the memory orders allow.
#include <catch2/catch.hpp>

#include "test/explore/weak/blocking.hpp"
#include "test/explore/weak/units.hpp"
#include "test/explore/weak/weak_support.hpp"

#include <array>
#include <vector>

using namespace weak_memory;

namespace {

// Root, a and b below it, c below a.
struct family {
    std::unique_ptr<context_unit> root = make_context();
    std::unique_ptr<context_unit> a = root->child();
    std::unique_ptr<context_unit> b = root->child();
    std::unique_ptr<context_unit> c = a->child();
};

// What was below when the call began is over when it returns, if it is the first.
void cancelled_from_two_sides(world& w) {
    family f;
    run_threads(w, {[&] {
                        f.root->cancel();
                        must(f.root->over() && f.a->over() && f.b->over() && f.c->over(),
                             "cancelled, and not over");
                    },
                    [&] {
                        f.a->cancel();
                        must(f.a->over(), "cancelled, and not over");
                    }});
}

// A child comes while its parent is cancelled; handles go at the same time.
void comes_and_goes(world& w) {
    family f;
    std::unique_ptr<context_unit> late;
    run_threads(w, {[&] { f.root->cancel(); }, [&] { late = f.a->child(); }, [&] { f.c.reset(); },
                    [&] { f.b.reset(); }});
    must(f.a->over() && late->over(), "cancelled, and not over");
}

void waited_for(world& w) {
    family f;
    plain cell;
    must(!f.b->closed(), "done, and nobody has cancelled it");
    run_threads(w, {[&] {
                        cell.write(1);
                        f.root->cancel();
                    },
                    [&] {
                        f.c->wait();
                        must(f.c->over(), "done, and no error");
                        must(cell.read() == 1, "an old value");
                    },
                    [&] {
                        while (!f.b->over()) yield();
                        must(f.b->closed(), "an error, and not done");
                        must(cell.read() == 1, "an old value");
                    }});
}

void function_or_stop(world& w) {
    family f;
    plain cell;
    int ran = 0;
    bool stopped = false;
    f.c->after([&] {
        cell.write(cell.read() + 1);
        ++ran;
    });
    run_threads(w, {[&] { f.root->cancel(); },
                    [&] {
                        stopped = f.c->stop();
                        if (stopped) cell.write(2);
                    }});
    must(ran + (stopped ? 1 : 0) == 1, "run and stopped, or neither");
}

// ---- semaphores -------------------------------------------------------------------------------

void one_at_a_time(world& w) {
    const auto s = make_sema();
    plain cell;
    const auto once = [&] {
        s->lock();
        cell.write(cell.read() + 1);
        s->unlock();
    };
    run_threads(w, {once, once, once});
    must(cell.read() == 3, "an update is lost");
}

void weighted(world& w) {
    const auto s = make_semaphore(2);
    std::array<plain, 2> cells;
    const auto both = [&] {
        s->acquire(2);
        for (plain& c : cells) c.write(c.read() + 1);
        s->release(2);
    };
    const auto one = [&](std::size_t which) {
        return [&, which] {
            s->acquire(1);
            cells[which].write(cells[which].read() + 1);
            s->release(1);
        };
    };
    run_threads(w, {both, one(0), one(1), both});
    must(cells[0].read() == 3 && cells[1].read() == 3, "an update is lost");
    must(s->try_acquire(2), "not all has come back");
}

// Who is served while its context ends has it or not; nothing is lost, and those behind it are served.
void given_up(world& w) {
    const auto s = make_semaphore(1);
    const auto until = make_context();
    plain cell;
    s->acquire(1);
    run_threads(w, {[&] { s->release(1); }, [&] { until->cancel(); },
                    [&] {
                        if (!s->acquire(*until, 1)) return;
                        cell.write(cell.read() + 1);
                        s->release(1);
                    },
                    [&] {
                        s->acquire(1);
                        cell.write(cell.read() + 1);
                        s->release(1);
                    }});
    must(s->try_acquire(1), "not all has come back");
}

// Nothing is released: the first, who waits for more than there is, gives up, and the one behind it has enough.
void gives_way(world& w) {
    const auto s = make_semaphore(2);
    const auto until = make_context();
    s->acquire(1);
    run_threads(w, {[&] { must(!s->acquire(*until, 2), "more than there is"); },
                    [&] { until->cancel(); }, [&] { s->acquire(1); }});
    s->release(2);
    must(s->try_acquire(2), "not all has come back");
}

}  // namespace

TEST_CASE("weak: contexts", "[explore][weak]") {
    holds(cancelled_from_two_sides);
    holds(comes_and_goes);
    holds(waited_for);
    holds(function_or_stop);
}
TEST_CASE("weak: semaphores", "[explore][weak]") {
    holds(one_at_a_time);
    holds(weighted);
    holds(given_up);
    holds(gives_way);
}
TEST_CASE("weak: contexts need their orders", "[explore][weak]") {
    CHECK(fails(without::release, waited_for) != "");
    CHECK(fails(without::acquire, waited_for) != "");
}
