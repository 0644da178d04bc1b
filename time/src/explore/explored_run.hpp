// One schedule while it runs: which goroutines there are, who can go on, and what has happened so far. It asks a strategy, and
// keeps what was decided, so that the schedule can be told and repeated.
//
// Called by the scheduler under explorer::mu, read by others when the bubble has ended.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "time/src/explore/strategy.hpp"

namespace vole::inline v0::detail {

class explored_run final : public explorer {
  public:
    /// What one goroutine did up to the next point. Kept of all, for the report.
    struct event {
        std::uint32_t number;
        std::uint32_t object;  // of objects, from 1; 0: none
        const char* what;
        bool goes_on;   // it had waited in it
        bool preempts;  // another one would have gone on
    };

    explored_run(strategy& how, std::uint64_t max_steps) : how_(how), max_steps_(max_steps) {}

    void born(G* g) noexcept override;
    void gone(G* g) noexcept override;
    void can_run(G* g) noexcept override;
    G* at_point(G* g, const operation& op) noexcept override;
    G* next(G* g) noexcept override;
    std::uint32_t draw(std::uint32_t n) noexcept override;
    void panicked(std::exception_ptr error, const char* text) noexcept override;

    std::uint64_t steps() const noexcept { return steps_; }
    bool cut() const noexcept { return steps_ > max_steps_; }
    const std::exception_ptr& panic() const noexcept { return panic_; }
    /// What differs from option 0.
    const std::vector<deviation>& path() const noexcept { return path_; }
    const std::vector<event>& events() const noexcept { return events_; }
    /// By number, from 1; "" for those without a name.
    const std::vector<std::string>& names() const noexcept { return names_; }

  private:
    struct goroutine {
        G* g;
        std::uint32_t number;
        bool can_run = false;
        bool waited = false;
        operation op;
    };

    goroutine* find(const G* g) noexcept;
    // Of those that can run, `current` among them unless it waits. Null: nobody can.
    goroutine* choose(goroutine* current, standing how);
    std::size_t decide(std::size_t options, standing current);
    void note(std::size_t option);
    bool given_up();
    G* starts(goroutine* chosen, bool preempts);
    std::uint32_t object_number(const void* object);

    strategy& how_;
    std::uint64_t max_steps_;
    std::uint64_t steps_ = 0;
    std::uint64_t decisions_ = 0;
    std::uint32_t last_number_ = 0;
    std::vector<goroutine> all_;  // by number
    std::vector<candidate> options_;
    std::vector<goroutine*> optional_;
    std::vector<deviation> path_;
    std::vector<event> events_;
    std::vector<const void*> objects_;
    std::vector<std::string> names_{""};
    std::exception_ptr panic_;
};

}  // namespace vole::detail
