// Wrong protocols without locks. See planted.hpp.
#include <vole/vole.hpp>

#include "test/explore/planted.hpp"

#include <cstdint>

namespace vole::test {

namespace {

void lost_update() {
    atomic<int> n{0};
    const auto add = [&] {
        for (int i = 0; i < 2; ++i) n.store(n.load() + 1);
    };
    both(add, add);
    must(n.load() == 4, "an addition was lost");
}

// A stack whose head is compared by its value only: popped, used again and pushed in between, it looks untouched.
void aba() {
    constexpr int none = -1;
    atomic<int> next[2] = {1, none};
    atomic<int> head{0};
    const auto pop = [&] {
        for (;;) {
            int seen = head.load();
            if (seen == none) return none;
            const int after = next[seen].load();
            if (head.compare_exchange_strong(seen, after)) return seen;
        }
    };
    const auto push = [&](int node) {
        int seen = head.load();
        do next[node].store(seen);
        while (!head.compare_exchange_strong(seen, node));
    };
    atomic<int> owners[2] = {0, 0};
    const auto own = [&](int node) {
        if (node != none) must(owners[node].fetch_add(1) == 0, "two have the same node");
    };
    both(
        [&] {
            own(pop());
            own(pop());
        },
        [&] {
            const int first = pop();
            own(pop());
            if (first != none) push(first);
        });
}

// The flag says that the data is there before it is.
void flag_before_data() {
    atomic<int> data{0};
    atomic<bool> there{false};
    both(
        [&] {
            there.store(true);
            data.store(42);
        },
        [&] {
            if (there.load()) must(data.load() == 42, "not there yet");
        });
}

void initialised_twice() {
    atomic<bool> done{false};
    atomic<int> times{0};
    const auto init = [&] {
        if (done.load()) return;
        times.fetch_add(1);
        done.store(true);
    };
    both(init, init);
    must(times.load() == 1, "initialised twice");
}

// Peterson's lock, with the turn given before the interest is shown.
void peterson_in_the_wrong_order() {
    atomic<bool> wants[2] = {false, false};
    atomic<int> turn{0};
    atomic<int> inside{0};
    const auto enter = [&](int me) {
        turn.store(1 - me);
        wants[me].store(true);
        while (wants[1 - me].load() && turn.load() == 1 - me) gosched();
        must(inside.fetch_add(1) == 0, "both are inside");
        inside.fetch_sub(1);
        wants[me].store(false);
    };
    both([&] { enter(0); }, [&] { enter(1); });
}

// A lock by test and set, which are two steps.
void test_then_set() {
    atomic<bool> taken{false};
    atomic<int> inside{0};
    const auto enter = [&] {
        while (taken.load()) gosched();
        taken.store(true);
        must(inside.fetch_add(1) == 0, "both are inside");
        inside.fetch_sub(1);
        taken.store(false);
    };
    both(enter, enter);
}

// A queue of a worker, from which others steal at the other end: the last item needs a compare-and-swap of both.
void last_item_taken_twice() {
    atomic<int> top{0};
    atomic<int> bottom{1};  // one item
    atomic<int> taken{0};
    both(
        [&] {  // the owner
            const int b = bottom.load() - 1;
            bottom.store(b);
            if (top.load() <= b) {
                taken.fetch_add(1);  // also when it is the last
            } else {
                bottom.store(b + 1);
            }
        },
        [&] {  // the thief
            int t = top.load();
            if (t < bottom.load() && top.compare_exchange_strong(t, t + 1)) taken.fetch_add(1);
        });
    must(taken.load() <= 1, "one item was taken twice");
}

// Counted down to zero, then looked whether it is: somebody else may have brought it there.
void freed_twice() {
    atomic<int> references{2};
    atomic<int> freed{0};
    const auto drop = [&] {
        references.fetch_sub(1);
        if (references.load() == 0) freed.fetch_add(1);
    };
    both(drop, drop);
    must(freed.load() == 1, "not freed once");
}

// A waiter that is made ready by two, as both see that it waits.
void readied_twice() {
    atomic<int> state{1};  // it waits
    atomic<int> readied{0};
    const auto ready = [&] {
        if (state.load() != 1) return;
        state.store(0);
        readied.fetch_add(1);
    };
    both(ready, ready);
    must(readied.load() == 1, "readied twice");
}

// The sleeper says that it sleeps after its last look at the work, and the publisher looks for sleepers before it publishes.
void wake_up_that_is_lost() {
    atomic<bool> work{false};
    atomic<bool> sleeps{false};
    auto note = make_chan<void>(1);
    both(
        [&] {
            if (work.load()) return;
            sleeps.store(true);
            note.recv();
        },
        [&] {
            work.store(true);
            if (sleeps.load()) note.send();
        });
}

// A version that is odd while somebody writes; the reader forgets to look again.
void seqlock_without_second_look() {
    atomic<std::uint32_t> version{0};
    atomic<int> a{0};
    atomic<int> b{0};
    both(
        [&] {
            version.store(1);
            a.store(1);
            b.store(1);
            version.store(2);
        },
        [&] {
            if (version.load() % 2 != 0) return;
            const int first = a.load();
            const int second = b.load();
            must(first == second, "a torn read");
        });
}

constexpr planted_bug all[] = {
    {"a lost update", lost_update},
    {"ABA", aba},
    {"the flag before the data", flag_before_data},
    {"initialised twice", initialised_twice},
    {"Peterson's lock, two lines exchanged", peterson_in_the_wrong_order},
    {"test, then set", test_then_set},
    {"the last item taken twice", last_item_taken_twice},
    {"freed twice, or never", freed_twice},
    {"readied twice", readied_twice},
    {"a lost wake-up", wake_up_that_is_lost},
    {"a seqlock without a second look", seqlock_without_second_look},
};

}  // namespace

std::span<const planted_bug> bugs_with_atomics() { return all; }

}  // namespace vole::test
