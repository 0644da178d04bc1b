// A descriptor in the poller under all that the memory orders allow: no edge is lost, and who closes, or lets the deadline pass, ends
// the wait.
#include <catch2/catch.hpp>

#include "test/explore/weak/blocking.hpp"
#include "test/explore/weak/units.hpp"
#include "test/explore/weak/weak_support.hpp"

using namespace weak_memory;

namespace {

// What the kernel knows; a system call is ordered with all others.
class kernel {
  public:
    void becomes_readable() {
        lock(this);
        ++bytes_;
        unlock(this);
    }
    bool read() {
        lock(this);
        const bool got = bytes_ != 0;
        if (got) --bytes_;
        unlock(this);
        return got;
    }

  private:
    int bytes_ = 0;
};

// As every operation is: try, and wait.
wait_result read_all(desc_unit& d, kernel& k) {
    for (;;) {
        if (const wait_result r = d.prepare(); r != wait_result::ready) return r;
        if (k.read()) return wait_result::ready;
        if (const wait_result r = d.wait(); r != wait_result::ready) return r;
    }
}

void becomes_ready(desc_unit& d, kernel& k) {
    k.becomes_readable();
    d.event();
}

void must(bool holds) { weak_memory::must(holds, "ended for another reason"); }

void edges(world& w) {
    const auto d = make_desc();
    kernel k;
    run_threads(w, {[&] {
                        must(read_all(*d, k) == wait_result::ready);
                        must(read_all(*d, k) == wait_result::ready);
                    },
                    [&] {
                        becomes_ready(*d, k);
                        becomes_ready(*d, k);
                    }});
}

void closed_while_it_waits(world& w) {
    const auto d = make_desc();
    kernel k;
    run_threads(w, {[&] { must(read_all(*d, k) == wait_result::closed); }, [&] { d->evict(); }});
}

void closed_and_ready(world& w) {
    const auto d = make_desc();
    kernel k;
    run_threads(w, {[&] { must(read_all(*d, k) != wait_result::timeout); }, [&] { d->evict(); },
                    [&] { becomes_ready(*d, k); }});
}

void deadline_that_has_passed(world& w) {
    const auto d = make_desc();
    kernel k;
    run_threads(w, {[&] { must(read_all(*d, k) == wait_result::timeout); },
                    [&] { d->set_deadline(true); }});
}

void deadline_that_passes(world& w) {
    const auto d = make_desc();
    kernel k;
    run_threads(w, {[&] { must(read_all(*d, k) == wait_result::timeout); },
                    [&] {
                        d->set_deadline(false);
                        d->alarm_goes_off();
                    }});
}

void deadline_and_close(world& w) {
    const auto d = make_desc();
    kernel k;
    run_threads(w, {[&] { must(read_all(*d, k) != wait_result::ready); },
                    [&] {
                        d->set_deadline(false);
                        d->alarm_goes_off();
                    },
                    [&] { d->evict(); }});
}

}  // namespace

TEST_CASE("weak: a descriptor loses no edge", "[explore][weak]") { holds(edges); }
TEST_CASE("weak: a descriptor that is closed", "[explore][weak]") {
    holds(closed_while_it_waits);
    holds(closed_and_ready);
}
TEST_CASE("weak: a descriptor with a deadline", "[explore][weak]") {
    holds(deadline_that_has_passed);
    holds(deadline_that_passes);
    holds(deadline_and_close);
}
TEST_CASE("weak: a descriptor needs sequential consistency", "[explore][weak]") {
    CHECK(fails(without::sequential, closed_while_it_waits) != "");
    CHECK(fails(without::sequential, deadline_that_has_passed) != "");
}
