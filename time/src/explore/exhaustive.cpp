// All schedules, by depth first: the decisions of the last schedule are a path in a tree; the next one takes the same path
// to the last decision that has an option left, takes that, and from there option 0 each time.
//
// With a bound on preemptions: all schedules with none, then with one, and so on up to the bound; done early when the bound did not
// forbid anything.
//
// Without: sleep sets (Godefroid, 1996). When all that begins with goroutine a has been tried at a decision, a schedule that begins
// with b instead and comes to a without anything in between that touches what a does would be like one of those before. So a
// sleeps in b's part of the tree until somebody touches the same object, one of the two writing. What a goroutine is about to do is
// known, since it stands before it. A schedule in which all that could go on sleep is run to its end, as there is no way to stop it, but
// makes no decisions.
//
// Whoever waits for others in a loop must call gosched() in it, and is then fair (Musuvathi and Qadeer, 2008): at its second gosched()
// it waits for all who could go on and have not since the first. Else there would be schedules without end.
//
// Objects are told apart by where they lie, in this schedule: one in the place of another is taken for the same, which costs schedules
// and misses none.
#include <algorithm>
#include <vector>

#include "time/src/explore/strategy.hpp"

namespace vole::inline v0::detail {

namespace {

bool touch_each_other(const operation& a, const operation& b) noexcept {
    if (a.count > operation::most || b.count > operation::most) return true;
    if (a.how == touch::reads && b.how == touch::reads) return false;
    for (std::uint32_t i = 0; i < a.count; ++i) {
        for (std::uint32_t k = 0; k < b.count; ++k) {
            if (a.objects[i] == b.objects[k]) return true;
        }
    }
    return false;
}

// Who has had a turn since somebody yielded, and whom one that yields has to wait for.
class fairness {
  public:
    void clear() noexcept { all_.clear(); }

    void goes_on(std::uint32_t number) {
        for (waits& one : all_) {
            if (one.yielded && !contains(one.had_turn, number)) one.had_turn.push_back(number);
            std::erase(one.for_these, number);
        }
    }
    /// The last of the options does.
    void yields(std::span<const candidate> options) {
        waits& mine = of(options.back().number);
        for (const candidate& c : options.first(options.size() - 1)) {
            if (mine.yielded && !contains(mine.had_turn, c.number))
                mine.for_these.push_back(c.number);
        }
        mine.yielded = true;
        mine.had_turn.clear();
    }
    bool must_wait(const candidate& c, std::span<const candidate> options) {
        const waits& its = of(c.number);
        return std::any_of(options.begin(), options.end(),
                           [&](const candidate& o) { return contains(its.for_these, o.number); });
    }

  private:
    struct waits {
        bool yielded = false;
        std::vector<std::uint32_t> had_turn;
        std::vector<std::uint32_t> for_these;
    };

    static bool contains(const std::vector<std::uint32_t>& all, std::uint32_t number) noexcept {
        return std::find(all.begin(), all.end(), number) != all.end();
    }
    waits& of(std::uint32_t number) {
        if (all_.size() <= number) all_.resize(number + 1);
        return all_[number];
    }

    std::vector<waits> all_;  // by number
};

class exhaustive final : public strategy {
  public:
    explicit exhaustive(int preemptions) noexcept
        : most_(preemptions), bound_(preemptions < 0 ? -1 : 0) {}

    bool begin() override {
        if (begun_ && !next_path()) return false;
        begun_ = true;
        depth_ = 0;
        preemptions_ = 0;
        asleep_.clear();
        redundant_ = false;
        turns_.clear();
        return true;
    }

    std::size_t pick(std::span<const candidate> options, standing current) override {
        if (redundant_) return 0;
        if (current == standing::yields) turns_.yields(options);
        if (depth_ == path_.size()) path_.push_back(new_node(options, current));
        if (redundant_) {
            path_.pop_back();
            return 0;
        }
        node& n = path_[depth_++];
        if (current == standing::wants_on && n.option() != 0) ++preemptions_;
        if (most_ < 0) sleep_behind(n, options);
        turns_.goes_on(options[n.option()].number);
        return n.option();
    }

    void goes_on(const candidate& c) override {
        if (most_ < 0) wake_by(c.number);
        turns_.goes_on(c.number);
    }

    std::uint32_t draw(std::uint32_t n) override {
        if (redundant_) return 0;
        if (depth_ == path_.size()) {
            node fresh;
            for (std::uint32_t i = 0; i < n; ++i) fresh.options.push_back(i);
            path_.push_back(std::move(fresh));
        }
        return static_cast<std::uint32_t>(path_[depth_++].option());
    }

    std::uint64_t seed() const override { return 1; }
    bool complete() const override { return complete_; }
    bool redundant() const override { return redundant_; }

    std::string replay() const override {
        std::vector<deviation> path;
        for (std::size_t i = 0; i < depth_; ++i) {
            if (const std::size_t o = path_[i].option(); o != 0) {
                path.push_back({i, static_cast<std::uint32_t>(o)});
            }
        }
        return path_text(path);
    }

  private:
    struct node {
        std::vector<std::size_t> options;   // that are tried, in this order
        std::vector<std::uint32_t> asleep;  // numbers; when it was reached
        std::size_t at = 0;
        std::size_t option() const noexcept { return options[at]; }
    };

    node new_node(std::span<const candidate> options, standing current) {
        node n;
        n.asleep = asleep_;
        const bool may_preempt = bound_ < 0 || preemptions_ < bound_;
        const std::size_t most = options.size() - (current == standing::yields ? 1 : 0);
        for (std::size_t i = 0; i < most; ++i) {
            if (sleeps(n, options[i].number) || turns_.must_wait(options[i], options)) continue;
            if (current == standing::wants_on && i != 0 && !may_preempt) {
                forbidden_ = true;
                continue;
            }
            n.options.push_back(i);
        }
        redundant_ = n.options.empty();
        return n;
    }

    static bool sleeps(const node& n, std::uint32_t number) noexcept {
        return std::find(n.asleep.begin(), n.asleep.end(), number) != n.asleep.end();
    }

    // Those tried before sleep, and those that slept; what is done now wakes whom it touches.
    void sleep_behind(const node& n, std::span<const candidate> options) {
        asleep_ = n.asleep;
        for (std::size_t k = 0; k < n.at; ++k) asleep_.push_back(options[n.options[k]].number);
        const candidate& chosen = options[n.option()];
        std::erase_if(asleep_, [&](std::uint32_t number) {
            const auto c = std::find_if(options.begin(), options.end(),
                                        [&](const candidate& o) { return o.number == number; });
            return c == options.end() || touch_each_other(*c->op, *chosen.op);
        });
    }

    // One alone can go on: if it sleeps itself, all of this has been seen.
    void wake_by(std::uint32_t number) {
        if (std::find(asleep_.begin(), asleep_.end(), number) != asleep_.end()) redundant_ = true;
        asleep_.clear();
    }

    // False: there is none.
    bool next_path() {
        if (!back_up() && !raise_bound()) return false;
        return true;
    }
    bool back_up() {
        while (!path_.empty()) {
            if (++path_.back().at < path_.back().options.size()) return true;
            path_.pop_back();
        }
        return false;
    }
    bool raise_bound() {
        if (bound_ < 0 || !forbidden_ || bound_ == most_) {
            complete_ = true;
            return false;
        }
        ++bound_;
        forbidden_ = false;
        return true;
    }

    int most_;
    int bound_;  // now; negative: none
    bool begun_ = false;
    bool complete_ = false;
    bool forbidden_ = false;  // the bound has, something
    bool redundant_ = false;
    std::vector<node> path_;
    std::size_t depth_ = 0;  // decisions of this schedule
    int preemptions_ = 0;    // of this schedule
    std::vector<std::uint32_t> asleep_;
    fairness turns_;
};

}  // namespace

std::unique_ptr<strategy> make_exhaustive(int preemptions) {
    return std::make_unique<exhaustive>(preemptions);
}

}  // namespace vole::detail
