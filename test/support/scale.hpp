// How much work a test does and how long it is patient: one place, so that an emulator, a sanitizer or a
// night run changes all tests alike. Environment:
//   VOLE_TEST_SCALE     a factor for iteration counts; unset: 1 / VOLE_TEST_SLOWDOWN
//   VOLE_TEST_SLOWDOWN  how many times slower than usual things may be here (1)
//   VOLE_TEST_RECORD    "1": a tenth of the iterations, since a recording holds no more (test/stress)
//   VOLE_TEST_LONG      "1": stress tests go on for minutes
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <type_traits>

namespace vole::test {

/// A positive number from the environment.
inline double number_from_environment(const char* name, double otherwise) {
    const char* text = std::getenv(name);
    const double x = text != nullptr ? std::strtod(text, nullptr) : otherwise;
    return std::isfinite(x) && x > 0 ? std::clamp(x, 1e-4, 1e4) : otherwise;
}

inline double slowdown() {
    static const double factor = number_from_environment("VOLE_TEST_SLOWDOWN", 1);
    return factor;
}

inline bool is_recorded_run() {
    const char* text = std::getenv("VOLE_TEST_RECORD");
    return text != nullptr && std::string_view(text) == "1";
}

/// The factor for iteration counts. Often below 1: multiply with scaled(n), which cannot come out as no
/// iterations at all.
inline double scale() {
    static const double factor =
        number_from_environment("VOLE_TEST_SCALE", 1 / slowdown()) / (is_recorded_run() ? 10 : 1);
    return factor;
}

/// n iterations times scale(), at least `least`.
template <class Int>
Int scaled(Int n, std::type_identity_t<Int> least = 1) {
    return std::max(least, static_cast<Int>(static_cast<double>(n) * scale()));
}

inline bool long_run() {
    const char* text = std::getenv("VOLE_TEST_LONG");
    return text != nullptr && std::string_view(text) == "1";
}

/// For stress tests: n takes about a second, and much longer in a long run.
template <class Int>
Int stress_scaled(Int n, std::type_identity_t<Int> least = 1) {
    return scaled(n, least) * static_cast<Int>(long_run() ? 60 : 1);
}

/// How long a state may take to come about before the test says that it never will. Generous: it decides
/// nothing but how soon a hang is reported, so a loaded machine must not reach it.
inline std::chrono::seconds patience() {
    return std::chrono::seconds(static_cast<int>(std::clamp(60 * slowdown(), 60.0, 300.0)));
}

}  // namespace vole::test
