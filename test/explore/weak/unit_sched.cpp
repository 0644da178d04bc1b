// How threads look for work, sleep and are woken, over the model of memory: units.hpp. What runs is the test's; there is no time, no
// poller, no stack, no other thread to be had.
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/record.hpp"
#include "test/explore/weak/units.hpp"

#include <new>
#include <vector>

namespace vole::inline v0::detail {

constinit scheduler sched;
constinit bool lock_ranks_checked = false;
constinit atomic<bool> recording_is_on{false};

void record_p_slow(record_kind, const P*, const M*, const G*) noexcept {}
void check_deadlock() noexcept {}
void review_keeper() noexcept {}
void watch_for_all() noexcept {}
void watch_first_deadline() noexcept {}
void wake_keeper() noexcept { weak_memory::fail("nobody keeps watch here"); }
void wake_sysmon() noexcept {}
bool new_m(P*, bool) noexcept { return false; }
void attach_stack(P*, G*) noexcept {}
G* prefer_frozen(P*, G* g) noexcept { return g; }
void run_timers(M*) noexcept {}
bool run_any_timers() noexcept { return false; }
bool await_near_deadline() noexcept { return false; }
bool keep_watch(M*) noexcept { return false; }
bool poll_here(M*) noexcept { return false; }
bool fence_all_threads() noexcept {
    weak_memory::fence_all();
    return true;
}

}  // namespace vole::inline v0::detail

// A thief waits for whoever owns what it has seen.
extern "C" int modelled_nanosleep(const timespec*, timespec*) {
    weak_memory::yield();
    return 0;
}

namespace weak_memory {

namespace {

using namespace vole::detail;

class machine final : public machine_unit {
  public:
    machine(int procs, int threads)
        : ps_(static_cast<std::size_t>(procs)), ms_(static_cast<std::size_t>(threads)), gs_(items) {
        sched.~scheduler();
        ::new (&sched) scheduler;
        sched.procs.store(static_cast<std::uint32_t>(procs), memory_order_relaxed);
        sched.m_count = static_cast<std::uint32_t>(threads);
        for (std::uint32_t i = 0; i < ps_.size(); ++i) {
            P& p = ps_[i];
            p.id = i;
            p.random = i + 1;
            p.runq.set_sharing(procs > 1 ? sharing::fenced : sharing::alone);
            sched.all_ps[i].store(&p, memory_order_relaxed);
        }
        lock_guard held(sched.mu);
        for (std::size_t i = ps_.size(); i-- > 0;) idle_p_put(&ps_[i]);
    }
    void work_on(int thread) override {
        M* m = &ms_[static_cast<std::size_t>(thread)];
        for (;;) {
            bool inherit = false;
            G* g = schedule(m, &inherit);
            if (g == nullptr) return;
            what_(static_cast<int>(g - gs_.data()), thread);
        }
    }
    void publish_next(int item, int thread) override { publish(item, thread, true); }
    void publish_last(int item, int thread) override { publish(item, thread, false); }
    void publish_from_outside(int item) override {
        {
            lock_guard held(sched.mu);
            global_put(&gs_[static_cast<std::size_t>(item)]);
        }
        vole::detail::wake();
    }
    void runs(std::function<void(int, int)> f) override { what_ = std::move(f); }
    int asleep() override {
        lock_guard held(sched.mu);
        return static_cast<int>(sched.idle_m_count);
    }
    void end_one() override {
        sleeper s{nullptr, false};
        {
            lock_guard held(sched.mu);
            P* p = idle_p_get();
            if (p == nullptr) fail("all threads sleep, and a P is nobody's");
            s = idle_m_take(p);
            s.m->exiting = true;
        }
        s.wake();
    }

  private:
    void publish(int item, int thread, bool next) {
        P* p = ms_[static_cast<std::size_t>(thread)].p;
        run_queue_put(p, &gs_[static_cast<std::size_t>(item)], next);
        if (next) {
            wake_for_next(p);
        } else {
            vole::detail::wake();
        }
    }

    std::vector<P> ps_;
    std::vector<M> ms_;
    std::vector<G> gs_;
    std::function<void(int, int)> what_;
};

}  // namespace

std::unique_ptr<machine_unit> make_machine(int procs, int threads) {
    return std::make_unique<machine>(procs, threads);
}

}  // namespace weak_memory
