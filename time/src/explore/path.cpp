// A schedule that is known, by its decisions; and the text of replays.
//
//     walk:SEED            pct:DEPTH:STEPS:SEED            path:3=1,17=2
#include <charconv>
#include <stdexcept>
#include <string>
#include <vector>

#include "time/src/explore/strategy.hpp"

namespace vole::inline v0::detail {

namespace {

class path_strategy final : public strategy {
  public:
    explicit path_strategy(std::span<const deviation> path) : path_(path.begin(), path.end()) {}

    bool begin() override { return !std::exchange(begun_, true); }
    std::size_t pick(std::span<const candidate> options, standing) override {
        return decide(static_cast<std::uint32_t>(options.size()));
    }
    std::uint32_t draw(std::uint32_t n) override { return decide(n); }
    std::string replay() const override { return path_text(path_); }
    std::uint64_t seed() const override { return 1; }

  private:
    // One that was made for another program is followed as far as it goes.
    std::uint32_t decide(std::uint32_t n) {
        const std::uint64_t now = at_++;
        if (next_ == path_.size() || path_[next_].at != now) return 0;
        const std::uint32_t option = path_[next_++].option;
        return option < n ? option : n - 1;
    }

    std::vector<deviation> path_;
    std::size_t next_ = 0;
    std::uint64_t at_ = 0;
    bool begun_ = false;
};

[[noreturn]] void reject(std::string_view replay) {
    throw std::invalid_argument(
        "\"" + std::string(replay) +
        "\" is no replay of a schedule; it must be what explore() has written: \"walk:SEED\", "
        "\"pct:DEPTH:STEPS:SEED\" or \"path:DECISION=OPTION,...\"");
}

// What is left of a replay, from front to back.
class reader {
  public:
    explicit reader(std::string_view whole) noexcept : whole_(whole), left_(whole) {}

    bool skip(std::string_view text) noexcept {
        if (!left_.starts_with(text)) return false;
        left_.remove_prefix(text.size());
        return true;
    }
    void expect(std::string_view text) {
        if (!skip(text)) reject(whole_);
    }
    template <class Int>
    Int number() {
        Int n = 0;
        const auto [at, error] = std::from_chars(left_.data(), left_.data() + left_.size(), n);
        if (error != std::errc{}) reject(whole_);
        left_.remove_prefix(static_cast<std::size_t>(at - left_.data()));
        return n;
    }
    bool done() const noexcept { return left_.empty(); }
    void expect_end() const {
        if (!done()) reject(whole_);
    }

  private:
    std::string_view whole_;
    std::string_view left_;
};

std::vector<deviation> read_path(reader& in, std::string_view replay) {
    std::vector<deviation> path;
    while (!in.done()) {
        if (!path.empty()) in.expect(",");
        const auto at = in.number<std::uint64_t>();
        in.expect("=");
        const auto option = in.number<std::uint32_t>();
        if (!path.empty() && path.back().at >= at) reject(replay);
        path.push_back({at, option});
    }
    return path;
}

}  // namespace

std::unique_ptr<strategy> make_path(std::span<const deviation> path) {
    return std::make_unique<path_strategy>(path);
}

std::string path_text(std::span<const deviation> path) {
    std::string text = "path:";
    for (const deviation& d : path) {
        if (text.back() != ':') text += ',';
        text += std::to_string(d.at) + "=" + std::to_string(d.option);
    }
    return text;
}

std::unique_ptr<strategy> make_replay(std::string_view replay) {
    reader in(replay);
    if (in.skip("walk:")) {
        const auto seed = in.number<std::uint64_t>();
        in.expect_end();
        return make_random_walk(seed, true);
    }
    if (in.skip("pct:")) {
        const auto depth = in.number<std::uint32_t>();
        in.expect(":");
        const auto steps = in.number<std::uint64_t>();
        in.expect(":");
        const auto seed = in.number<std::uint64_t>();
        in.expect_end();
        if (depth == 0 || steps == 0) reject(replay);
        return make_pct(seed, depth, steps, true);
    }
    in.expect("path:");
    return make_path(read_path(in, replay));
}

}  // namespace vole::detail
