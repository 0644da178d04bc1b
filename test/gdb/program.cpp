// What gdb looks at: goroutines in every state there is, and where they are known to be when the program
// calls gdb_stop(), or ends by abort().
//
//     program kinds [abort|wait]     one of each, on one P
//     program crowd N [abort]        N goroutines, of which all but three wait on one channel
//     program frozen                 two goroutines that compute, one of them stopped by a signal
//
// The names are those of the goroutines. What they wait on is told on stdout: "NAME 0xADDRESS".
#include <vole/vole.hpp>

#include "runtime/src/sched/sched.hpp"
#include "test/support/wait.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>
#include <unistd.h>

// Nothing of these may be a tail call, or inlined: gdb is to see them.
extern "C" {
[[gnu::noinline]] void gdb_stop() { asm volatile(""); }

[[gnu::noinline]] void receives(const vole::chan<int>& c) {
    c.recv();
    asm volatile("");
}
[[gnu::noinline]] void receives_deeper(const vole::chan<int>& c, int depth) {
    if (depth > 0) {
        receives_deeper(c, depth - 1);
    } else {
        receives(c);
    }
    asm volatile("");
}
[[gnu::noinline]] void sends(const vole::chan<int>& c) {
    c.send(1);
    asm volatile("");
}
[[gnu::noinline]] void selects(const vole::chan<int>& a, const vole::chan<int>& b) {
    vole::select(vole::on_recv(a, [](auto&&) {}), vole::on_recv(vole::chan<int>(), [](auto&&) {}),
                 vole::on_send(b, 1, [] {}));
    asm volatile("");
}
[[gnu::noinline]] void locks(vole::mutex& m) {
    m.lock();
    asm volatile("");
}
[[gnu::noinline]] void reads(int fd) {
    char byte;
    [[maybe_unused]] const auto n = ::read(fd, &byte, 1);
    asm volatile("");
}
[[gnu::noinline]] void computes() {
    for (;;) asm volatile("");
    asm volatile("");
}
[[gnu::noinline]] void computes_deeper() {
    computes();
    asm volatile("");
}
[[gnu::noinline]] void never_begins() { asm volatile(""); }
}

namespace {

using vole::test::wait_asleep;
using vole::test::wait_until;

std::string_view how_to_end;

template <class T>
const void* address(const vole::chan<T>& c) {
    const void* at = nullptr;
    static_assert(sizeof(c) == sizeof(at));
    std::memcpy(&at, &c, sizeof(at));
    return at;
}
void tell(const char* name, const void* at) { std::printf("%s %p\n", name, at); }

void end() {
    std::printf("ready\n");
    std::fflush(stdout);
    if (how_to_end == "abort") std::abort();
    if (how_to_end == "wait") reads(STDIN_FILENO);
    gdb_stop();
    std::_Exit(0);
}

std::size_t waiting() {
    using namespace vole::detail;
    std::size_t n = 0;
    for_each_g(
        [](G* g, void* sum) {
            *static_cast<std::size_t*>(sum) +=
                g->status.load(memory_order_acquire) == g_status::waiting ? 1u : 0u;
        },
        &n);
    return n;
}

vole::mutex the_mutex;

void one_of_each() {
    using vole::go;
    auto a = vole::make_chan<int>();
    auto b = vole::make_chan<int>();
    int pipe_ends[2];
    if (::pipe(pipe_ends) != 0) std::abort();
    std::atomic<int> blocked_thread{0};
    the_mutex.lock();
    go({.name = "receiver"}, [a] { receives_deeper(a, 2); });
    vole::with_labels({{"tenant", "ann"}, {"route", "/send"}},
                      [&] { go({.name = "sender"}, [b] { sends(b); }); });
    go({.name = "selector"}, [=] { selects(a, b); });
    go({.name = "locker"}, [] { locks(the_mutex); });
    go({.name = "forgotten"}, [] { receives(vole::chan<int>()); });
    go({.name = "owner"}, [a] {
        vole::lock_os_thread();
        receives(a);
    });
    go({.name = "blocker"}, [&] {
        vole::blocking([&] {
            blocked_thread = vole::test::thread_id();
            reads(pipe_ends[0]);
        });
    });
    wait_until([&] { return waiting() == 6 && blocked_thread != 0; }, "everybody to wait");
    wait_asleep(blocked_thread);
    tell("receiver", address(a));
    tell("sender", address(b));
    tell("locker", &the_mutex);
    go({.name = "fresh"}, never_begins);
    end();
}

void crowd(std::size_t n) {
    auto common = vole::make_chan<int>();
    auto other = vole::make_chan<int>();
    for (std::size_t i = 0; i < n; ++i) {
        const auto start = [&] {
            vole::go([c = i % (n / 3) == 1 ? other : common, depth = i == 7 ? 1 : 0] {
                receives_deeper(c, depth);
            });
        };
        if (i == 9 || i == 11) {
            vole::with_labels({{"tenant", "ann"}}, start);
        } else {
            start();
        }
    }
    wait_until([&] { return waiting() == n; }, "everybody to wait");
    tell("common", address(common));
    tell("other", address(other));
    end();
}

void two_that_compute() {
    std::thread observer([] {
        // One P: from the first preemption on, one of the two is frozen at any time.
        while (vole::read_stats().preempt.frozen == 0) std::this_thread::yield();
        end();
    });
    vole::wait_group all;
    all.go(computes_deeper);
    all.go(computes_deeper);
    all.wait();
    observer.join();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    const vole::options one_p{.max_procs = 1};
    if (what == "kinds") {
        how_to_end = argc > 2 ? argv[2] : "";
        vole::run(one_p, one_of_each);
    } else if (what == "crowd" && argc > 2) {
        how_to_end = argc > 3 ? argv[3] : "";
        vole::run(one_p, [n = std::strtoul(argv[2], nullptr, 10)] { crowd(n); });
    } else if (what == "frozen") {
        vole::run(one_p, two_that_compute);
    }
    return 2;
}
