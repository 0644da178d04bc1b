// Who decides what happens next in an explored bubble. A decision is one of n options; option 0 is the one that needs no
// preemption: the goroutine that runs goes on. What has only one option is no decision.
//
// Stack: with room for anything. One caller at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <vole/explore.hpp>

#include "runtime/internal/explore.hpp"

namespace vole::inline v0::detail {

/// A goroutine that can go on. Numbers are given in the order in which they were started, from 1.
struct candidate {
    std::uint32_t number;
    const operation* op;  // what it does first
};

/// What has become of the goroutine that has the turn.
enum class standing : std::uint8_t {
    wants_on,  // it is option 0
    yields,    // it is the last option
    waits,     // it is none of them, or has ended
};

class strategy {
  public:
    strategy() = default;
    strategy(const strategy&) = delete;
    strategy& operator=(const strategy&) = delete;
    virtual ~strategy() = default;

    /// The next schedule. False: there is none.
    virtual bool begin() = 0;
    virtual void born(std::uint32_t) {}
    /// Who goes on: at least two.
    virtual std::size_t pick(std::span<const candidate> options, standing current) = 0;
    /// One of n > 1, all the same.
    virtual std::uint32_t draw(std::uint32_t n) = 0;
    /// This one does; there was nobody else.
    virtual void goes_on(const candidate&) {}

    /// Names the last schedule; what make_strategy makes of it has just this one.
    virtual std::string replay() const = 0;
    /// The seed of what else the schedule leaves to chance.
    virtual std::uint64_t seed() const = 0;
    /// All schedules have been tried.
    virtual bool complete() const { return false; }
    /// The last schedule is like an earlier one.
    virtual bool redundant() const { return false; }
};

/// Throws std::invalid_argument.
std::unique_ptr<strategy> make_strategy(const synctest::explore_options& opts);
/// The schedule that a replay names. Throws std::invalid_argument.
std::unique_ptr<strategy> make_replay(std::string_view replay);

std::unique_ptr<strategy> make_random_walk(std::uint64_t seed, bool only_this);
/// steps: how long a schedule is thought to be; 0: as long as the longest so far.
std::unique_ptr<strategy> make_pct(std::uint64_t seed, std::uint32_t depth, std::uint64_t steps,
                                   bool only_this);
/// preemptions: negative: no bound.
std::unique_ptr<strategy> make_exhaustive(int preemptions);

/// A schedule by what differs from option 0: (number of the decision, option), in order.
struct deviation {
    std::uint64_t at;
    std::uint32_t option;
};
std::unique_ptr<strategy> make_path(std::span<const deviation> path);
std::string path_text(std::span<const deviation> path);

/// splitmix64.
class random_source {
  public:
    explicit random_source(std::uint64_t seed) noexcept : state_(seed) {}
    std::uint64_t next() noexcept;
    /// Below n.
    std::uint64_t below(std::uint64_t n) noexcept { return n == 0 ? 0 : next() % n; }

  private:
    std::uint64_t state_;
};

}  // namespace vole::detail
