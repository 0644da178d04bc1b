// Preemption, beside go/preempt.go: how long others wait for a goroutine that only computes, and what it
// costs to stop one. Each body is one run in a process of its own.
#include <vole/vole.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <ctime>
#include <sched.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "runtime/internal/futex.hpp"
#include "runtime/src/sched/sched.hpp"
#include "test/bench/harness.hpp"

namespace {

using namespace vole_bench;
namespace inside = vole::detail;

constexpr int wakes = 300;
constexpr int hogs_of_50_ms = 1000;

void spin(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
    }
}

double cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// ---- preempt_delay: one goroutine loops without a call for each P; another comes back from system calls
// of 7 to 11 ms and waits for its turn. One op: the 99th percentile of that wait, system call included.
// Counters: the same and the middle, in ms.

void preempt_delay(benchmark::State& state) {
    in_one_batch(state, [&state](count) {
        return vole::run([&state] {
            std::atomic<bool> stop{false};
            for (int i = 0; i < vole::gomaxprocs(); ++i) vole::go([&stop] { spin(stop); });
            std::vector<double> late;
            for (int i = 0; i < wakes; ++i) {
                const timespec nap{0, (7 + i % 5) * 1'000'000};
                const auto start = bench_clock::now();
                vole::blocking([&nap] { nanosleep(&nap, nullptr); });
                late.push_back(since(start) - static_cast<double>(nap.tv_nsec) * 1e-9);
            }
            stop = true;
            std::sort(late.begin(), late.end());
            state.counters["p50_ms"] = late[wakes / 2] * 1e3;
            state.counters["p99_ms"] = late[wakes * 99 / 100] * 1e3;
            return late[wakes * 99 / 100];
        });
    });
}

// ---- preempt_hogs: goroutines of 50 ms of computing each; a fifth of them on one P, to save time. One
// op: all of them. Counters: wall time of all Ps over CPU time, and threads.

std::uint64_t compute(count rounds) {
    std::uint64_t x = 1;
    for (count i = 0; i < rounds; ++i) x = work(x);
    return x;
}

count rounds_of_50_ms() {
    constexpr count sample = 2000;
    const double before = cpu_seconds();
    benchmark::DoNotOptimize(compute(sample));
    return static_cast<count>(0.05 * sample / (cpu_seconds() - before));
}

void preempt_hogs(benchmark::State& state) {
    in_one_batch(state, [&state](count) {
        return vole::run([&state] {
            const int procs = vole::gomaxprocs();
            const int n = procs == 1 ? hogs_of_50_ms / 5 : hogs_of_50_ms;
            const count rounds = rounds_of_50_ms();
            const double cpu = cpu_seconds();
            const auto start = bench_clock::now();
            vole::wait_group all;
            for (int i = 0; i < n; ++i) {
                all.go([rounds] { benchmark::DoNotOptimize(compute(rounds)); });
            }
            all.wait();
            const double wall = since(start);
            state.counters["wall_over_cpu"] = wall * procs / (cpu_seconds() - cpu);
            state.counters["threads"] = static_cast<double>(vole::read_stats().threads);
            return wall;
        });
    });
}

// ---- preempt_cost: two goroutines on one P, each sends itself the signal over and over, so that each is
// stopped while the other goes on. One op: one of these stops. Counters: what two threads need to hand a
// word to each other and sleep, once; and how much more than that a stop takes. All on one CPU: with two,
// both are mostly the time in which a halted one wakes up.

// The signal arrives when the call returns; in libc's syscall() it would be refused.
void signal_thread(long process, long thread) {
#if defined(__x86_64__)
    long result = SYS_tgkill;
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(process), "S"(thread), "d"(long{SIGURG})
                 : "rcx", "r11", "memory");
#else
    register long number asm("x8") = SYS_tgkill;
    register long first asm("x0") = process;
    register long second asm("x1") = thread;
    register long third asm("x2") = SIGURG;
    asm volatile("svc #0" : "+r"(first) : "r"(number), "r"(second), "r"(third) : "memory");
#endif
}

void ask_and_signal(long process) {
    inside::M* m = inside::current_m();
    m->attention.fetch_or(inside::attend_preempt);
    m->signal_sent.store(true);
    signal_thread(process, m->tid.load());
}

void stay_on_one_cpu() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0) wrong("preempt_cost: sched_setaffinity");
}

double hand_over_seconds(int n) {
    inside::atomic<std::uint32_t> turn{0};
    const auto play = [&turn, n](std::uint32_t me) {
        for (int i = 0; i < n; ++i) {
            while (turn.load() != me) inside::futex_wait(&turn, 1 - me);
            turn.store(1 - me);
            inside::futex_wake(&turn, 1);
        }
    };
    const auto start = bench_clock::now();
    std::thread other([&] { play(1); });
    play(0);
    other.join();
    return since(start) / (2.0 * n);
}

double stop_seconds(int n) {
    return vole::run({.max_procs = 1}, [n] {
        const long process = getpid();
        std::atomic<int> ready{0};
        vole::wait_group both;
        const auto before = vole::read_stats().preempt;
        const auto start = bench_clock::now();
        for (int k = 0; k < 2; ++k) {
            both.go([&ready, n, process] {
                ready.fetch_add(1);
                while (ready.load() != 2) vole::gosched();
                for (int i = 0; i < n; ++i) ask_and_signal(process);
            });
        }
        both.wait();
        const double seconds = since(start);
        const auto after = vole::read_stats().preempt;
        const auto stops = after.freezes + after.injections - before.freezes - before.injections;
        if (stops < static_cast<std::uint64_t>(n)) wrong("preempt_cost: hardly anything stopped");
        return seconds / static_cast<double>(stops);
    });
}

void preempt_cost(benchmark::State& state) {
    in_one_batch(state, [&state](count) {
        constexpr int n = 50'000;
        stay_on_one_cpu();
        const double hand_over = hand_over_seconds(n);
        const double stop = stop_seconds(n);
        state.counters["handoff_ns"] = hand_over * 1e9;
        state.counters["extra_ns"] = (stop - hand_over) * 1e9;
        return stop;
    });
}

// ---- preempt_injected: the same by an injected call, after which any thread may go on.

void preempt_injected(benchmark::State& state) {
    vole::preempt::configure({.preempt_migration = vole::preempt::migration::free});
    in_one_batch(state, [](count) { return stop_seconds(200'000); });
}

BENCHMARK(preempt_delay)->UseManualTime()->Iterations(1);
BENCHMARK(preempt_hogs)->UseManualTime()->Iterations(1);
BENCHMARK(preempt_cost)->UseManualTime()->Iterations(1);
BENCHMARK(preempt_injected)->UseManualTime()->Iterations(1);

}  // namespace
