// How threads look for work, sleep, are woken, and lose their Ps, over the model of memory: units.hpp. What runs is the test's;
// there is no time, no poller, no stack, no signal, no other thread to be had. A goroutine that comes back and finds no P waits on
// its thread, as on the system stack: there is no stack to leave it on.
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/membarrier.hpp"
#include "runtime/src/os/permanent.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/sched/status.hpp"
#include "runtime/src/trace/record.hpp"
#include "test/explore/weak/units.hpp"

#include <algorithm>
#include <map>
#include <new>
#include <stdexcept>
#include <vector>

namespace weak_memory {

namespace {

using namespace vole::detail;

constexpr std::size_t most_threads = 16;
M* ms_of_threads[most_threads];
vole::detail::atomic<std::uint32_t> depths[most_threads];
std::map<const void*, int> futex_waiters;

}  // namespace

}  // namespace weak_memory

namespace vole::inline v0::detail {

constinit scheduler sched;
constinit bool lock_ranks_checked = false;
constinit atomic<bool> recording_is_on{false};
constinit preempt_totals preempt_total;
constinit bool preempt_is_told = false;

void record_p_slow(record_kind, const P*, const M*, const G*) noexcept {}
void record_status_slow(const G*, g_status, g_status) noexcept {}
void bad_transition(const G*, g_status, g_status) noexcept {
    weak_memory::fail("a goroutine in two places");
}
void tell_slow(const preempt_event&) noexcept {}
bool may_park() noexcept { return false; }
void give_way_globally(M*, G*) noexcept { weak_memory::fail("nobody gives way here"); }
void switch_out(M*, G*, park_commit, void*) noexcept {
    weak_memory::fail("nobody leaves a stack here");
}
void spin_or_yield(int) noexcept { weak_memory::yield(); }
void ask_to_yield(P*) noexcept {}
bool send_preempt_signal(M*) noexcept { return false; }
bool signals_on() noexcept { return false; }
void* permanent_alloc(std::size_t, std::size_t) noexcept { return nullptr; }
void prepare_ring(std::uint32_t) noexcept {}
void retire_timers(std::uint32_t) noexcept {}
void drain_caches(P*) noexcept {}
bool timers_due(const P*) noexcept { return false; }
void fatal(const char* text, const char*) noexcept { weak_memory::fail(text); }
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
std::int64_t nanotime() noexcept { return 0; }
// Without its time limit: whoever waits has to be woken.
void futex_wait(const atomic<std::uint32_t>* at, std::uint32_t expected, std::int64_t) noexcept {
    // What the kernel sees is the newest.
    auto* cell = const_cast<atomic<std::uint32_t>*>(at);
    if (cell->fetch_add(0, memory_order_relaxed) != expected) return;
    ++weak_memory::futex_waiters[at];
    weak_memory::sleep(at);
}
void futex_wake(const atomic<std::uint32_t>* at, int) noexcept {
    if (weak_memory::futex_waiters[at] == 0) return;
    --weak_memory::futex_waiters[at];
    weak_memory::wake(at);
}

}  // namespace vole::inline v0::detail

// A thief waits for whoever owns what it has seen.
extern "C" int modelled_nanosleep(const timespec*, timespec*) {
    weak_memory::yield();
    return 0;
}

void* vole::arch::modelled_port::current_m() noexcept {
    return weak_memory::ms_of_threads[weak_memory::thread_number()];
}
void* vole::arch::modelled_port::runtime_depth() noexcept {
    return &weak_memory::depths[weak_memory::thread_number()];
}

namespace weak_memory {

namespace {

class machine final : public machine_unit {
  public:
    machine(int procs, int threads)
        : ps_(static_cast<std::size_t>(procs)), ms_(static_cast<std::size_t>(threads)), gs_(items),
          used_(ps_.size()) {
        std::ranges::fill(ms_of_threads, nullptr);
        futex_waiters.clear();
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
        m->on_system_stack = true;  // see above
        ms_of_threads[thread_number()] = m;
        runtime_depth()->store(1, memory_order_relaxed);  // it begins in the scheduler
        {
            lock_guard held(sched.mu);
            m->depth = runtime_depth();
        }
        for (;;) {
            bool inherit = false;
            G* g = schedule(m, &inherit);
            if (g == nullptr) break;
            run(m, g, thread);
        }
        lock_guard held(sched.mu);
        m->depth = nullptr;
    }
    void publish_next(int item, int thread) override { publish(item, thread, true); }
    void publish_last(int item, int thread) override { publish(item, thread, false); }
    void publish_from_outside(int item) override {
        G* g = to_g(item);
        set_status(g, g_status::idle, g_status::runnable);
        {
            lock_guard held(sched.mu);
            global_put(g);
        }
        vole::detail::wake();
    }
    void runs(std::function<void(int, int)> f) override { what_ = std::move(f); }
    int asleep() override {
        lock_guard held(sched.mu);
        return static_cast<int>(sched.idle_m_count + sched.locked_m_idle);
    }
    void enter() override {
        const runtime_entry entry;
        const P* p = current_m()->p;
        use(p);
        yield();
        use(p);
    }
    void call_system(const std::function<void()>& during) override {
        enter_syscall();
        during();
        leave_syscall();
        enter();
    }
    void retake() override {
        for (P& p : ps_) {
            if (p.status.load(memory_order_acquire) != p_status::syscall) continue;
            // Of two rounds; in the second it has lasted for long.
            vole::detail::retake(&p, 0);
            vole::detail::retake(&p, 1'000'000'000);
        }
    }
    void detach() override {
        for (P& p : ps_) {
            if (p.status.load(memory_order_acquire) != p_status::running) continue;
            vole::detail::detach(&p, detach_reason::running);
        }
    }
    void stop_and_start() override {
        stop_the_world();
        for (P& p : ps_) {
            if (p.status.load(memory_order_relaxed) != p_status::stopped) fail("a P goes on");
            use(&p);
        }
        start_the_world(static_cast<std::uint32_t>(ps_.size()));
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
    G* to_g(int item) { return &gs_[static_cast<std::size_t>(item)]; }
    // What a P's thread does to it, without any atomic.
    void use(const P* p) {
        if (p == nullptr) throw std::logic_error("a goroutine without a P");
        plain& cell = used_[p->id];
        cell.write(cell.read() + 1);
    }
    void run(M* m, G* g, int thread) {
        use(m->p);
        set_status(g, g_status::runnable, g_status::running);
        m->curg = g;
        count_out();
        what_(static_cast<int>(g - gs_.data()), thread);
        enter_for_the_last_time();
        use(m->p);
        m->curg = nullptr;
        set_status(g, g_status::running, g_status::dead);
    }
    void publish(int item, int thread, bool next) {
        const runtime_entry entry;
        P* p = ms_[static_cast<std::size_t>(thread)].p;
        G* g = to_g(item);
        set_status(g, g_status::idle, g_status::runnable);
        run_queue_put(p, g, next);
        if (next) {
            wake_for_next(p);
        } else {
            vole::detail::wake();
        }
    }

    std::vector<P> ps_;
    std::vector<M> ms_;
    std::vector<G> gs_;
    std::vector<plain> used_;
    std::function<void(int, int)> what_;
};

}  // namespace

std::unique_ptr<machine_unit> make_machine(int procs, int threads) {
    return std::make_unique<machine>(procs, threads);
}

}  // namespace weak_memory
