// An int that no processor changes in one step: for what keeps values of a word otherwise than others.
#pragma once

#include <cstdlib>

namespace vole::test {

struct wide_int {
    wide_int(int n) noexcept
        : first(n), middle(~n), last(n) {}  // NOLINT(google-explicit-constructor)
    /// Ends the process if it was torn.
    operator int() const noexcept {  // NOLINT(google-explicit-constructor)
        if (middle != ~first || last != first) std::abort();
        return first;
    }
    friend bool operator==(const wide_int& a, const wide_int& b) noexcept {
        return int(a) == int(b);
    }
    friend bool operator==(const wide_int& a, int b) noexcept { return int(a) == b; }

    int first;
    int middle;
    int last;
};

}  // namespace vole::test
