// See wait_table.hpp. The treap is kept by split and merge; depth is logarithmic, so recursion is
// shallow.
#include "sync/src/wait_table.hpp"

#include <cstddef>

namespace vole::inline v0::detail {

namespace {

constinit wait_bucket buckets[251];

using node = addr_waiter;

std::uintptr_t key(const node* n) noexcept { return reinterpret_cast<std::uintptr_t>(n->addr); }

// Keys below `at` to the left, the others to the right.
void split(node* t, std::uintptr_t at, node*& lower, node*& upper) noexcept {
    if (t == nullptr) {
        lower = upper = nullptr;
    } else if (key(t) < at) {
        split(t->right, at, t->right, upper);
        lower = t;
    } else {
        split(t->left, at, lower, t->left);
        upper = t;
    }
}

node* merge(node* lower, node* upper) noexcept {
    if (lower == nullptr) return upper;
    if (upper == nullptr) return lower;
    if (lower->priority > upper->priority) {
        lower->right = merge(lower->right, upper);
        return lower;
    }
    upper->left = merge(lower, upper->left);
    return upper;
}

// The link that holds the node of addr, or null.
node** find(node** link, const void* addr) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(addr);
    while (*link != nullptr && (*link)->addr != addr) {
        link = at < key(*link) ? &(*link)->left : &(*link)->right;
    }
    return *link != nullptr ? link : nullptr;
}

void insert(node*& root, node* n) noexcept {
    node* lower = nullptr;
    node* upper = nullptr;
    split(root, key(n), lower, upper);
    root = merge(merge(lower, n), upper);
}

// `with` takes the place of the node at `link`, as it stands in the tree.
void replace(node** link, node* with) noexcept {
    const node* old = *link;
    with->left = old->left;
    with->right = old->right;
    with->priority = old->priority;
    *link = with;
}

}  // namespace

wait_bucket& bucket_of(const void* addr) noexcept {
    return buckets[(reinterpret_cast<std::uintptr_t>(addr) >> 3) % 251];
}

std::uint32_t wait_bucket::next_priority() noexcept {
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    return random;
}

bool wait_bucket::has(const void* addr) const noexcept { return first(addr) != nullptr; }

const addr_waiter* wait_bucket::first(const void* addr) const noexcept {
    const node* n = root;
    const auto at = reinterpret_cast<std::uintptr_t>(addr);
    while (n != nullptr && n->addr != addr) n = at < key(n) ? n->left : n->right;
    return n;
}

void wait_bucket::push_back(addr_waiter* w) noexcept {
    w->next = nullptr;
    if (node** link = find(&root, w->addr); link != nullptr) {
        node* head = *link;
        head->last->next = w;
        head->last = w;
        return;
    }
    w->last = w;
    w->left = w->right = nullptr;
    w->priority = next_priority();
    insert(root, w);
}

void wait_bucket::push_front(addr_waiter* w) noexcept {
    node** link = find(&root, w->addr);
    if (link == nullptr) {
        push_back(w);
        return;
    }
    node* head = *link;
    w->next = head;
    w->last = head->last;
    replace(link, w);
}

addr_waiter* wait_bucket::pop(const void* addr) noexcept {
    node** link = find(&root, addr);
    if (link == nullptr) return nullptr;
    node* head = *link;
    if (head->next != nullptr) {
        head->next->last = head->last;
        replace(link, head->next);
    } else {
        *link = merge(head->left, head->right);
    }
    return head;
}

addr_waiter* wait_bucket::pop_all(const void* addr) noexcept {
    node** link = find(&root, addr);
    if (link == nullptr) return nullptr;
    node* head = *link;
    *link = merge(head->left, head->right);
    return head;
}

addr_waiter* wait_bucket::take(const void* addr, std::uint32_t ticket) noexcept {
    node** link = find(&root, addr);
    if (link == nullptr) return nullptr;
    node* head = *link;
    if (head->ticket == ticket) return pop(addr);
    for (node* before = head; before->next != nullptr; before = before->next) {
        node* n = before->next;
        if (n->ticket != ticket) continue;
        before->next = n->next;
        if (head->last == n) head->last = before;
        return n;
    }
    return nullptr;
}

void ready_all(addr_waiter* all) noexcept {
    while (all != nullptr) {
        addr_waiter* w = all;
        all = w->next;  // w is gone once its goroutine runs
        ready(w->g, false);
    }
}

bool wait_bucket::move(const addr_waiter* old, stack_move& mv) noexcept {
    node** link = find(&root, old->addr);
    if (link == nullptr) return false;
    node* head = *link;
    node* before = nullptr;
    for (node* n = head; n != old; n = n->next) {
        if (n == nullptr) return false;
        before = n;
    }
    mv.copy(mv);
    node* now = mv.moved(const_cast<node*>(old));
    (before == nullptr ? *link : before->next) = now;
    if (before != nullptr && head->last == old) head->last = now;
    return true;
}

namespace {

bool move_addr_waiter(const parked_waiter* self, stack_move& mv) noexcept {
    const auto* w = static_cast<const addr_waiter*>(self);
    if (mv.leaves(w->addr)) return false;
    wait_bucket& b = bucket_of(w->addr);
    if (!b.mu.try_acquire()) return false;
    const bool moved = b.move(w, mv);
    b.mu.release();
    return moved;
}

}  // namespace

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"  // both compilers define it for derived structs
constinit const waiter_kind address_waiter{.move = move_addr_waiter,
                                           .object = offsetof(addr_waiter, addr)};
#pragma GCC diagnostic pop

}  // namespace vole::detail
