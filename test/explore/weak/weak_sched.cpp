// Threads that look for work, sleep and are woken: no wake-up is lost, and everything runs once, under all that the memory orders
// allow.
#include <catch2/catch.hpp>

#include "test/explore/weak/crew.hpp"

#include <array>
#include <vector>

using namespace weak_memory;

namespace {

// What a goroutine starts: others to run next on its P, or last.
struct starts {
    int next = 0;
    std::vector<int> last = {};
};

// A machine on which each goroutine of a tree runs once. Those in `outside` are started by threads that are none of it.
class forest {
  public:
    forest(world& w, int procs, int threads)
        : crew_(w, procs, threads, [this](int item, int thread) {
              const starts& s = tree_[static_cast<std::size_t>(item)];
              for (const int i : s.last) crew_.machine().publish_last(i, thread);
              if (s.next != 0) crew_.machine().publish_next(s.next, thread);
          }) {}
    void starts_others(int item, starts s) { tree_[static_cast<std::size_t>(item)] = std::move(s); }
    void run(const std::vector<int>& outside) { crew_.run(outside, size_of(outside)); }

  private:
    int size_of(const std::vector<int>& roots) const {
        int n = 0;
        for (const int i : roots) {
            const starts& s = tree_[static_cast<std::size_t>(i)];
            std::vector<int> below = s.last;
            if (s.next != 0) below.push_back(s.next);
            n += 1 + size_of(below);
        }
        return n;
    }

    std::array<starts, items> tree_;
    crew crew_;
};

void published_from_outside(world& w) { forest(w, 2, 2).run({1, 2}); }
// On its way to sleep again when the next comes: the shortest way to lose one.
void one_thread(world& w) { forest(w, 2, 1).run({1, 2}); }
void published_by_one_that_runs(world& w) {
    forest f(w, 2, 2);
    f.starts_others(1, {.next = 2, .last = {3}});
    f.starts_others(3, {.last = {4}});
    f.run({1});
}
void both(world& w) {
    forest f(w, 2, 2);
    f.starts_others(1, {.next = 3});
    f.run({1, 2});
}
void more_threads_than_procs(world& w) {
    forest f(w, 2, 3);
    f.starts_others(1, {.last = {2, 3}});
    f.run({1});
}

constexpr std::uint64_t schedules = 2'000;

}  // namespace

TEST_CASE("weak: no thread sleeps while work that was published waits", "[explore][weak]") {
    holds(one_thread, 5 * schedules);
    holds(published_from_outside, schedules);
    holds(published_by_one_that_runs, schedules);
    holds(both, schedules);
    holds(more_threads_than_procs, schedules);
}
