// What planted races share: two goroutines, each begun by a function of its own, that do something at the same time, and
// the look at what TSan has said about it.
//
// What else would order the two must stay out: while one has not done its part, the other one may not enter the runtime,
// whose own locks and queues order more than they promise. So they wait for each other by relaxed counts, which order
// nothing; and each has its own P.
#pragma once

#include <vole/runtime.hpp>
#include <vole/wait_group.hpp>

#include "test/death/death_support.hpp"

#include <atomic>
#include <functional>
#include <string>
#include <thread>

namespace vole::test {

/// Of an atomic, with the order or without. (GCC does not tell TSan of those whose order is a variable.)
template <class T>
void store(std::atomic<T>& to, T value, bool with_order) {
    if (with_order) {
        to.store(value, std::memory_order_release);
    } else {
        to.store(value, std::memory_order_relaxed);
    }
}
template <class T>
T load(const std::atomic<T>& from, bool with_order) {
    return with_order ? from.load(std::memory_order_acquire) : from.load(std::memory_order_relaxed);
}

class both {
  public:
    /// Until the other one is here, too.
    void meet() {
        const int mine = here_.fetch_add(1, std::memory_order_relaxed);
        const int all = mine / 2 * 2 + 2;
        while (here_.load(std::memory_order_relaxed) < all) std::this_thread::yield();
    }
    /// What is done by these comes one after the other. (TSan may miss two accesses at the very same moment.)
    template <class F>
    void first(F f) {
        meet();
        f();
        meet();
        meet();
    }
    template <class F>
    void second(F f) {
        meet();
        meet();
        f();
        meet();
    }

  private:
    std::atomic<int> here_{0};
};

// The reports must name these two.
[[gnu::noinline]] inline void begin_first(std::function<void()> f) { vole::go(std::move(f)); }
constexpr int first_line = __LINE__ - 1;
[[gnu::noinline]] inline void begin_second(std::function<void()> f) { vole::go(std::move(f)); }

/// Runs both, and waits for them.
inline void run_both(const std::function<void()>& first, const std::function<void()>& second) {
    vole::gomaxprocs(4);
    vole::run([&] {
        vole::wait_group all;
        all.add(2);
        begin_first([&] {
            first();
            all.done();
        });
        begin_second([&] {
            second();
            all.done();
        });
        all.wait();
    });
}

inline subprocess_result run_planted(const std::string& name) {
    return run_case_in_subprocess(name, {.env = {"TSAN_OPTIONS=halt_on_error=1:exitcode=66"}});
}

/// A race between the two, and where both goroutines were created; not one in the library.
inline bool is_reported(const subprocess_result& r,
                        const std::string& second = "vole::test::begin_second(") {
    const auto said = [&r](const std::string& part) { return count_of(r.err, part) == 1; };
    const std::size_t at = r.err.find("\nSUMMARY: ");
    if (at == std::string::npos) return false;
    const std::string summary = r.err.substr(at, r.err.find('\n', at + 1) - at);
    for (const char* floor : {"/runtime/", "/sync/", "/time/"}) {
        if (summary.find(floor) != std::string::npos) return false;
    }
    return r.exit_status == 66 && said("WARNING: ThreadSanitizer: data race") &&
           count_of(r.err, "\nGoroutine ") == 2 && said("\ncreated by vole::test::begin_first(") &&
           said("\ncreated by " + second) &&
           count_of(r.err, "race_support.hpp:" + std::to_string(first_line) + "\n") == 1;
}
inline bool is_silent(const subprocess_result& r) {
    return r.succeeded() && count_of(r.err, "ThreadSanitizer") == 0;
}

}  // namespace vole::test

/// f(bool right): a race, and the same without. Each is the proof that the check of the other can fail. Behind it, who has
/// created the second goroutine, if it is another one.
#define PLANTED_RACE(name, f, ...)                                                                 \
    TEST_CASE("child: racing, " name, "[.child]") { f(false); }                                    \
    TEST_CASE("child: ordered, " name, "[.child]") { f(true); }                                    \
    TEST_CASE("RACE " name, "[race]") {                                                            \
        const auto racing = run_planted("child: racing, " name);                                   \
        INFO(racing.text());                                                                       \
        CHECK(is_reported(racing __VA_OPT__(, ) __VA_ARGS__));                                     \
        CHECK_FALSE(is_silent(racing));                                                            \
        const auto ordered = run_planted("child: ordered, " name);                                 \
        INFO(ordered.text());                                                                      \
        CHECK(is_silent(ordered));                                                                 \
        CHECK_FALSE(is_reported(ordered __VA_OPT__(, ) __VA_ARGS__));                              \
    }
