// Goroutines, stacks, threads, panics, tracebacks.
#include "test/faults/program.hpp"

#include <vole/coro.hpp>
#include <vole/iter.hpp>
#include <vole/panic.hpp>
#include <vole/stack.hpp>

#include <array>
#include <atomic>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace vole::faults {
namespace {

void many_goroutines() {
    team all;
    std::atomic<int> ran{0};
    for (int i = 0; i < 300; ++i) all.go([&] { ++ran; });
    all.wait();
    must(ran == 300, "each goroutine runs once");
}

void large_closures() {
    wait_group all;
    std::atomic<int> sum{0};
    std::array<int, 300> large{};
    large.fill(1);
    for (int i = 0; i < 4; ++i) {
        all.add(1);
        try {
            vole::go({.name = "a name that is longer than fits into a goroutine's own memory"},
                     [large, &sum, &all] {
                         sum += large[7];
                         all.done();
                     });
        } catch (...) {
            all.done();
            all.wait();
            throw;
        }
    }
    all.wait();
    must(sum == 4, "each large closure arrives");
}

// Each as large as no other, so that they are not cached.
void own_stacks() {
    for (const std::size_t kib : {64U, 1024U, 3000U}) {
        auto done = make_chan<void>(1);
        vole::go({.stack = stack_policy::reserved(kib * 1024)}, [done] { done.send(); });
        done.recv();
    }
}

void borrowed_stack() {
    int n = 0;
    stack::ensure(900 * 1024, [&] { n = 1; });
    must(n == 1, "what needs room gets it");
}

// All have to be inside at once: a thread each.
void several_threads() {
    team all;
    std::atomic<int> inside{0};
    const auto enter = [&] {
        blocking([&] {
            ++inside;
            inside.notify_all();
            for (int n = inside; n < 4; n = inside) inside.wait(n);
        });
    };
    try {
        for (int i = 0; i < 4; ++i) all.go(enter);
    } catch (...) {
        inside = 4;
        inside.notify_all();
        throw;
    }
    all.wait();
}

void threads_of_goroutines() {
    team all;
    for (int i = 0; i < 3; ++i) {
        all.go([] {
            lock_os_thread();
            gosched();
            unlock_os_thread();
        });
    }
    all.wait();
}

void more_and_less_procs() {
    for (const int n : {1, 3, 2}) gomaxprocs(n);
}

void panics() {
    const int r = recovering<int>([](int& result) {
        const defer d([&] {
            if (auto p = recover()) result = 7;
        });
        panic(std::string("a text that is not a short one, so it needs memory of its own"));
    });
    must(r == 7, "a panic is recovered");
}

void tracebacks() {
    const int fd = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    write_traceback(fd, traceback_scope::all);
    ::close(fd);
    (void)read_stats();
}

// On one P: who computes is stopped, or this never goes on.
void preemption() {
    const int before = gomaxprocs(1);
    std::atomic<bool> seen{false};
    team all;
    try {
        all.go([&] {
            while (!seen) {
            }
        });
    } catch (...) {
        gomaxprocs(before);
        throw;
    }
    gosched();
    seen = true;
    all.wait();
    gomaxprocs(before);
}

void coroutines() {
    auto numbers = iter::pull<int>([](auto& yield) {
        for (int i = 0; i < 5 && yield(i); ++i) {
        }
    });
    int sum = 0;
    while (auto n = numbers.next()) sum += *n;
    must(sum == 10, "a coroutine gives each number once");
}

}  // namespace

void runtime_steps() {
    step("many goroutines", many_goroutines);
    step("large closures", large_closures);
    step("own stacks", own_stacks);
    step("borrowed stack", borrowed_stack);
    step("several threads", several_threads);
    step("threads of goroutines", threads_of_goroutines);
    step("more and less Ps", more_and_less_procs);
    step("panics", panics);
    step("tracebacks", tracebacks);
    step("preemption", preemption);
    step("coroutines", coroutines);
}

}  // namespace vole::faults
