// What the tests of bubbles share.
//
// A bubble here has real_timeout = patience(): one that hangs ends the process and shows every goroutine.
// No test sleeps in real time. That virtual time stands still is never a matter of how long one looks: who was
// blocked finds the bubble's clock unchanged when it goes on.
#pragma once

#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/panic.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>
#include <vole/synctest.hpp>
#include <vole/time.hpp>

#include "test/support/findings.hpp"
#include "test/support/scale.hpp"
#include "test/support/stderr_capture.hpp"
#include "test/support/subprocess.hpp"
#include "test/support/wait.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace vole::test {

using namespace std::chrono_literals;

inline constexpr const char* all_blocked = "deadlock: all goroutines in bubble are blocked";
inline constexpr const char* main_exited =
    "deadlock: main bubble goroutine has exited but blocked goroutines remain";
inline constexpr const char* not_in_bubble = "goroutine is not in a bubble";

template <class F>
void bubble(F&& f) {
    synctest::test({.real_timeout = patience()}, std::forward<F>(f));
}
template <class F>
void bubble(std::uint64_t seed, F&& f) {
    synctest::test({.seed = seed, .real_timeout = patience()}, std::forward<F>(f));
}

constexpr std::int64_t ns(clock::duration d) { return d.count(); }

/// Time since it was made, by the caller's clock: the bubble's in a bubble.
class stopwatch {
  public:
    std::int64_t ns() const { return (clock::now() - start_).count(); }
    clock::time_point start() const { return start_; }

  private:
    clock::time_point start_ = clock::now();
};

/// The text of the runtime_error that f throws.
template <class F>
std::string error_of(F&& f) {
    try {
        f();
    } catch (const runtime_error& e) {
        return e.what();
    }
    return "no error";
}

/// Whether pred() holds for `rounds` turns given to others.
template <class Pred>
bool stays(Pred pred, int rounds = 500) {
    for (int i = 0; i < rounds; ++i) {
        if (!pred()) return false;
        gosched();
    }
    return pred();
}

/// The bubble's deadlock report: what test() threw, and what it wrote.
struct deadlock_report {
    std::string what = "no error";
    std::string err;
};
template <class F>
deadlock_report deadlock_of(F&& f) {
    deadlock_report r;
    const stderr_capture capture;
    r.what = error_of([&] { bubble(f); });
    r.err = capture.text();
    return r;
}

/// What write_traceback says about all goroutines.
inline std::string traceback() {
    const int fd = ::memfd_create("traceback", MFD_CLOEXEC);
    if (fd < 0) return {};
    write_traceback(fd, traceback_scope::all);
    std::string text;
    std::array<char, 4096> buffer;
    ::lseek(fd, 0, SEEK_SET);
    for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    ::close(fd);
    return text;
}

/// The lines "goroutine N [...]:" of a traceback; of one goroutine only, if an id is given.
inline std::vector<std::string> headers_in(const std::string& text, std::uint64_t id = 0) {
    const std::string start = "goroutine " + (id != 0 ? std::to_string(id) + " [" : "");
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        if (text.compare(at, start.size(), start) == 0) lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

/// "sleep (durable), synctest bubble 7" for instance; empty if the goroutine is not shown.
inline std::string brackets_of(std::uint64_t id) {
    const auto lines = headers_in(traceback(), id);
    if (lines.empty()) return {};
    const std::size_t open = lines[0].find('[');
    const std::size_t close = lines[0].find(']', open);
    if (close == std::string::npos) return {};
    return lines[0].substr(open + 1, close - open - 1);
}

/// The first part of it, "sleep (durable)".
inline std::string state_of(std::uint64_t id) {
    const std::string all = brackets_of(id);
    return all.substr(0, all.find(','));
}

/// Waits until a goroutine is in this state.
inline bool parked_as(std::uint64_t id, const std::string& state, place where = here()) {
    return wait_until([&] { return state_of(id) == state; }, state.c_str(), where);
}

/// Prints a line that the parent can look for even if the process ends right afterwards.
inline void say(const char* text) {
    std::printf("%s\n", text);
    std::fflush(stdout);
}

/// How often `part` occurs in `text`.
inline int count_of(const std::string& text, const std::string& part) {
    int n = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
        ++n;
    }
    return n;
}

/// f, which ends the process: nothing of it is unwound, and it does not come back.
template <class F>
void doomed(F&& f) {
    struct witness {
        ~witness() { say("unwound"); }
    };
    try {
        const witness w;
        f();
    } catch (...) {
        say("caught");
    }
    say("came back");
}

/// Runs a hidden case that must end with this fatal error; gives what it wrote to standard error.
inline std::string check_fatal(const std::string& name, const std::string& text,
                               std::vector<std::string> env = {}) {
    const auto r = run_case_in_subprocess(name, {.env = std::move(env)});
    INFO(r.text());
    CHECK(r.aborted());
    CHECK(count_of("\n" + r.err, "\nfatal error: ") == 1);
    CHECK(count_of("\n" + r.err, "\nfatal error: " + text + "\n") == 1);
    CHECK(r.out.find("unwound") == std::string::npos);
    CHECK(r.out.find("caught") == std::string::npos);
    CHECK(r.out.find("came back") == std::string::npos);
    return r.err;
}

/// How many goroutines there may be at once: TSan knows 8128 threads and fibers.
#if defined(VOLE_TSAN)
inline constexpr int most_goroutines = 2000;
#else
inline constexpr int most_goroutines = 1'000'000;
#endif

/// Calls f on an ordinary thread, outside of every bubble, and waits for its end.
template <class F>
void on_thread(F&& f) {
    std::thread t([&] { f(); });
    blocking([&] { t.join(); });
}

}  // namespace vole::test
