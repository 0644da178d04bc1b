// What std has of sync_bench.cpp: the same loops, on threads. BENCH_PROCS is the number of CPUs that all threads of the
// process share. What std lacks is what one soon writes with what it has:
//
// - a pool is a vector under a mutex, a map for many threads an unordered_map under a shared_mutex;
// - counting_semaphore takes one place at a time, so that three are three calls, which alone come to the same;
// - a group is threads that are joined; no error is carried out of them.
//
// There are no contexts.
#include <sched.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <semaphore>
#include <shared_mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "test/bench/sync_loops.hpp"

namespace {

using namespace vole_bench;

class thread_crew {
  public:
    template <class F>
    void go(F f) {
        all_.emplace_back(std::move(f));
    }

    /// Joins them.
    void wait() { all_.clear(); }

  private:
    std::vector<std::jthread> all_;
};

class call_once {
  public:
    template <class F>
    void call(F f) {
        std::call_once(flag_, f);
    }

  private:
    std::once_flag flag_;
};

class locked_pool {
  public:
    using item = std::unique_ptr<block>;

    explicit locked_pool(item (*make)()) : make_(make) {}

    item get() {
        {
            const std::lock_guard lock(mutex_);
            if (!items_.empty()) {
                item x = std::move(items_.back());
                items_.pop_back();
                return x;
            }
        }
        return make_();
    }

    void put(item x) {
        const std::lock_guard lock(mutex_);
        items_.push_back(std::move(x));
    }

  private:
    item (*make_)();
    std::mutex mutex_;
    std::vector<item> items_;
};

class locked_map {
  public:
    void store(count key, count value) {
        const std::unique_lock lock(mutex_);
        values_.insert_or_assign(key, value);
    }

    std::optional<count> load(count key) {
        const std::shared_lock lock(mutex_);
        const auto found = values_.find(key);
        if (found == values_.end()) return std::nullopt;
        return found->second;
    }

  private:
    std::shared_mutex mutex_;
    std::unordered_map<count, count> values_;
};

class counting {
  public:
    explicit counting(count places) : places_(places) {}

    void acquire(count n) {
        for (; n > 0; --n) places_.acquire();
    }

    void release(count n) { places_.release(n); }

  private:
    std::counting_semaphore<> places_;
};

struct side {
    using crew = thread_crew;
    using group = thread_crew;
    using mutex = std::mutex;
    using cond = std::condition_variable;
    using rw_mutex = std::shared_mutex;
    using once = call_once;
    using pool = locked_pool;
    using map = locked_map;
    using semaphore = counting;

    template <class F>
    static double run(F f) {
        return f();
    }
    static void yield() { std::this_thread::yield(); }
};

BENCHMARK(rw_read<side>)->Name("rw_read")->UseManualTime();
BENCHMARK(rw_read_shared<side>)->Name("rw_read_shared")->UseManualTime();
BENCHMARK(rw_mixed<side>)->Name("rw_mixed")->UseManualTime();
BENCHMARK(cond_pingpong<side>)->Name("cond_pingpong")->UseManualTime();
BENCHMARK(once<side>)->Name("once")->UseManualTime();
BENCHMARK(pool<side>)->Name("pool")->UseManualTime();
BENCHMARK(map<side, 16>)->Name("map_read_mostly")->UseManualTime();
BENCHMARK(map<side, 2>)->Name("map_write_heavy")->UseManualTime();
BENCHMARK(semaphore<side>)->Name("semaphore")->UseManualTime();
BENCHMARK(semaphore_contended<side>)->Name("semaphore_contended")->UseManualTime();
BENCHMARK(group_1000<side>)->Name("group_1000")->UseManualTime();

/// Leaves the process the first `procs` of the CPUs it may run on; all of them if there are fewer.
bool pin_to(unsigned procs) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return false;
    unsigned kept = 0;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &cpus) && ++kept > procs) CPU_CLR(cpu, &cpus);
    }
    return sched_setaffinity(0, sizeof cpus, &cpus) == 0;
}

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    if (!pin_to(peer_procs())) {
        std::perror("cannot choose the CPUs to run on");
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
}
