// See runtime/internal/labels.hpp, and bubble.hpp for the tags that labels lie in.
// Lock: a leaf. Stack: any; what allocates or throws does so outside the runtime, or with room.
#include "runtime/internal/labels.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/lock.hpp"
#include "runtime/src/os/permanent.hpp"
#include "runtime/src/sched/sanitizer.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::uint16_t sizes[] = {112, 496, most_label_bytes};
constexpr std::size_t size_count = sizeof(sizes) / sizeof(sizes[0]);

struct free_blocks {
    lock mu{lock_rank::gslab};
    label_node* head[size_count] VOLE_GUARDED_BY(mu) = {};
};
constinit free_blocks blocks;

std::size_t size_for(std::size_t bytes) noexcept {
    std::size_t k = 0;
    while (sizes[k] < bytes) ++k;
    return k;
}

label_node* take_block(std::size_t bytes) noexcept {
    const std::size_t k = size_for(bytes);
    const runtime_pin pin;
    {
        const lock_guard held(blocks.mu);
        if (label_node* n = blocks.head[k]; n != nullptr) {
            blocks.head[k] = n->next_free;
            n->refs.store(1, memory_order_relaxed);
            return n;
        }
    }
    void* memory = permanent_alloc(sizeof(label_node) + sizes[k], alignof(label_node));
    if (memory == nullptr) return nullptr;
    auto* n = ::new (memory) label_node;
    n->room = sizes[k];
    return n;
}

}  // namespace

void release_labels(label_node* n) noexcept {
    // acq_rel: whoever uses the block again sees that the others have done with it.
    if (n == nullptr || n->refs.fetch_sub(1, memory_order_acq_rel) != 1) return;
    const std::size_t k = size_for(n->room);
    const runtime_pin pin;
    const lock_guard held(blocks.mu);
    n->next_free = blocks.head[k];
    blocks.head[k] = n;
}

namespace {

// TSan would see reads of what others write, and does: memcpy, for one. Byte by byte, volatile.
template <class F>
VOLE_NO_TSAN inline void each_byte(const label_node* n, F f) noexcept {
    const volatile label_node* now = n;
    const volatile char* from = n->text();
    const std::size_t bytes = std::size_t{now->bytes} < now->room ? now->bytes : now->room;
    for (std::size_t at = 0; at + 1 < bytes; ++at) f(from[at]);  // without the last NUL
}

}  // namespace

VOLE_NO_TSAN void describe_labels(const label_node* n, label_text& to) noexcept {
    to.length = 0;
    if (n == nullptr) return;
    bool is_key = true;
    to.add(' ');
    to.add('{');
    each_byte(n, [&](char c) {
        if (c != '\0') {
            to.add(c);
            return;
        }
        to.add(is_key ? ':' : ',');
        to.add(' ');
        is_key = !is_key;
    });
    to.add('}');
}

// FNV-1a.
VOLE_NO_TSAN std::uint64_t hash_labels(const label_node* n) noexcept {
    if (n == nullptr) return 0;
    std::uint64_t h = 0xcbf29ce484222325;
    each_byte(n, [&h](char c) { h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3; });
    return h;
}

namespace {

using pairs = std::vector<labels::pair>;

void add_pairs(pairs& to, const label_node* n) {
    if (n == nullptr) return;
    for (const char* at = n->text(); at != n->text() + n->bytes;) {
        const std::string_view key = at;
        const std::string_view value = at + key.size() + 1;
        to.emplace_back(key, value);
        at += key.size() + value.size() + 2;
    }
}

void check(const labels::pair& p) {
    if (p.first.empty()) throw std::invalid_argument("labels: a key is empty");
    for (const std::string_view s : {p.first, p.second}) {
        if (s.find('\0') == s.npos) continue;
        throw std::invalid_argument("labels: the key or value of \"" +
                                    std::string(p.first.data(), std::strlen(p.first.data())) +
                                    "\" contains a NUL");
    }
}

// Of two with one key, the later one.
label_node* make_node(pairs all) {
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::size_t bytes = 0;
    pairs kept;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i + 1 < all.size() && all[i].first == all[i + 1].first) continue;
        kept.push_back(all[i]);
        bytes += all[i].first.size() + all[i].second.size() + 2;
    }
    if (kept.empty()) return nullptr;
    if (bytes > most_label_bytes) {
        throw std::invalid_argument("labels: keys and values take " + std::to_string(bytes) +
                                    " bytes together, limit " + std::to_string(most_label_bytes) +
                                    ": leave some out");
    }
    label_node* n = take_block(bytes);
    if (n == nullptr) throw std::bad_alloc();
    char* at = n->text();
    for (const auto& [key, value] : kept) {
        for (const std::string_view s : {key, value}) {
            std::memcpy(at, s.data(), s.size());
            at += s.size();
            *at++ = '\0';
        }
    }
    n->bytes = static_cast<std::uint16_t>(bytes);
    return n;
}

}  // namespace

labels goroutine_labels() noexcept {
    const runtime_pin pin;
    const G* g = running_g();
    return labels::adopt(g != nullptr && g->tags != nullptr ? retain_labels(g->tags->labels)
                                                            : nullptr);
}

namespace {

// False: no memory. The goroutine's name and bubble stay.
bool change_labels(label_node* n) noexcept {
    const runtime_pin pin;
    G* g = running_g();
    if (g == nullptr) return true;
    g_tags* before = g->tags;
    const char* name = before != nullptr ? before->name : nullptr;
    bubble* in = before != nullptr ? before->in : nullptr;
    g_tags* after = nullptr;
    if (name != nullptr || in != nullptr || n != nullptr) {
        after = make_tags(name != nullptr ? std::string_view(name) : std::string_view(), in, n);
        if (after == nullptr) return false;
    }
    g->tags = after;
    if (before != nullptr) release_tags(before);
    return true;
}

}  // namespace

label_scope::~label_scope() {
    // Without memory for the way back, the ones inside stay: they are words for people.
    change_labels(before_.node());
}

}  // namespace vole::detail

namespace vole::inline v0 {

using namespace detail;

labels::labels(const labels& base, std::initializer_list<pair> more) {
    for (const pair& p : more) check(p);
    pairs all;
    add_pairs(all, base.node_);
    all.insert(all.end(), more.begin(), more.end());
    node_ = make_node(std::move(all));
}

labels labels::with(const labels& others) const {
    if (empty()) return others;
    if (others.empty()) return *this;
    pairs all;
    add_pairs(all, node_);
    add_pairs(all, others.node_);
    return labels(make_node(std::move(all)));
}

labels::labels(const labels& other) noexcept : node_(retain_labels(other.node_)) {}
labels::~labels() { release_labels(node_); }

void set_goroutine_labels(const labels& l) {
    if (!change_labels(l.node())) throw_bad_alloc();
}

}  // namespace vole
