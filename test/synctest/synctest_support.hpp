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
#include "test/support/subprocess.hpp"
#include "test/support/wait.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
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

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
#include <sanitizer/common_interface_defs.h>
#endif

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

/// Everything that is written to standard error in its scope, by this process. When the process aborts meanwhile,
/// it does get there.
class stderr_capture {
  public:
    stderr_capture() : file_(::memfd_create("stderr", MFD_CLOEXEC)) {
        std::fflush(stderr);
        real = ::dup(STDERR_FILENO);
        held = file_;
        if (file_ < 0 || real < 0 || ::dup2(file_, STDERR_FILENO) < 0) {
            throw std::runtime_error("stderr cannot be captured");
        }
        struct sigaction action {};
        action.sa_handler = on_abort;
        sigemptyset(&action.sa_mask);
        action.sa_flags = SA_ONSTACK;
        ::sigaction(SIGABRT, &action, &before_);
        before_action = before_;
        sanitizer_reports_to(real);
    }
    ~stderr_capture() {
        sanitizer_reports_to(STDERR_FILENO);
        ::sigaction(SIGABRT, &before_, nullptr);
        ::dup2(real, STDERR_FILENO);
        ::close(real);
        ::close(file_);
    }
    stderr_capture(const stderr_capture&) = delete;
    stderr_capture& operator=(const stderr_capture&) = delete;

    std::string text() const {
        std::string all;
        std::array<char, 4096> buffer;
        off_t at = 0;
        for (ssize_t n = 0; (n = ::pread(file_, buffer.data(), buffer.size(), at)) > 0; at += n) {
            all.append(buffer.data(), static_cast<std::size_t>(n));
        }
        return all;
    }

  private:
    // They end the process without SIGABRT.
    static void sanitizer_reports_to([[maybe_unused]] int fd) {
#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
        __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
#endif
    }

    static void on_abort(int) {
        std::array<char, 4096> buffer;
        off_t at = 0;
        for (ssize_t n = 0; (n = ::pread(held, buffer.data(), buffer.size(), at)) > 0; at += n) {
            if (::write(real, buffer.data(), static_cast<std::size_t>(n)) < 0) break;
        }
        ::dup2(real, STDERR_FILENO);
        ::sigaction(SIGABRT, &before_action, nullptr);
        ::raise(SIGABRT);
    }

    // Of the one that exists: a signal handler has no other way to them.
    static inline int real = -1;
    static inline int held = -1;
    static inline struct sigaction before_action {};

    int file_;
    struct sigaction before_ {};
};

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
