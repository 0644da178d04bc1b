// sysmon's eye on time slices: who is asked to give way, by what means, and when.
//
//   slice   2 ms   blocked in the kernel, and others wait: detached
//          10 ms   asked: attend_preempt, answered at the next entry; if others wait, also a signal,
//                  sent again in every round until the slice ends
//          20 ms   others wait and no signal has found a safe point: detached
//
// When all that waits is frozen itself, or likely to be, signal and detachment come 10 ms later: such a
// hand-over is one of threads, and its price is best paid less often.
//
// A slice is a value of P::sched_tick; goroutines that hand it on by runnext share it. Its beginning is
// known to within a round of sysmon: 5 ms, 2.5 ms while others wait. That of a goroutine that had been
// frozen is known exactly (P::resumed_at).
//
// Stack: sysmon's, except ask_to_yield. Lock: none.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::int64_t blocked_after_ns = 2'000'000;
constexpr std::int64_t resend_ns = 1'000'000;
constexpr std::int64_t detached_slice_ns = 5'000'000;  // of CPU time, before it is signalled

// The clock of a thread's CPU time by its number, as the kernel encodes it; -1: no such thread.
std::int64_t cpu_time(int tid) noexcept {
    const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3) | 6u);
    timespec t{};
    if (clock_gettime(clock, &t) != 0) return -1;
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// The letter in /proc/self/task/TID/stat: R, S, D, ...; 0 when it cannot be had. Opened each time: a
// descriptor for each thread would be taken out of the program's own limit.
char thread_state(int tid) noexcept {
    message path;
    path << "/proc/self/task/" << static_cast<std::uint64_t>(tid) << "/stat";
    const int fd = os::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    char text[128];
    const ssize_t n = os::read(fd, text, sizeof(text) - 1);
    os::close(fd);
    if (n <= 0) return 0;
    text[n] = '\0';
    const char* bracket = std::strrchr(text, ')');
    return bracket != nullptr && bracket[1] == ' ' ? bracket[2] : '\0';
}

// Off the CPU of its own will: it has hardly run since the last look, and the kernel says it sleeps. One
// that waits for a CPU on a busy machine is R.
bool is_blocked(const M* m, std::int64_t ran, std::int64_t window) noexcept {
    if (ran < 0 || ran >= window / 10) return false;
    const char state = thread_state(m->tid.load(memory_order_relaxed));
    return state == 'S' || state == 'D' || (state == 0 && ran == 0);
}

bool others_wait(const P* p) noexcept {
    return !p->runq.empty_hint() || sched.global_size.load(memory_order_relaxed) != 0 ||
           sched.stopping.load(memory_order_relaxed) || timers_due(p);
}

// A thread that can go on with the P: the handler cannot make one.
void keep_spare_thread() noexcept {
    bool none = false;
    {
        lock_guard held(sched.mu);
        none = sched.idle_ms == nullptr && frozen_threads() < preempt_settings.max_frozen;
    }
    if (none) new_m(nullptr, false);
}

void look_whether_blocked(P* p, M* m, std::int64_t now) noexcept {
    slice_notes& s = p->slice;
    const std::int64_t window = now - s.cpu_when;
    if (s.cpu >= 0 && window < blocked_after_ns / 2) return;
    const std::int64_t cpu = cpu_time(m->tid.load(memory_order_relaxed));
    const std::int64_t before = s.cpu;
    s.cpu = cpu;
    s.cpu_when = now;
    if (before < 0) return;
    if (is_blocked(m, cpu - before, window)) detach(p, detach_reason::blocked);
}

VOLE_NO_TSAN void request(P* p, M* m) noexcept {
    p->slice.asked = true;
    ask_to_yield(p);
    tell({.kind = preempt_event::what::request,
          .goroutine = m->curg != nullptr ? m->curg->id : 0,
          .tid = m->tid.load(memory_order_relaxed)});
}

}  // namespace

bool looks_running(const M* m) noexcept {
    return thread_state(m->tid.load(memory_order_relaxed)) == 'R';
}

void ask_to_yield(P* p) noexcept {
    // A guess: the thread may have given the P on. Then some other goroutine gives way a little early.
    M* m = p->m.load(memory_order_acquire);
    if (m == nullptr) return;
    const std::uint32_t before = m->attention.fetch_or(attend_preempt, memory_order_relaxed);
    release_mode.fetch_or(release_attention, memory_order_relaxed);  // sysmon takes it back
    if ((before & attend_preempt) == 0) count_up(preempt_total.requests);
}

VOLE_NO_TSAN bool watch_slice(P* p, std::int64_t now) noexcept {
    slice_notes& s = p->slice;
    const std::uint32_t tick = p->sched_tick.load(memory_order_relaxed);
    const bool others = others_wait(p);
    M* m = p->m.load(memory_order_acquire);
    if (s.tick != tick || s.when == 0 || m == nullptr) {
        const std::int64_t known = p->resumed_at.load(memory_order_relaxed);
        s = {.tick = tick, .when = now - known < slice_ns ? known : now};
        return others;
    }
    const std::int64_t lasted = now - s.when;
    if (others && lasted >= blocked_after_ns) look_whether_blocked(p, m, now);
    if (lasted < slice_ns) return others;
    if (!s.asked) request(p, m);
    if (!others) return false;
    const std::int64_t patience = only_hogs_wait_for(p) ? 2 * slice_ns : slice_ns;
    if (lasted < patience) return true;
    if (signals_on() && now - s.last_signal >= resend_ns) {
        s.last_signal = now;
        keep_spare_thread();
        // The bit is taken back when a goroutine begins its turn or answers: what is asked for is still
        // wanted while the slice lasts.
        m->attention.fetch_or(attend_preempt, memory_order_relaxed);
        send_preempt_signal(m);
    }
    if (lasted >= patience + slice_ns) detach(p, detach_reason::running);
    return true;
}

VOLE_NO_TSAN bool watch_detached(std::int64_t now) noexcept {
    if (detached_threads() == 0) return false;
    bool any = false;
    for (M* m = sched.all_ms.load(memory_order_acquire); m != nullptr; m = m->all) {
        const std::int64_t since = m->detached_since.load(memory_order_relaxed);
        if (since == 0) continue;
        any = true;
        const std::int64_t cpu = cpu_time(m->tid.load(memory_order_relaxed));
        if (m->detached_seen != since) {
            m->detached_seen = since;
            m->detached_cpu = cpu;
        }
        if (cpu - m->detached_cpu < detached_slice_ns || !signals_on()) continue;
        m->detached_cpu = cpu;
        send_preempt_signal(m);
    }
    static constinit std::int64_t last_check = 0;
    if (signals_on() && now - last_check >= 100'000'000) {
        last_check = now;
        check_preempt_handler();
    }
    return any;
}

}  // namespace vole::detail
