// What fuzz targets share. A target is one file with one function, libFuzzer's: it takes any bytes, and ends the process
// if something does not hold that must hold of all of them. Nothing of it is random: the same bytes do the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

/// Each target has one. Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace vole::fuzz {

/// In the words of a finding: what does not hold.
inline void must_hold(bool it_does, const char* what) {
    if (it_does) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return size == 0 ? std::string_view()
                     : std::string_view(reinterpret_cast<const char*>(data), size);
}

/// Several texts in one input, with a line "%%" between them; "" for those that are missing. So the corpus can be read,
/// and written with an editor.
inline std::vector<std::string_view> sections(std::string_view text, std::size_t how_many) {
    constexpr std::string_view separator = "%%\n";
    std::vector<std::string_view> parts;
    while (parts.size() + 1 < how_many) {
        const std::size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        text.remove_prefix(at == text.npos ? text.size() : at + separator.size());
    }
    parts.push_back(text);
    return parts;
}

/// How a text comes in pieces: whole, byte by byte, or in sizes that depend on a number.
class pieces {
  public:
    enum class how : std::uint8_t { whole, bytes, odd };

    pieces(how way, std::uint64_t seed) : way_(way), state_(seed * 2 + 1) {}

    /// Of so many bytes that are left, at least one.
    std::size_t next(std::size_t left) {
        if (way_ == how::whole) return left;
        if (way_ == how::bytes) return 1;
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return std::min<std::size_t>(left, 1 + (state_ >> 33) % 40);
    }

  private:
    how way_;
    std::uint64_t state_;
};

}  // namespace vole::fuzz
