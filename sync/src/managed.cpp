// Weak targets, and the lists of a managed object. vole/detail/managed_core.hpp says who may do what when.
//
// Why weak handles are equal exactly when they should: a target is found or made by somebody who holds the
// object, and stays in the object's list until the object dies; so for one object and address there is never a
// second one. A new object has lists of its own, even at the address of an old one, and an old target's memory
// is not used again while a handle refers to it.
//
// Why value() is right against the last release (WEAK-6): it is std::weak_ptr::lock(), which raises the strong
// count only if it is not zero; it is zero before the destructor begins, and for good.
//
// Locks: none. Stack: any; nothing here parks.
#include <memory>

#include <vole/managed.hpp>

#include "runtime/internal/deep.hpp"
#include "sync/src/cleanup.hpp"

namespace vole::inline v0::detail {

// ---- weak targets -----------------------------------------------------------------------------

namespace {

// In the list from `t` on, up to `end`; null: none.
weak_target* find(weak_target* t, const weak_target* end, const void* address) noexcept {
    while (t != end && t->address != address) t = t->next;
    return t == end ? nullptr : t;
}

}  // namespace

weak_target* make_target(managed_lists& lists, const std::shared_ptr<void>& p) {
    // acquire: pairs with the release below; a target is complete before it is seen.
    weak_target* seen = lists.targets.load(memory_order_acquire);
    if (weak_target* t = find(seen, nullptr, p.get()); t != nullptr) {
        retain_target(t);
        return t;
    }
    auto fresh = std::make_unique<weak_target>();
    fresh->object = p;
    fresh->address = p.get();
    fresh->refs.store(2, memory_order_relaxed);  // the list and the handle
    fresh->next = seen;
    while (!lists.targets.compare_exchange_weak(fresh->next, fresh.get(), memory_order_release,
                                                memory_order_acquire)) {
        // Others have come first: was this one among them?
        if (weak_target* t = find(fresh->next, seen, p.get()); t != nullptr) {
            retain_target(t);
            return t;
        }
        seen = fresh->next;
    }
    return fresh.release();
}

weak_target* make_immortal_target(void* address) {
    auto* t = new weak_target;
    t->address = address;
    t->refs.store(1, memory_order_relaxed);
    t->immortal = true;
    return t;
}

void release_target(weak_target* t) noexcept {
    // acq_rel: whoever deletes it sees that the others have done with it.
    if (t->refs.fetch_sub(1, memory_order_acq_rel) == 1) delete t;
}

// ---- cleanups ---------------------------------------------------------------------------------

namespace {

struct chain {
    cleanup* first = nullptr;
    cleanup* last = nullptr;
    std::uint32_t length = 0;

    void add(cleanup* c) noexcept {
        c->next = first;
        first = c;
        if (last == nullptr) last = c;
        ++length;
    }
};

void push(managed_lists& lists, const chain& c) noexcept {
    cleanup* seen = lists.cleanups.load(memory_order_relaxed);
    do {
        c.last->next = seen;
        // release: pairs with the acquire of the sweep; the deleter's is that of the reference count.
    } while (!lists.cleanups.compare_exchange_weak(seen, c.first, memory_order_release,
                                                   memory_order_relaxed));
}

// stop() knows the cleanup but not its list, which may be about to go. So stopped ones stay there, until the
// list has grown to twice what was left of it the last time.
void sweep(managed_lists& lists) noexcept {
    cleanup* c = lists.cleanups.exchange(nullptr, memory_order_acquire);
    chain kept;
    while (c != nullptr) {
        cleanup* next = c->next;
        if (c->at.load(memory_order_relaxed) == cleanup::stage::stopped) {
            release_cleanup(c);
        } else {
            kept.add(c);
        }
        c = next;
    }
    // Approximate, if others add or sweep at the same time.
    lists.length.store(kept.length, memory_order_relaxed);
    lists.sweep_at.store(kept.length < 16 ? 32 : 2 * kept.length, memory_order_relaxed);
    if (kept.first != nullptr) push(lists, kept);
}

}  // namespace

void register_cleanup(managed_lists& lists, cleanup* c) noexcept {
    chain one;
    one.add(c);
    push(lists, one);
    if (lists.length.fetch_add(1, memory_order_relaxed) + 1 >=
        lists.sweep_at.load(memory_order_relaxed)) {
        sweep(lists);
    }
}

void throw_misuse(const char* text) { throw_runtime_error(text); }

// Nobody else looks at the lists any more: that takes a strong reference.
void managed_died(managed_lists& lists) noexcept {
    weak_target* t = lists.targets.load(memory_order_relaxed);
    while (t != nullptr) {
        weak_target* next = t->next;
        release_target(t);
        t = next;
    }
    if (cleanup* c = lists.cleanups.load(memory_order_relaxed); c != nullptr) queue_cleanups(c);
}

}  // namespace vole::detail
