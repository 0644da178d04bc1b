// A lock-free stack of nodes that are never freed while it is in use, in two forms: with a word for its top,
// as one writes it first, and with a pair, as it must be.
//
// What goes wrong with the word (the ABA problem): pop() reads that A is on top and B is next. Before it
// exchanges the top, others pop A and B, and push A again. The top is A, as expected: the exchange succeeds, and B,
// which is somebody else's, is on the stack. The tag of the pair counts the changes, and is another now.
#pragma once

#include <vole/atomic_pair.hpp>

#include <atomic>
#include <cstdint>

namespace vole::test {

struct stack_node {
    // Atomic: a pop that comes too late reads it while its new owner pushes the node again.
    std::atomic<stack_node*> next{nullptr};
    std::atomic<int> owners{0};  // for tests: more than one is what must not happen
    int value = 0;
};

/// A word.
class bare_top {
  public:
    struct seen {
        stack_node* first;
    };
    seen load() const { return {word_.load()}; }
    bool replace(seen& expected, stack_node* by) {
        return word_.compare_exchange_strong(expected.first, by);
    }

  private:
    std::atomic<stack_node*> word_{nullptr};
};

/// The same with a tag.
class tagged_top {
  public:
    using seen = atomic_pair<stack_node*, std::uint64_t>::value_type;
    seen load() const { return pair_.load(); }
    bool replace(seen& expected, stack_node* by) {
        return pair_.compare_exchange(expected, {by, expected.second + 1});
    }

  private:
    atomic_pair<stack_node*, std::uint64_t> pair_;
};

template <class Top>
class lock_free_stack {
  public:
    void push(stack_node* n) {
        auto seen = top_.load();
        do {
            n->next.store(seen.first, std::memory_order_relaxed);
        } while (!top_.replace(seen, n));
    }

    /// Null: it is empty. `late` is called when the next node is known and the top is about to be exchanged.
    template <class F>
    stack_node* pop(F late) {
        auto seen = top_.load();
        while (seen.first != nullptr) {
            stack_node* next = seen.first->next.load(std::memory_order_relaxed);
            late();
            if (top_.replace(seen, next)) return seen.first;
        }
        return nullptr;
    }
    stack_node* pop() {
        return pop([] {});
    }

  private:
    Top top_;
};

}  // namespace vole::test
