// What the tests of copying share: all kinds of ends, and who reads at the far one.
#pragma once

#include "test/net/loopback.hpp"

#include <array>

namespace vole::test::copies {

using namespace loopback;

// What is written to `in` comes out of `out`.
struct line {
    net::conn in;
    net::conn out;
};

struct kind {
    const char* name;
    line (*make)();
    bool buffered;  // holds what nobody has read yet
};

inline line tcp_line() {
    auto [a, b] = tcp_ends();
    return {std::move(a), std::move(b)};
}
inline line local_line() {
    auto [a, b] = local_ends();
    return {std::move(a), std::move(b)};
}
inline line pipe_line() {
    auto [out, in] = net::os_pipe();
    return {std::move(in), std::move(out)};
}
inline line memory_line() {
    auto [a, b] = net::pipe();
    return {std::move(a), std::move(b)};
}

inline constexpr std::array kinds{kind{"tcp", tcp_line, true}, kind{"unix", local_line, true},
                                  kind{"pipe of the system", pipe_line, true},
                                  kind{"pipe in memory", memory_line, false}};

struct copied {
    std::uint64_t n = 0;
    std::error_code ec = rubbish();
};
// Reads `c` to its end in the background.
class reader {
  public:
    reader(net::conn& c, std::uint64_t seed) {
        done_.go([this, &c, seed] { taken_ = read_all(c, seed); });
    }
    ~reader() { done_.wait(); }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    const taken& get() {
        done_.wait();
        return taken_;
    }

  private:
    wait_group done_;
    taken taken_;
};

inline constexpr std::uint64_t some = 300'007;

}  // namespace vole::test::copies
