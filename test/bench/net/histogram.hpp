// Counts of durations in buckets that grow with them: 64 to each power of two, so that what it says
// is too high by 1.6% at most. Fixed size; one thread adds at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace net_bench {

class histogram {
  public:
    void add(std::uint64_t ns) { ++counts_[bucket(ns)]; }

    void add(const histogram& other) {
        std::transform(counts_.begin(), counts_.end(), other.counts_.begin(), counts_.begin(),
                       std::plus<>{});
    }

    [[nodiscard]] std::uint64_t count() const {
        return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
    }

    /// What `part` (0 to 1) of all durations do not exceed. 0 when there are none.
    [[nodiscard]] std::uint64_t percentile(double part) const {
        auto left = static_cast<std::uint64_t>(part * static_cast<double>(count()));
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            if (counts_[i] > left) return highest(i);
            left -= counts_[i];
        }
        const auto last = std::find_if(counts_.rbegin(), counts_.rend(), [](auto n) { return n; });
        return last == counts_.rend()
                   ? 0
                   : highest(static_cast<std::size_t>(counts_.rend() - last) - 1);
    }

  private:
    static constexpr unsigned bits = 6;
    static constexpr std::uint64_t each = 1U << bits;

    static std::size_t bucket(std::uint64_t ns) {
        if (ns < each) return ns;
        const auto shift = static_cast<unsigned>(std::bit_width(ns)) - bits - 1;
        return (shift + 1) * each + (ns >> shift) - each;
    }

    static std::uint64_t highest(std::size_t i) {
        if (i < each) return i;
        const std::uint64_t shift = i / each - 1;
        return ((i % each + each + 1) << shift) - 1;
    }

    std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>((65 - bits) * each);
};

}  // namespace net_bench
