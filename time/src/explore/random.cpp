// Schedules by chance: random_walk and pct. Each has a seed of its own, which is all that its replay needs.
#include <algorithm>
#include <limits>
#include <vector>

#include "time/src/explore/strategy.hpp"

namespace vole::inline v0::detail {

std::uint64_t random_source::next() noexcept {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t x = state_;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

namespace {

class by_chance : public strategy {
  public:
    by_chance(std::uint64_t seed, bool only_this) noexcept
        : first_(seed), only_this_(only_this), seeds_(seed), random_(seed) {}

    bool begin() override {
        if (only_this_ && begun_) return false;
        seed_ = begun_ ? seeds_.next() : first_;
        begun_ = true;
        random_ = random_source(seed_);
        return true;
    }
    std::uint32_t draw(std::uint32_t n) override {
        return static_cast<std::uint32_t>(random_.below(n));
    }
    std::uint64_t seed() const override { return seed_; }

  protected:
    random_source& random() noexcept { return random_; }

  private:
    std::uint64_t first_;
    bool only_this_;
    bool begun_ = false;
    std::uint64_t seed_ = 0;
    random_source seeds_;
    random_source random_;
};

class random_walk final : public by_chance {
  public:
    using by_chance::by_chance;
    std::size_t pick(std::span<const candidate> options, standing) override {
        return random().below(options.size());
    }
    std::string replay() const override { return "walk:" + std::to_string(seed()); }
};

// Each goroutine has a priority by chance when it starts; the highest goes on. At depth - 1 moments that are chosen before, the one that
// would go on falls below all that there were, the later the lower; one that yields falls lower still.
class pct final : public by_chance {
  public:
    pct(std::uint64_t seed, std::uint32_t depth, std::uint64_t steps, bool only_this) noexcept
        : by_chance(seed, only_this), depth_(depth), fixed_steps_(steps) {}

    bool begin() override {
        longest_ = std::max(longest_, step_);
        if (!by_chance::begin()) return false;
        steps_ = fixed_steps_ != 0 ? fixed_steps_ : std::max<std::uint64_t>(longest_, 16);
        priorities_.clear();
        changes_.clear();
        for (std::uint32_t i = 1; i < depth_; ++i) changes_.push_back(random().below(steps_));
        std::sort(changes_.begin(), changes_.end());
        change_ = 0;
        step_ = 0;
        lowest_ = 0;
        return true;
    }

    void born(std::uint32_t number) override {
        if (priorities_.size() <= number) priorities_.resize(number + 1, 0);
        // Above all that somebody falls to.
        priorities_[number] = static_cast<std::int64_t>(random().next() >> 2) + 1;
    }

    std::size_t pick(std::span<const candidate> options, standing current) override {
        count();
        if (current == standing::yields) fall(options.back().number);
        std::size_t best = highest(options);
        while (change_ < changes_.size() && changes_[change_] < step_) {
            ++change_;
            fall(options[best].number);
            best = highest(options);
        }
        return best;
    }
    void goes_on(const candidate&) override { count(); }

    std::string replay() const override {
        return "pct:" + std::to_string(depth_) + ":" + std::to_string(steps_) + ":" +
               std::to_string(seed());
    }

  private:
    void count() noexcept { ++step_; }
    void fall(std::uint32_t number) { priorities_[number] = --lowest_; }
    std::size_t highest(std::span<const candidate> options) const {
        const auto at = std::max_element(options.begin(), options.end(),
                                         [this](const candidate& a, const candidate& b) {
                                             return priorities_[a.number] < priorities_[b.number];
                                         });
        return static_cast<std::size_t>(at - options.begin());
    }

    std::uint32_t depth_;
    std::uint64_t fixed_steps_;
    std::uint64_t longest_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t step_ = 0;
    std::int64_t lowest_ = 0;
    std::vector<std::int64_t> priorities_;  // by number
    std::vector<std::uint64_t> changes_;
    std::size_t change_ = 0;
};

}  // namespace

std::unique_ptr<strategy> make_random_walk(std::uint64_t seed, bool only_this) {
    return std::make_unique<random_walk>(seed, only_this);
}

std::unique_ptr<strategy> make_pct(std::uint64_t seed, std::uint32_t depth, std::uint64_t steps,
                                   bool only_this) {
    return std::make_unique<pct>(seed, depth, steps, only_this);
}

}  // namespace vole::detail
