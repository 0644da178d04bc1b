// Two trees are compared leaf by leaf, though both are walked recursively: each walk is a sequence that pushes, pulled
// from by its own puller. And a generator, in a loop that is left early.
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include <vole/iter.hpp>

namespace {

struct tree {
    int value = 0;
    std::unique_ptr<tree> left = nullptr;
    std::unique_ptr<tree> right = nullptr;
};

std::unique_ptr<tree> node(std::unique_ptr<tree> left, int value, std::unique_ptr<tree> right) {
    return std::make_unique<tree>(tree{value, std::move(left), std::move(right)});
}
std::unique_ptr<tree> leaf(int value) { return node(nullptr, value, nullptr); }

/// Gives the values in order. False: nobody wants more.
bool walk(const tree* t, vole::iter::yielder<int> yield) {
    return t == nullptr ||
           (walk(t->left.get(), yield) && yield(t->value) && walk(t->right.get(), yield));
}

vole::iter::puller<int> values_of(const tree& t) {
    return vole::iter::pull<int>([&t](auto& yield) { walk(&t, yield); });
}

/// Whether they hold the same values, whatever their shapes. Stops at the first difference.
bool same_values(const tree& a, const tree& b) {
    auto in_a = values_of(a);
    auto in_b = values_of(b);
    for (;;) {
        const auto x = in_a.next();
        const auto y = in_b.next();
        if (x != y) return false;
        if (!x) return true;
    }
}

void collatz(int n, vole::iter::yielder<int> yield) {
    while (yield(n) && n != 1) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
}

}  // namespace

int main() {
    const auto balanced = node(node(leaf(1), 2, leaf(3)), 4, leaf(5));
    const auto leaning = node(leaf(1), 2, node(leaf(3), 4, leaf(5)));
    const auto other = node(leaf(1), 2, node(leaf(3), 4, leaf(6)));
    std::cout << "balanced and leaning: "
              << (same_values(*balanced, *leaning) ? "same" : "different")
              << "\nbalanced and other: " << (same_values(*balanced, *other) ? "same" : "different")
              << "\n27 climbs to";
    int highest = 0;
    for (int n : vole::generator<int>([](auto& yield) { collatz(27, yield); })) {
        if (n > 1000) break;
        if (n > highest) std::cout << ' ' << (highest = n);
    }
    std::cout << '\n';
}
