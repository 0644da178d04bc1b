// A program with growing stacks: 10,000 goroutines that recurse to different depths, with what real
// code does on the way: strings, formatting, exceptions. Built for dense or for copying stacks; plain
// go() where these are the default. On a reserved stack nothing of it would grow.
#include <cstdio>
#include <stdexcept>
#include <string>

#include <vole/vole.hpp>

namespace {

int sum_to(int n) {
    const std::string text = std::to_string(n);
    char line[40];
    std::snprintf(line, sizeof line, "%s %f", text.c_str(), 0.5 * n);
    if (n == 0) throw std::runtime_error(line);
    try {
        return n + sum_to(n - 1);
    } catch (const std::runtime_error& end) {
        return n + std::stoi(end.what());
    }
}

[[maybe_unused]] vole::go_options growing() {
#ifdef VOLE_STACK_COPYING
    return {.name = {}, .stack = vole::stack_policy::copying()};
#else
    return {.name = {}, .stack = vole::stack_policy::dense()};
#endif
}

}  // namespace

int main() {
    constexpr int goroutines = 10000;
    const bool right = vole::run([] {
        auto results = vole::make_chan<bool>(64);
        for (int i = 0; i < goroutines; ++i) {
            auto body = [results, depth = 1 + i % 100]() mutable {
                results.send(sum_to(depth) == depth * (depth + 1) / 2);
            };
#if defined(VOLE_STACK_DEFAULT_DENSE) || defined(VOLE_STACK_DEFAULT_COPYING)
            vole::go(body);
#else
            vole::go(growing(), body);
#endif
        }
        bool all = true;
        for (int i = 0; i < goroutines; ++i) all = *results.recv() && all;
        return all;
    });
    std::printf("%s, %d growths\n", right ? "right" : "wrong",
                static_cast<int>(vole::read_stats().stack_growths));
    return right && vole::read_stats().stack_growths > 0 ? 0 : 1;
}
