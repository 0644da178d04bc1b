// A goroutine on a stack of several segments, for gdb to look at when gdb_stop() is called.
#include <vole/vole.hpp>

#include "test/support/wait.hpp"

#include <cstdlib>

extern "C" {
[[gnu::noinline]] void gdb_stop() { asm volatile(""); }

[[gnu::noinline]] int receives_deeper(const vole::chan<int>& c, int depth) {
    char pad[64];
    asm volatile("" : : "r"(pad) : "memory");
    const int below = depth > 0 ? receives_deeper(c, depth - 1) : c.recv().value_or(0);
    asm volatile("" : : "r"(pad) : "memory");
    return below + 1;
}
}

int main() {
    vole::run({.max_procs = 1}, [] {
        auto c = vole::make_chan<int>();
        vole::go({.name = "grown", .stack = vole::stack_policy::dense(2048)},
                 [c] { receives_deeper(c, 60); });
        vole::test::wait_until([&] { return vole::read_stats().stack_growths != 0; }, "growth");
        vole::test::settle();
        gdb_stop();
        std::_Exit(0);
    });
}
