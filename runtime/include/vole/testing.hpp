// For tests: goroutines that outlive a scope.
//
//     TEST_CASE("the server stops") {
//         vole::testing::goroutine_leaks leaks;
//         vole::run([] { serve_and_stop(); });
//         CHECK(leaks.text() == "");  // a failure shows who is left, where, waiting for what
//     }
//
// Not part of <vole/vole.hpp>: programs have no use for it. No test framework is needed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include <vole/config.hpp>

namespace vole::inline v0 {
namespace detail {
struct leak_kind;
struct leak_maker;
}  // namespace detail

namespace testing {

/// A goroutine as it was found. A value: it may have ended since. Goroutines that have everything but id and
/// name in common share their texts.
class leaked_goroutine {
  public:
    std::uint64_t id() const noexcept { return id_; }
    /// Of go_options.
    const std::string& name() const noexcept { return name_; }
    /// As in a traceback: "chan receive", "select", "runnable", "runnable, preempted" (it was running, and
    /// a signal stopped it for the look), "running" (the same, but nothing could stop it).
    const std::string& state() const noexcept;
    /// For how long it has been waiting; 0: not for a whole minute, or it is not waiting.
    std::uint32_t minutes() const noexcept { return minutes_; }
    /// "FUNCTION\n\tFILE:LINE" of the go(), as far as debug information tells; else "".
    const std::string& created_by() const noexcept;
    /// The goroutine that started it; 0: an ordinary thread.
    std::uint64_t parent() const noexcept { return parent_; }
    /// Its calls, innermost first, as in a traceback, or a line that says why there are none.
    const std::string& frames() const noexcept;
    /// All of it, as a traceback would say it.
    std::string text() const;

  private:
    friend struct detail::leak_maker;
    friend std::string to_text(const std::vector<leaked_goroutine>& leaked);

    leaked_goroutine() = default;

    std::uint64_t id_ = 0;
    std::uint64_t parent_ = 0;
    std::string name_;
    std::uint32_t minutes_ = 0;
    std::shared_ptr<const detail::leak_kind> kind_;
};

/// Nothing for none. Else how many there are, and each; equal ones are counted together, most frequent
/// first, and at most twenty different ones shown.
std::string to_text(const std::vector<leaked_goroutine>& leaked);
std::ostream& operator<<(std::ostream& out, const leaked_goroutine& leaked);

/// What the destructor of goroutine_leaks does.
enum class on_leak : unsigned char {
    nothing,
    report,  ///< it looks, and writes what it finds to standard error
    abort,   ///< then it also aborts the process
};

/// Remembers which goroutines exist when it is made, and finds those that were started since and still
/// exist. Anywhere: on an ordinary thread, around vole::run; inside a goroutine; before the runtime has
/// started. The calling goroutine is never among them.
///
/// All that were started since count, also by goroutines that are older, or by other threads: of two tests
/// in one process at the same time, each finds the other's. Goroutines that are older never count.
class goroutine_leaks {
  public:
    explicit goroutine_leaks(on_leak in_destructor = on_leak::nothing);
    /// Not when an exception is on its way: then that one is the news.
    ~goroutine_leaks();
    goroutine_leaks(const goroutine_leaks&) = delete;
    goroutine_leaks& operator=(const goroutine_leaks&) = delete;

    /// How long a look waits for goroutines to end that are about to; by default five seconds.
    goroutine_leaks& patience(std::chrono::nanoseconds most);
    /// Leaves out goroutines of this name.
    goroutine_leaks& ignore_named(std::string name);
    /// Leaves out goroutines that were created in a function, or have a frame of one, whose name contains
    /// `part`. Needs debug information for what is inlined.
    goroutine_leaks& ignore_function(std::string part);
    /// Leaves out those of which it is true. Called by find() in the caller's thread, with nothing held.
    goroutine_leaks& ignore_if(std::function<bool(const leaked_goroutine&)> f);

    /// The goroutines that are left, in the order of their ids. Returns as soon as there are none, at
    /// the latest when patience is at its end: an answer that is not empty has taken that long. Others run
    /// meanwhile; at the end all goroutines are stopped for a moment, of some milliseconds when one
    /// computes or there are thousands. Of more than a hundred that wait for one thing, not all
    /// stacks are looked at.
    /// Throws std::bad_alloc, or what a function given to ignore_if throws. May let others run,
    /// as every operation that blocks; also inside blocking().
    std::vector<leaked_goroutine> find() const;
    /// to_text(find())
    std::string text() const { return to_text(find()); }

  private:
    bool is_ignored(const leaked_goroutine& one) const;

    std::vector<std::uint64_t> known_;  // ids of those that existed, in order
    std::chrono::nanoseconds patience_ = std::chrono::seconds(5);
    std::vector<std::function<bool(const leaked_goroutine&)>> ignored_;
    int exceptions_;  // under way when it was made
    on_leak in_destructor_;
};

}  // namespace testing
}  // namespace vole::inline v0
