// Sets of labels as the runtime keeps them.
//
// A traceback may read one while it is dropped and its memory used for another. So blocks are never given back, only used
// again for a set that fits into one of the same size, and a reader that stays inside of its block reads at worst the
// wrong words. Counted references. Lock: gslab, inside.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vole/detail/atomic.hpp>
#include <vole/labels.hpp>

namespace vole::inline v0::detail {

struct label_node {
    atomic<std::uint32_t> refs{1};
    std::uint16_t room = 0;   // bytes of text that the block has; never changes
    std::uint16_t bytes = 0;  // of them in use: key, NUL, value, NUL, key ... in the order of keys
    label_node* next_free = nullptr;

    char* text() noexcept { return reinterpret_cast<char*>(this + 1); }
    const char* text() const noexcept { return reinterpret_cast<const char*>(this + 1); }
};

inline constexpr std::uint16_t most_label_bytes = 2000;

inline label_node* retain_labels(label_node* n) noexcept {
    if (n != nullptr) n->refs.fetch_add(1, memory_order_relaxed);
    return n;
}
/// Null is allowed. Any stack inside the runtime.
void release_labels(label_node* n) noexcept;

/// For people.
struct label_text {
    std::size_t length = 0;
    char text[2 * most_label_bytes + 8];

    void add(char c) noexcept { text[length++] = c; }
};
/// " {key: value, key: value}"; empty for none. Any stack with room for it, while others change what is read.
void describe_labels(const label_node* n, label_text& to) noexcept;
/// Equal for equal sets; 0 for none. As above.
std::uint64_t hash_labels(const label_node* n) noexcept;

}  // namespace vole::detail
