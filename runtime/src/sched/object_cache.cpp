// See <vole/detail/object_cache.hpp>. A magazine that runs empty or full exchanges half of what it can hold with the depot;
// the depot, when it has none or no room, with malloc.
//
// Lock: a leaf. Stack: any inside the runtime, small ones included.
#include "runtime/src/sched/object_cache.hpp"

#include <algorithm>
#include <cstdlib>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
constexpr bool objects_are_cached = false;
#else
constexpr bool objects_are_cached = true;
#endif

constexpr std::size_t bytes_of_class(std::size_t c) noexcept {
    return (c + 1) * object_step + object_slack;
}
constexpr std::size_t class_of(std::size_t bytes) noexcept {
    return bytes <= object_slack ? 0 : (bytes - object_slack - 1) / object_step;
}
static_assert(class_of(24) == 0 && class_of(25) == 1 && bytes_of_class(0) == 24);
static_assert(class_of(most_cached_bytes) == object_classes - 1);

class object_depot {
  public:
    std::uint32_t take(void** to, std::uint32_t most) noexcept {
        const lock_guard held(mu_);
        const std::uint32_t n = std::min(most, count_);
        count_ -= n;
        std::copy_n(objects_ + count_, n, to);
        return n;
    }
    /// How many of them it has room for: the last ones.
    std::uint32_t give(void* const* from, std::uint32_t n) noexcept {
        const lock_guard held(mu_);
        const std::uint32_t kept = std::min(n, limit - count_);
        std::copy_n(from + (n - kept), kept, objects_ + count_);
        count_ += kept;
        return kept;
    }
    std::uint32_t count() noexcept {
        const lock_guard held(mu_);
        return count_;
    }

  private:
    static constexpr std::uint32_t limit = 8 * object_magazine::limit;
    lock mu_{lock_rank::gslab};
    std::uint32_t count_ VOLE_GUARDED_BY(mu_) = 0;
    void* objects_[limit] VOLE_GUARDED_BY(mu_) = {};
};

constinit object_depot depots[object_classes];
constinit atomic<std::uint64_t> taken_without_p{0};

void* from_malloc(std::size_t bytes) noexcept {
    void* object = nullptr;
    deep([&] { object = os::malloc(bytes); });
    return object;
}

// How many there were: whoever needs one soon needs more, and the way to malloc may lead over another stack.
std::uint32_t several_from_malloc(std::size_t bytes, void** to, std::uint32_t most) noexcept {
    std::uint32_t n = 0;
    deep([&] {
        while (n < most && (to[n] = os::malloc(bytes)) != nullptr) ++n;
    });
    return n;
}

void to_malloc(void* const* objects, std::uint32_t n) noexcept {
    if (n == 0) return;
    deep([=] {
        for (std::uint32_t i = 0; i < n; ++i) std::free(objects[i]);
    });
}

// The magazine's upper `n`.
void put_away(std::size_t c, object_magazine& m, std::uint32_t n) noexcept {
    const std::uint32_t left = m.size() - n;
    m.count.store(left, memory_order_relaxed);
    void* const* out = m.objects + left;
    to_malloc(out, n - depots[c].give(out, n));
}

P* own_p() noexcept {
    const M* m = current_m();
    return m != nullptr ? m->p : nullptr;
}

[[gnu::noinline]] void* take_elsewhere(P* p, std::size_t bytes) noexcept {
    if (p == nullptr) {
        taken_without_p.fetch_add(1, memory_order_relaxed);
    } else {
        bump(p->stats.object_misses);
    }
    if (bytes > most_cached_bytes || !objects_are_cached) return from_malloc(bytes);
    const std::size_t c = class_of(bytes);
    if (p != nullptr) {
        object_magazine& m = p->objects[c];
        std::uint32_t got = depots[c].take(m.objects, object_magazine::limit / 2);
        if (got == 0) {
            got = several_from_malloc(bytes_of_class(c), m.objects, object_magazine::limit / 4);
        }
        m.count.store(got, memory_order_relaxed);
        return got != 0 ? m.pop() : nullptr;
    }
    return from_malloc(bytes_of_class(c));
}

}  // namespace

void* take_object(std::size_t bytes) noexcept {
    const runtime_pin pin;
    P* p = own_p();
    if (objects_are_cached && p != nullptr && bytes <= most_cached_bytes) [[likely]] {
        object_magazine& m = p->objects[class_of(bytes)];
        if (m.size() != 0) [[likely]] {
            bump(p->stats.object_hits);
            return m.pop();
        }
    }
    return take_elsewhere(p, bytes);
}

void give_object(void* object, std::size_t bytes) noexcept {
    const runtime_pin pin;
    P* p = own_p();
    if (!objects_are_cached || p == nullptr || bytes > most_cached_bytes) [[unlikely]]
        return to_malloc(&object, 1);
    const std::size_t c = class_of(bytes);
    object_magazine& m = p->objects[c];
    if (m.size() == object_magazine::limit) [[unlikely]]
        put_away(c, m, object_magazine::limit / 2);
    m.push(object);
}

void drain_objects(P* p) noexcept {
    for (std::size_t c = 0; c < object_classes; ++c)
        put_away(c, p->objects[c], p->objects[c].size());
}

std::uint64_t objects_taken_without_p() noexcept {
    return taken_without_p.load(memory_order_relaxed);
}

std::uint64_t object_cache_bytes() noexcept {
    std::uint64_t bytes = 0;
    for (std::size_t c = 0; c < object_classes; ++c) bytes += depots[c].count() * bytes_of_class(c);
    for (const auto& slot : sched.all_ps) {
        const P* p = slot.load(memory_order_acquire);
        if (p == nullptr) break;
        for (std::size_t c = 0; c < object_classes; ++c) {
            bytes += p->objects[c].size() * bytes_of_class(c);
        }
    }
    return bytes;
}

}  // namespace vole::detail
