// What the panic tests share.
#pragma once

#include <catch2/catch.hpp>

#include <vole/vole.hpp>

#include "test/support/scale.hpp"
#include "test/support/subprocess.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace vole::test {

// What tracebacks of this build can show.
#if defined(VOLE_HAVE_BACKTRACE)
inline constexpr bool has_lines = true;
#else
inline constexpr bool has_lines = false;
#endif
#if defined(VOLE_HAVE_LIBUNWIND) || defined(__aarch64__)
inline constexpr bool walks_parked = true;
#else
inline constexpr bool walks_parked = false;
#endif

/// Events, in order.
class log {
  public:
    void operator()(std::string what) { events_.push_back(std::move(what)); }
    std::string text() const {
        std::string all;
        for (const std::string& e : events_) all += (all.empty() ? "" : " ") + e;
        return all;
    }

  private:
    std::vector<std::string> events_;
};

/// What recover() gives, as text; "nothing" if there is none.
inline std::string recovered() {
    const auto p = recover();
    return p ? p->what() : "nothing";
}

/// Runs f in a goroutine of its own, from another one, and waits for its end.
template <class F>
void in_goroutine(F f) {
    run([&] {
        wait_group w;
        w.go([&] { f(); });
        w.wait();
    });
}

/// The panic handler for a scope.
class handler_scope {
  public:
    explicit handler_scope(panic_handler h) : before_(set_panic_handler(std::move(h))) {}
    ~handler_scope() { set_panic_handler(std::move(before_)); }
    handler_scope(const handler_scope&) = delete;
    handler_scope& operator=(const handler_scope&) = delete;

  private:
    panic_handler before_;
};

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
// It was there first: it is called, and ends the process.
constexpr bool sanitizer_takes_faults = true;
#else
constexpr bool sanitizer_takes_faults = false;
#endif

/// The process has been ended by a fault that was not thrown, after a report.
inline void check_fault_was_fatal(const subprocess_result& r, int signal, const std::string& told) {
    INFO(r.text());
    if (sanitizer_takes_faults) {
        CHECK_THAT(r.err, Catch::Contains("Sanitizer: "));
        return;
    }
    CHECK(r.signal == signal);
    CHECK_THAT(r.err, Catch::Contains("fatal error: unexpected signal\n[signal " + told));
    CHECK_THAT(r.err, Catch::Contains("\n\ngoroutine ") && Catch::Contains(" [running]:\n"));
}

/// The lines of text up to the first empty one.
inline std::string head_of(const std::string& text) {
    return text.substr(0, text.find("\n\n") + 1);
}

}  // namespace vole::test
