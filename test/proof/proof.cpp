// Programs at random, run on the real runtime, must end as the model says they may. Cites CHAN-1 to CHAN-65 as a whole.
//
// Environment:
//   VOLE_PROOF_SEED=n       only the program of this seed, many times; tells how often it ended in which way
//   VOLE_PROOF_PROGRAMS=n   how many programs for each number of Ps
//   VOLE_PROOF_GO_ON=1      counts programs with wrong outcomes instead of ending at the first
#include <catch2/catch.hpp>

#include "test/proof/csp_generator.hpp"
#include "test/proof/csp_model.hpp"
#include "test/proof/csp_run.hpp"
#include "test/proof/last_words.hpp"

#include "test/preempt/preempt_support.hpp"
#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

using namespace vole::proof;
using vole::test::long_run;
using vole::test::scaled;

namespace {

#if defined(VOLE_STACK_COPYING)
constexpr bool stacks_move = true;
#else
constexpr bool stacks_move = false;
#endif

// Programs with more states than this are left out: they take most of the time
// and find no more.
constexpr std::size_t most_states = 3000;

std::optional<std::uint64_t> number_from(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == '\0') return std::nullopt;
    return std::strtoull(text, nullptr, 0);
}

/// The first of the seeds of this run: different each time, since what matters
/// is what has not been tried yet.
std::uint64_t fresh_seed() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(now / std::chrono::milliseconds(1)) * 1'000'000;
}

struct candidate {
    std::uint64_t seed;
    program what;
    possibilities may;
};

/// With the program, what came, what could have come, and how to repeat it.
std::string complaint(const candidate& c, const std::string& got, int procs) {
    std::string text = "wrong outcome on " + std::to_string(procs) +
                       " P(s); again: VOLE_PROOF_SEED=" + std::to_string(c.seed) + "\n" +
                       to_text(c.what) + "--- came:\n" + key_to_text(got);
    int shown = 0;
    for (const std::string& key : c.may.outcomes) {
        if (++shown > 10) break;
        text += "--- may come (" + std::to_string(shown) + " of " +
                std::to_string(c.may.outcomes.size()) + "):\n" + key_to_text(key);
    }
    return text;
}

/// Programs that the model can look at, from a seed on.
class supply {
  public:
    explicit supply(std::uint64_t seed) : seed_(seed) {}

    candidate next() {
        for (;;) {
            candidate c{seed_, make_program(seed_), {}};
            ++seed_;
            c.may = explore(c.what, most_states);
            if (c.may.complete) return c;
            ++discarded_;
        }
    }
    std::uint64_t discarded() const { return discarded_; }

  private:
    std::uint64_t seed_;
    std::uint64_t discarded_ = 0;
};

struct tally {
    std::uint64_t programs = 0;
    std::uint64_t runs = 0;
    std::uint64_t wrong = 0;  // programs
    std::string first_complaint;
    std::uint64_t possible = 0;  // outcomes, of all programs
    std::uint64_t seen = 0;      // of these
    std::uint64_t complete = 0;  // programs of which all possible outcomes were seen
};

/// The same program several times, as chance has it.
void try_program(const candidate& c, int procs, int times, bool moving, tally& to) {
    std::unordered_set<std::string> seen;
    bool wrong = false;
    last_words::trying(c.seed);
    for (int i = 0; i < times; ++i) {
        const schedule how{c.seed * 64 + static_cast<std::uint64_t>(i), i % 2 == 1, i % 4 >= 2,
                           moving, c.seed};
        const std::string key = run(c.what, how).key();
        ++to.runs;
        if (c.may.outcomes.contains(key)) {
            seen.insert(key);
            continue;
        }
        if (to.first_complaint.empty()) to.first_complaint = complaint(c, key, procs);
        wrong = true;
    }
    last_words::trying(0);
    ++to.programs;
    to.wrong += wrong ? 1 : 0;
    to.possible += c.may.outcomes.size();
    to.seen += seen.size();
    if (seen.size() == c.may.outcomes.size()) ++to.complete;
}

void report(const char* title, const tally& t, std::uint64_t discarded, double seconds) {
    const auto n = [](std::uint64_t x) { return static_cast<unsigned long long>(x); };
    std::fprintf(
        stderr,
        "%s: %llu programs (%llu more had too many states), %llu runs; %llu of %llu possible "
        "outcomes seen, of %llu programs all; %llu programs wrong; %.0f programs a minute\n",
        title, n(t.programs), n(discarded), n(t.runs), n(t.seen), n(t.possible), n(t.complete),
        n(t.wrong), static_cast<double>(t.programs) / seconds * 60);
}

enum class disturbance : std::uint8_t {
    none,
    requests,  ///< to give way
    moves,     ///< of the stacks of goroutines that wait
};

void prove(const char* title, int procs, disturbance how, std::uint64_t programs) {
    const auto began = std::chrono::steady_clock::now();
    const bool go_on = number_from("VOLE_PROOF_GO_ON").has_value();
    const int times = long_run() ? 24 : 8;
    programs = number_from("VOLE_PROOF_PROGRAMS").value_or(programs);
    supply source(fresh_seed());
    last_words::install();
    tally t;
    // Everything from within the main goroutine, and the storm around it: threads and Ps are there already.
    vole::test::procs_scope scope(procs);
    std::optional<vole::test::storm> storm;
    if (how == disturbance::requests) storm.emplace(vole::test::storm::kind::gentle);
    const std::uint64_t shrunk = vole::read_stats().stack_shrinks;
    while (t.programs < programs && (t.wrong == 0 || go_on)) {
        std::vector<candidate> batch;
        for (int i = 0; i < 64 && t.programs + batch.size() < programs; ++i)
            batch.push_back(source.next());
        vole::run([&] {
            for (const candidate& c : batch) {
                if (t.wrong == 0 || go_on)
                    try_program(c, procs, times, how == disturbance::moves, t);
            }
        });
    }
    storm.reset();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    report(title, t, source.discarded(), took.count());
    if (how == disturbance::moves) {
        const std::uint64_t moved = vole::read_stats().stack_shrinks - shrunk;
        std::fprintf(stderr, "%llu times a stack that waited was moved\n",
                     static_cast<unsigned long long>(moved));
        CHECK(moved > 0);
    }
    INFO(t.first_complaint);
    CHECK(t.wrong == 0);
}

/// For each way of running them.
std::uint64_t how_many() { return long_run() ? 100'000 : scaled<std::uint64_t>(2500, 50); }

/// What VOLE_PROOF_SEED asks for.
void repeat(std::uint64_t seed) {
    const candidate c{seed, make_program(seed), explore(make_program(seed), 1'000'000)};
    std::fprintf(stderr, "%s%zu states, %zu outcomes\n", to_text(c.what).c_str(), c.may.states,
                 c.may.outcomes.size());
    for (const int procs : {1, 2}) {
        std::map<std::string, int> came;
        vole::test::procs_scope scope(procs);
        vole::run([&] {
            for (std::uint64_t i = 0; i < 20'000; ++i)
                ++came[run(c.what, {i, i % 2 == 1, i % 4 >= 2, stacks_move, c.seed}).key()];
        });
        for (const auto& [key, times] : came) {
            const bool right = c.may.outcomes.contains(key);
            std::fprintf(stderr, "--- %d times on %d P(s)%s\n%s", times, procs,
                         right ? "" : ", WRONG", key_to_text(key).c_str());
            CHECK(right);
        }
    }
}

}  // namespace

#if defined(VOLE_STACK_COPYING)

TEST_CASE("random programs end as the model allows while stacks move", "[proof]") {
    if (const auto seed = number_from("VOLE_PROOF_SEED")) return repeat(*seed);
    prove("two Ps, stacks moved", 2, disturbance::moves, how_many());
}

#else

TEST_CASE("random programs end as the model allows on one P", "[proof]") {
    if (const auto seed = number_from("VOLE_PROOF_SEED")) return repeat(*seed);
    prove("one P", 1, disturbance::none, how_many());
}

TEST_CASE("random programs end as the model allows on two Ps", "[proof]") {
    if (number_from("VOLE_PROOF_SEED")) return;
    prove("two Ps", 2, disturbance::none, how_many());
}

TEST_CASE("random programs end as the model allows under preemption", "[proof]") {
    if (number_from("VOLE_PROOF_SEED")) return;
    prove("two Ps, preempted", 2, disturbance::requests, how_many());
}

#endif
