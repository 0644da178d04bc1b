// Boost.Fiber's side of sync_bench.cpp, in the program of boost_bench.cpp. It has no rw_mutex, once, pool, map or
// context: those benchmarks are missing here. Nor has it a semaphore: this is the one that is soon written with what it
// has. It lets through whoever comes first where Vole's and Go's keep the order of those who wait.
// A group is fibers that are joined; no error is carried out of them.
#include <mutex>
#include <utility>
#include <vector>

#include "test/bench/boost_fiber.hpp"
#include "test/bench/sync_loops.hpp"

namespace {

using namespace vole_bench;

class fiber_crew {
  public:
    template <class F>
    void go(F f) {
        all_.push_back(start_fiber(std::move(f)));
    }

    void wait() {
        for (auto& f : all_) f.join();
        all_.clear();
    }

  private:
    std::vector<fiber> all_;
};

/// All who wait ask for the same number, else notify_one() would not do.
class counting {
  public:
    explicit counting(count places) : free_(places) {}

    void acquire(count n) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return free_ >= n; });
        free_ -= n;
    }

    void release(count n) {
        {
            const std::lock_guard lock(mutex_);
            free_ += n;
        }
        changed_.notify_one();
    }

  private:
    fibers::mutex mutex_;
    fibers::condition_variable changed_;
    count free_;
};

struct side {
    using crew = fiber_crew;
    using group = fiber_crew;
    using mutex = fibers::mutex;
    using cond = fibers::condition_variable;
    using semaphore = counting;

    template <class F>
    static double run(F f) {
        return f();
    }
    static void yield() { boost::this_fiber::yield(); }
};

BENCHMARK(cond_pingpong<side>)->Name("cond_pingpong")->UseManualTime();
BENCHMARK(semaphore<side>)->Name("semaphore")->UseManualTime();
BENCHMARK(semaphore_contended<side>)->Name("semaphore_contended")->UseManualTime();
BENCHMARK(group_1000<side>)->Name("group_1000")->UseManualTime();

}  // namespace
