// What the tests of the scheduler and of the locks share.
//
// Catch2's assertions are not thread-safe: goroutines collect what they saw, the test case compares after
// run() has returned. No test sleeps in the hope that something has happened by then: wait_until() asks
// until it has, and stays() asks a fixed number of rounds whether something does not happen.
#pragma once

#include <vole/runtime.hpp>

#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace vole::test {

/// Whether pred() holds for `rounds` turns given to others.
template <class Pred>
bool stays(Pred pred, int rounds = 200) {
    for (int i = 0; i < rounds; ++i) {
        if (!pred()) return false;
        vole::gosched();
    }
    return pred();
}

/// What f() answers, asked again up to five times until it is `expected`. For orders that hold unless the
/// system takes the only running thread off its CPU for a whole time slice in the middle.
template <class F, class T>
T settled(F f, const T& expected) {
    T got = f();
    for (int i = 1; i < 5 && got != expected; ++i) got = f();
    return got;
}

/// Whether all goroutines but `allowed` are gone: the check against leaks at the end of a test.
inline bool only_left(std::size_t allowed) {
    return wait_until([&] { return vole::num_goroutine() <= allowed; });
}

/// What write_traceback says about all goroutines.
inline std::string traceback(vole::traceback_scope scope = vole::traceback_scope::all) {
    const int fd = ::memfd_create("traceback", MFD_CLOEXEC);
    if (fd < 0) return {};
    vole::write_traceback(fd, scope);
    std::string text;
    char buffer[4096];
    ::lseek(fd, 0, SEEK_SET);
    for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
        text.append(buffer, static_cast<std::size_t>(n));
    }
    ::close(fd);
    return text;
}

/// The state of a goroutine as tracebacks show it, "chan receive" for instance; empty if it is not shown.
inline std::string state_of(std::uint64_t id) {
    const std::string all = traceback();
    const std::string start = "goroutine " + std::to_string(id) + " ";
    for (std::size_t at = 0; at < all.size();) {
        std::size_t end = all.find('\n', at);
        if (end == std::string::npos) end = all.size();
        const std::string line = all.substr(at, end - at);
        at = end + 1;
        if (line.rfind(start, 0) != 0) continue;
        const std::size_t open = line.find('[');
        const std::size_t close = line.find_first_of(",]", open);
        if (open == std::string::npos || close == std::string::npos) return {};
        return line.substr(open + 1, close - open - 1);
    }
    return {};
}

/// Whether a goroutine is parked, and stays so when looked at once more.
inline bool parked_as(std::uint64_t id, const std::string& state) {
    return wait_until([&] { return state_of(id) == state; });
}

}  // namespace vole::test
