// explore(): one schedule after the other, until one fails; then a shorter one that fails in the same way, and the report.
//
// Stack: goroutine.
#include <vole/explore.hpp>

#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <typeinfo>

#include <vole/panic.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/write_all.hpp"
#include "time/src/explore/explored_run.hpp"
#include "time/src/explore/report.hpp"
#include "time/src/test_bubble.hpp"

namespace vole::inline v0::detail {

namespace {

using synctest::explore_options;
using synctest::explore_result;

// ---- options ----------------------------------------------------------------------------------

std::string replay_asked_for(const explore_options& opts) {
    if (!opts.replay.empty()) return opts.replay;
    const char* text = std::getenv("VOLE_REPLAY");
    return text != nullptr ? text : "";
}

void check(const explore_options& opts) {
    if (opts.depth == 0) throw std::invalid_argument("explore: depth is 0; it must be at least 1");
    if (opts.max_steps == 0) {
        throw std::invalid_argument("explore: max_steps is 0; it must be at least 1");
    }
}

}  // namespace

std::unique_ptr<strategy> make_strategy(const explore_options& opts) {
    switch (opts.how) {
        case synctest::strategy::random_walk:
            return make_random_walk(choose_seed(opts.seed), false);
        case synctest::strategy::pct: return make_pct(choose_seed(opts.seed), opts.depth, 0, false);
        case synctest::strategy::exhaustive: return make_exhaustive(opts.preemptions);
    }
    throw std::invalid_argument("explore: how is no strategy");
}

namespace {

// ---- one schedule -----------------------------------------------------------------------------

struct one_run {
    one_run(strategy& how, const explore_options& opts, void (*fn)(void*), void* arg)
        : explored(how, opts.max_steps),
          bubble(std::make_unique<test_bubble>(how.seed(), fn, arg)) {
        bubble->how = &explored;
        outcome = run_test_bubble(bubble.get());
    }
    one_run(const one_run&) = delete;
    one_run& operator=(const one_run&) = delete;

    std::exception_ptr error() const {
        // What the main goroutine ends with is often a consequence.
        return explored.panic() != nullptr ? explored.panic() : bubble->error;
    }
    bool failed() const { return outcome != bubble_outcome::ended || error() != nullptr; }

    explored_run explored;
    std::unique_ptr<test_bubble> bubble;
    bubble_outcome outcome = bubble_outcome::ended;
};

// Goroutines of one that is deadlocked are parked on it for ever.
void drop(std::unique_ptr<one_run> run) noexcept {
    if (run != nullptr && run->outcome != bubble_outcome::ended) (void)run.release();
}

std::string type_of(const std::exception_ptr& error) {
    if (error == nullptr) return "";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return typeid(e).name();
    } catch (...) {
        return "?";
    }
}

std::string text_of(const one_run& run) {
    std::string text;
    if (const std::exception_ptr error = run.error(); error != nullptr) {
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            text = e.what();
        } catch (...) {
            text = "an exception that is no std::exception";
        }
    }
    if (run.outcome == bubble_outcome::ended) return text;
    return text.empty() ? to_text(run.outcome) : text + "; " + to_text(run.outcome);
}

bool same_failure(const one_run& a, const one_run& b) {
    return a.outcome == b.outcome && type_of(a.error()) == type_of(b.error());
}

// ---- a shorter one ----------------------------------------------------------------------------

// Takes out of the path what is not needed for the failure: halves first, then less, then single decisions. What follows
// a decision that is taken out may mean something else; then that attempt fails to fail.
class shortener {
  public:
    shortener(const explore_options& opts, void (*fn)(void*), void* arg)
        : opts_(opts), fn_(fn), arg_(arg) {}

    std::unique_ptr<one_run> shorten(std::unique_ptr<one_run> best) {
        for (std::size_t part = best->explored.path().size(); part != 0; part /= 2) {
            for (std::size_t from = 0; from < best->explored.path().size();) {
                if (attempts_left_-- == 0) return best;
                std::unique_ptr<one_run> run = without(*best, from, part);
                if (run != nullptr) {
                    drop(std::exchange(best, std::move(run)));
                } else {
                    from += part;
                }
            }
        }
        return best;
    }

  private:
    // Null: it does not fail, or not in the same way, or is no shorter.
    std::unique_ptr<one_run> without(const one_run& best, std::size_t from, std::size_t part) {
        std::vector<deviation> path = best.explored.path();
        const auto first = path.begin() + static_cast<std::ptrdiff_t>(from);
        path.erase(first, first + static_cast<std::ptrdiff_t>(std::min(part, path.size() - from)));
        how_ = make_path(path);
        how_->begin();
        auto run = std::make_unique<one_run>(*how_, opts_, fn_, arg_);
        if (run->failed() && same_failure(*run, best) &&
            run->explored.path().size() < best.explored.path().size()) {
            return run;
        }
        drop(std::move(run));
        return nullptr;
    }

    const explore_options& opts_;
    void (*fn_)(void*);
    void* arg_;
    std::unique_ptr<strategy> how_;
    int attempts_left_ = 200;
};

// ---- the report -------------------------------------------------------------------------------

void write(const std::string& text) noexcept {
    (void)write_all(STDERR_FILENO, text.data(), text.size());
}

void report(const one_run& run, std::uint64_t tried, const std::string& found) {
    std::string text = "explore: schedule " + std::to_string(tried) + " failed: " + text_of(run) +
                       "\n\n" + schedule_text(run.explored) +
                       "\nto run it again: VOLE_REPLAY=" + path_text(run.explored.path()) + "\n";
    if (!found.starts_with("path:")) text += "as it was found: VOLE_REPLAY=" + found + "\n";
    write(text);
    if (run.outcome == bubble_outcome::ended) return;
    write("\n");
    write_bubble_traceback(STDERR_FILENO, run.bubble->id);
}

[[noreturn]] void fail(std::unique_ptr<one_run> run, std::uint64_t tried,
                       const std::string& found) {
    report(*run, tried, found);
    const std::exception_ptr error = run->error();
    const bubble_outcome how = run->outcome;
    drop(std::move(run));
    if (error != nullptr) std::rethrow_exception(error);
    throw_runtime_error(to_text(how));
}

// ---- all of it --------------------------------------------------------------------------------

struct counted {
    counted() { explorations.fetch_add(1, memory_order_relaxed); }
    ~counted() { explorations.fetch_sub(1, memory_order_relaxed); }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
};

explore_result explore_here_and_now(const explore_options& opts, void (*fn)(void*), void* arg) {
    check(opts);
    const std::string asked = replay_asked_for(opts);
    const std::unique_ptr<strategy> how = asked.empty() ? make_strategy(opts) : make_replay(asked);
    const watchdog watching(opts.real_timeout);
    const abort_note noting;
    const counted exploring;
    explore_result result;
    const auto end = std::chrono::steady_clock::now() + opts.time_limit;
    while (result.schedules < opts.schedules) {
        if (opts.time_limit > clock::duration::zero() && result.schedules != 0 &&
            std::chrono::steady_clock::now() >= end) {
            break;
        }
        if (!how->begin()) break;
        auto run = std::make_unique<one_run>(*how, opts, fn, arg);
        ++result.schedules;
        result.steps += run->explored.steps();
        if (run->explored.cut()) ++result.cut;
        if (how->redundant()) ++result.redundant;
        if (!run->failed()) continue;
        const std::string found = how->replay();
        shortener shorter(opts, fn, arg);
        if (opts.shorten && asked.empty()) run = shorter.shorten(std::move(run));
        fail(std::move(run), result.schedules, found);
    }
    result.complete = how->complete() && result.cut == 0;
    return result;
}

}  // namespace

}  // namespace vole::detail

namespace vole::inline v0::synctest {

explore_result detail::run_exploration(const explore_options& opts, void (*fn)(void*), void* arg) {
    using namespace vole::detail;
    struct call {
        const explore_options& opts;
        void (*fn)(void*);
        void* arg;
        explore_result result;
    } c{opts, fn, arg, {}};
    call_outside_of_bubbles(
        [](void* p) {
            auto* it = static_cast<call*>(p);
            it->result = explore_here_and_now(it->opts, it->fn, it->arg);
        },
        &c);
    return c.result;
}

}  // namespace vole::synctest
