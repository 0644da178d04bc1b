// Programs at random. The same seed gives the same program on every machine.
#pragma once

#include "test/proof/csp_program.hpp"

#include <cstdint>

namespace vole::proof {

/// splitmix64: any seed will do, also 0, 1, 2, ...
class random_source {
  public:
    explicit random_source(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9E3779B97F4A7C15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31);
    }
    /// Below n.
    std::uint32_t below(std::uint32_t n) {
        return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
    }
    bool percent(std::uint32_t n) { return below(100) < n; }

  private:
    std::uint64_t state_;
};

/// No operation of it waits on nil channels alone: nobody could ever end that.
program make_program(std::uint64_t seed);

}  // namespace vole::proof
