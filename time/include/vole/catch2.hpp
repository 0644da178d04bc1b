// Catch2 (version 2) in bubbles: its assertions on any goroutine, with its own macros.
//
//     TEST_CASE("the cache forgets") {
//         const vole::synctest::catch2_assertions any_goroutine;
//         vole::synctest::test([] {
//             vole::go([] { REQUIRE(load("key") == 1); });  // ends this goroutine if it does not hold
//             vole::sleep(1h);
//             CHECK(size() == 0);
//         });
//     }
//
// Catch2's assertions are not thread-safe. While an object of this class exists, what they report passes
// through a lock, and a REQUIRE that fails on a goroutine ends that goroutine, as Go's t.FailNow does: the others
// go on, no panic is reported, the test case has failed. On the bubble's main goroutine it leaves
// test(), and ends the test case. A failure in a bubble shows the bubble's seed.
//
// The lock is a vole::mutex that belongs to no bubble. A goroutine that waits for it is not durably
// blocked: the bubble's clock stands still meanwhile, and wait() waits. A waiter parks, so a holder that
// reports a failure (reporters write) or is preempted keeps no P busy. Not a lock that spins: a preempted holder
// would have all others spin for whole time slices. Not a std::mutex: its waiters block their Ps, with one P
// also the holder's, until sysmon takes them away, milliseconds later; and an operator<< that yields could make
// the holder unlock it on another thread. No user code runs while it is held but the operator<< and the matchers'
// describe() of what is reported: they must neither assert nor wait.
//
// Limits:
// - Macros that put a text together, INFO, CAPTURE, WARN, UNSCOPED_INFO, SUCCEED, FAIL, FAIL_CHECK, do so in
//   streams that Catch2 shares, before we are asked. Use them only where no other goroutine asserts: before the
//   first go(), or after wait() or test(). Elsewhere CHECK((false && "text")). Messages in scope belong to the test
//   case: they are shown with the failures of all goroutines.
// - SECTION, GENERATE and BENCHMARK belong to the test case's own thread, outside of test().
// - CHECKED_IF and CHECKED_ELSE ask about the last assertion of anybody.
// - No assertion in blocking() or on_system_stack(), and no goexit() inside an assertion's expression, where
//   Catch2 catches everything.
// - Another exception that nobody catches goes to the panic handler that was there before. Without one it
//   is written to stderr as always, and the test case fails when the object is destroyed. Not with
//   uncaught_policy::abort: then the process ends, also after a REQUIRE.
// - Goroutines that assert must have ended before the object does. Those of a bubble have, when test() returns; a
//   deadlocked one's never go on.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <vole/panic.hpp>
#include <vole/stack.hpp>
#include <vole/sync.hpp>
#include <vole/synctest.hpp>

#if !defined(CATCH_VERSION_MAJOR) || CATCH_VERSION_MAJOR != 2
#error "vole/catch2.hpp is for Catch2 version 2"
#endif

namespace vole::inline v0::synctest {
namespace detail {

// Of the program, not of a bubble: constant initialisation happens in none.
inline constinit mutex catch2_lock;

/// Hands everything on, one at a time.
class catch2_capture final : public Catch::IResultCapture {
  public:
    explicit catch2_capture(Catch::IResultCapture& next) : next_(next) {}

    Catch::IResultCapture& next() noexcept { return next_; }

    bool sectionStarted(const Catch::SectionInfo& section, Catch::Counts& assertions) override {
        return locked([&] { return next_.sectionStarted(section, assertions); });
    }
    void sectionEnded(const Catch::SectionEndInfo& end) override {
        locked([&] { next_.sectionEnded(end); });
    }
    void sectionEndedEarly(const Catch::SectionEndInfo& end) override {
        locked([&] { next_.sectionEndedEarly(end); });
    }
    auto acquireGeneratorTracker(Catch::StringRef name, const Catch::SourceLineInfo& line)
        -> Catch::IGeneratorTracker& override {
        return locked([&]() -> Catch::IGeneratorTracker& {
            return next_.acquireGeneratorTracker(name, line);
        });
    }

#if defined(CATCH_CONFIG_ENABLE_BENCHMARKING)
    void benchmarkPreparing(const std::string& name) override {
        locked([&] { next_.benchmarkPreparing(name); });
    }
    void benchmarkStarting(const Catch::BenchmarkInfo& info) override {
        locked([&] { next_.benchmarkStarting(info); });
    }
    void benchmarkEnded(const Catch::BenchmarkStats<>& stats) override {
        locked([&] { next_.benchmarkEnded(stats); });
    }
    void benchmarkFailed(const std::string& error) override {
        locked([&] { next_.benchmarkFailed(error); });
    }
#endif

    void pushScopedMessage(const Catch::MessageInfo& message) override {
        locked([&] { next_.pushScopedMessage(message); });
    }
    void popScopedMessage(const Catch::MessageInfo& message) override {
        locked([&] { next_.popScopedMessage(message); });
    }
    void emplaceUnscopedMessage(const Catch::MessageBuilder& builder) override {
        locked([&] { next_.emplaceUnscopedMessage(builder); });
    }

    // Comes from Catch2's signal handler: whoever holds the lock is not going to give it back.
    void handleFatalErrorCondition(Catch::StringRef message) override {
        next_.handleFatalErrorCondition(message);
    }

    void handleExpr(const Catch::AssertionInfo& info, const Catch::ITransientExpression& expr,
                    Catch::AssertionReaction& reaction) override {
        const bool failed = expr.getResult() == Catch::isFalseTest(info.resultDisposition);
        report(info, failed, [&] { next_.handleExpr(info, expr, reaction); });
    }
    void handleMessage(const Catch::AssertionInfo& info, Catch::ResultWas::OfType type,
                       const Catch::StringRef& message,
                       Catch::AssertionReaction& reaction) override {
        report(info, is_failure(type), [&] { next_.handleMessage(info, type, message, reaction); });
    }
    void handleUnexpectedExceptionNotThrown(const Catch::AssertionInfo& info,
                                            Catch::AssertionReaction& reaction) override {
        report(info, true, [&] { next_.handleUnexpectedExceptionNotThrown(info, reaction); });
    }
    void handleUnexpectedInflightException(const Catch::AssertionInfo& info,
                                           const std::string& message,
                                           Catch::AssertionReaction& reaction) override {
        report(info, true,
               [&] { next_.handleUnexpectedInflightException(info, message, reaction); });
    }
    void handleIncomplete(const Catch::AssertionInfo& info) override {
        report(info, true, [&] { next_.handleIncomplete(info); });
    }
    void handleNonExpr(const Catch::AssertionInfo& info, Catch::ResultWas::OfType type,
                       Catch::AssertionReaction& reaction) override {
        report(info, is_failure(type), [&] { next_.handleNonExpr(info, type, reaction); });
    }

    bool lastAssertionPassed() override {
        return locked([&] { return next_.lastAssertionPassed(); });
    }
    void assertionPassed() override {
        locked([&] { next_.assertionPassed(); });
    }
    std::string getCurrentTestName() const override {
        return locked([&] { return next_.getCurrentTestName(); });
    }
    const Catch::AssertionResult* getLastResult() const override {
        return locked([&] { return next_.getLastResult(); });
    }
    void exceptionEarlyReported() override {
        locked([&] { next_.exceptionEarlyReported(); });
    }

  private:
    // Reporters are made for threads; a goroutine's stack may be small.
    static constexpr std::size_t room = 64 * 1024;

    template <class F>
    static auto locked(F f) -> decltype(f()) {
        return stack::ensure(room, [&]() -> decltype(f()) {
            const std::lock_guard hold(catch2_lock);
            return f();
        });
    }

    /// Which seed: test() tells it only if something leaves it, and a CHECK does not, nor another goroutine's
    /// REQUIRE.
    template <class F>
    void report(const Catch::AssertionInfo& info, bool failed, F f) {
        if (!failed || !in_bubble()) return locked(f);
        const std::uint64_t n = seed();
        locked([&] {
            Catch::MessageInfo message(Catch::StringRef("INFO"), info.lineInfo,
                                       Catch::ResultWas::Info);
            message.message = "synctest: seed " + std::to_string(n);
            next_.pushScopedMessage(message);
            f();
            next_.popScopedMessage(message);
        });
    }

    static bool is_failure(Catch::ResultWas::OfType type) noexcept {
        return (type & Catch::ResultWas::FailureBit) != 0;
    }

    Catch::IResultCapture& next_;
};

/// The panic handler: drops what a failed REQUIRE throws, keeps the texts of what else nobody caught.
/// Shared with the handler, which may be running when it is replaced.
class catch2_panics {
  public:
    void handle(const panic_value& p) {
        if (p.get<Catch::TestFailureException>() != nullptr) return;
        if (before) return before(p);
        const std::string report = p.report();
        std::fwrite(report.data(), 1, report.size(), stderr);  // unbuffered: one piece
        const std::lock_guard hold(lock_);
        texts_.push_back("goroutine " + std::to_string(p.goroutine()) + ": " + p.what());
    }
    std::vector<std::string> texts() {
        const std::lock_guard hold(lock_);
        return texts_;
    }

    panic_handler before;  // changed by nobody while handle() can be called

  private:
    mutex lock_;
    std::vector<std::string> texts_;
};

}  // namespace detail

/// While it exists, Catch2's assertions may be used on every goroutine and thread. Made in a test case, outside of
/// test(); one inside another changes nothing. See the head of this file.
class catch2_assertions {
  public:
    explicit catch2_assertions(const char* file = __builtin_FILE(),
                               std::size_t line = __builtin_LINE())
        : where_(file, line) {
        Catch::IResultCapture& next = Catch::getResultCapture();
        if (dynamic_cast<detail::catch2_capture*>(&next) != nullptr) return;
        capture_ = std::make_unique<detail::catch2_capture>(next);
        panics_ = std::make_shared<detail::catch2_panics>();
        // Ours must know the earlier one before it can be called: for a moment it is the default.
        panics_->before = set_panic_handler(nullptr);
        set_panic_handler([p = panics_](const panic_value& v) { p->handle(v); });
        Catch::getCurrentMutableContext().setResultCapture(capture_.get());
    }
    ~catch2_assertions() {
        if (!capture_) return;
        set_panic_handler(panics_->before);
        Catch::getCurrentMutableContext().setResultCapture(&capture_->next());
        for (const std::string& text : panics_->texts()) {
            Catch::AssertionReaction reaction;
            capture_->next().handleUnexpectedInflightException(
                {Catch::StringRef("TEST_CASE"), where_, Catch::StringRef(),
                 Catch::ResultDisposition::ContinueOnFailure},
                text, reaction);
        }
    }
    catch2_assertions(const catch2_assertions&) = delete;
    catch2_assertions& operator=(const catch2_assertions&) = delete;

  private:
    Catch::SourceLineInfo where_;
    std::unique_ptr<detail::catch2_capture> capture_;  // null: there is an outer one
    std::shared_ptr<detail::catch2_panics> panics_;
};

}  // namespace vole::synctest
