// What a managed object has beside itself: its weak targets and its cleanups. The templates of
// <vole/managed.hpp> stand on it.
//
// The object and its shared_ptr's control block are two allocations. The lists hang from the deleter, which
// lies in the control block: std::get_deleter finds it from any shared_ptr to the object or a part of it, and
// it lives as long as the last weak handle, while the object's memory is gone with the last strong one
// (WEAK-7). An object without weak handles and cleanups costs nothing more than two empty lists.
//
// No lists need a lock. Who adds to them holds a strong reference, so the deleter does not run meanwhile; and
// when it runs, nobody adds. Adding is a push by compare-and-swap; only cleanups are ever taken out before, all
// at once, by an exchange (sync/src/managed.cpp).
#pragma once

#include <cstdint>
#include <memory>

#include <vole/detail/atomic.hpp>
#include <vole/detail/object_cache.hpp>

namespace vole::inline v0::detail {

/// One for each address in an object that weak handles were made from, so they are equal if their targets
/// are the same. Referred to by its handles, and by the list while the object lives.
struct weak_target : cached_object {
    std::weak_ptr<void> object;  // keeps the control block; empty: an object that never dies
    void* address = nullptr;
    weak_target* next = nullptr;
    atomic<std::uint32_t> refs{0};
    bool immortal = false;
};

/// A registered cleanup. Function and argument lie in the derived type, and are there while nobody has
/// begun or stopped it. Referred to by its handles, and by the object's list or the queue.
struct cleanup : cached_object {
    enum class stage : std::uint8_t {
        armed,
        begun,   // a worker runs it, or has
        stopped  // it never will
    };
    struct operations {
        void (*run)(cleanup* self);
        void (*drop)(cleanup* self) noexcept;  // function and argument
        void (*free)(cleanup* self) noexcept;  // the rest
    };

    explicit cleanup(const operations* o) noexcept : ops(o) {}
    cleanup(const cleanup&) = delete;
    cleanup& operator=(const cleanup&) = delete;

    /// True for one caller only, who then drops. acq_rel: what a stop() was called after, happened before
    /// a worker sees that it was stopped; and all of add_cleanup() before either.
    bool leave_armed(stage to) noexcept {
        stage seen = stage::armed;
        return at.compare_exchange_strong(seen, to, memory_order_acq_rel, memory_order_relaxed);
    }

    const operations* ops;
    cleanup* next = nullptr;
    atomic<std::uint32_t> refs{2};  // the list, and the handle that add_cleanup() gives
    atomic<stage> at{stage::armed};
};

inline void release_cleanup(cleanup* c) noexcept {
    // acq_rel: whoever frees it sees that the others have done with it.
    if (c->refs.fetch_sub(1, memory_order_acq_rel) == 1) c->ops->free(c);
}

struct managed_lists {
    atomic<weak_target*> targets{nullptr};
    atomic<cleanup*> cleanups{nullptr};
    atomic<std::uint32_t> length{0};  // of the cleanups, nearly
    atomic<std::uint32_t> sweep_at{32};
};

/// The object is gone: its cleanups are queued. From any thread and stack.
void managed_died(managed_lists& lists) noexcept;

class managed_deleter : public managed_lists {
  public:
    managed_deleter() noexcept = default;
    // On its way into the control block, before anybody can add to it.
    managed_deleter(managed_deleter&&) noexcept : managed_deleter() {}

    template <class T>
    void operator()(T* object) noexcept {
        delete object;
        // relaxed: whoever added held a reference, whose release the last one has acquired.
        if (targets.load(memory_order_relaxed) != nullptr ||
            cleanups.load(memory_order_relaxed) != nullptr) {
            managed_died(*this);
        }
    }
};

/// The target for an address in p's object, which `lists` belong to, with a reference for the caller. Throws
/// std::bad_alloc.
weak_target* make_target(managed_lists& lists, const std::shared_ptr<void>& p);
weak_target* make_immortal_target(void* address);
inline void retain_target(weak_target* t) noexcept { t->refs.fetch_add(1, memory_order_relaxed); }
void release_target(weak_target* t) noexcept;

[[noreturn]] void throw_misuse(const char* text);

/// Takes over the list's reference. The caller holds a strong reference to the object.
void register_cleanup(managed_lists& lists, cleanup* c) noexcept;

}  // namespace vole::detail
