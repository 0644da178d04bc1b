// Waiting for a state without sleeping for it, and running a test body on a given number of Ps.
//
// Two ways to know that a goroutine has parked, as nothing public says so:
// - on one P, settle(): whoever could run has run until it blocked;
// - on several, ask for something that only a parked partner makes true (try_send on an unbuffered
//   channel, say), or look at the traceback.
// Everything here runs on a goroutine or on an ordinary thread.
#pragma once

#include <vole/runtime.hpp>

#include "test/support/scale.hpp"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <thread>
#include <type_traits>
#include <unistd.h>
#include <utility>

namespace vole::test {

/// Where a helper was called. (clang 14 knows the built-ins, but not std::source_location.)
struct place {
    const char* file;
    int line;
};
constexpr place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
}

/// Says what hangs and where everybody is, and ends the process: what goes on after a hang works on
/// frames that other goroutines still refer to.
[[noreturn]] inline void give_up(const char* what, place where) {
    std::fprintf(stderr, "%s:%d: gave up after %lld s waiting for: %s\n", where.file, where.line,
                 static_cast<long long>(patience().count()), what);
    std::fflush(stderr);
    vole::write_traceback(STDERR_FILENO, vole::traceback_scope::all);
    std::abort();
}

/// Lets others run until pred() holds, and gives true: usable in CHECK. After patience() it reports
/// `what` and aborts.
template <class Pred>
bool wait_until(Pred pred, const char* what = "a condition", place where = here()) {
    using clock = std::chrono::steady_clock;
    const auto end = clock::now() + patience();
    for (std::uint64_t round = 1; !pred(); ++round) {
        vole::gosched();
        // Gives the CPU away too, now and then: the partner may be a thread without one.
        if (round % 16 == 0) std::this_thread::yield();
        if (round % 64 == 0 && clock::now() > end) give_up(what, where);
    }
    return true;
}

/// On one P: gives everybody else enough turns to run until they block. On several Ps it only makes
/// that likely: there it may sharpen a test, never decide it.
inline void settle(int turns = 50) {
    for (int i = 0; i < turns; ++i) vole::gosched();
}

/// Sets the number of Ps for a scope.
class procs_scope {
  public:
    explicit procs_scope(int n) : before_(vole::gomaxprocs(n)) {}
    ~procs_scope() { vole::gomaxprocs(before_); }
    procs_scope(const procs_scope&) = delete;
    procs_scope& operator=(const procs_scope&) = delete;

  private:
    int before_;
};

/// Runs f as the main goroutine on `procs` Ps and gives its result. Afterwards waits until the goroutines
/// that f started are gone: none may reach into the next test.
template <class F>
auto run_on(int procs, F&& f, place where = here()) -> std::invoke_result_t<F> {
    struct no_leftovers {
        std::size_t before;
        place where;
        ~no_leftovers() {
            wait_until([&] { return vole::num_goroutine() <= before; },
                       "the test's goroutines to end", where);
        }
    };
    procs_scope scope(procs);
    no_leftovers check{vole::num_goroutine(), where};
    return vole::run(std::forward<F>(f));
}

/// Kernel's id of the calling thread, for wait_asleep.
inline int thread_id() { return static_cast<int>(::gettid()); }

/// Waits until another thread sleeps in the kernel and goes on sleeping: the only sign of a thread that
/// is parked in one of our operations. `tid` must be about to call it, with no other reason to block.
inline void wait_asleep(int tid, place where = here()) {
    const std::string path = "/proc/self/task/" + std::to_string(tid) + "/stat";
    const auto sleeping = [&] {
        char text[512];
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return false;
        const ssize_t n = ::read(fd, text, sizeof text - 1);
        ::close(fd);
        if (n <= 0) return false;
        const std::string line(text, static_cast<std::size_t>(n));
        const std::size_t paren = line.rfind(')');  // the name may hold anything
        return paren != std::string::npos && paren + 2 < line.size() && line[paren + 2] == 'S';
    };
    int in_a_row = 0;
    wait_until(
        [&] {
            in_a_row = sleeping() ? in_a_row + 1 : 0;
            return in_a_row >= 100;
        },
        "a thread to block", where);
}

}  // namespace vole::test
