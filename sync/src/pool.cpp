// pool: a shard for each P, with one item in private and the others in a deque that anybody may steal from.
//
// The shard of a P is used by whoever has the P, inside the runtime: one at a time, in an order that the
// hand-overs of the P make. Those without a P share one, under a lock. "Owner" below is whoever it is now.
//
// Private item: the owner takes and puts it with plain loads and stores. shrink() wants those of other Ps, too, so the
// owner says when it is at it: busy = 1, then it looks at the mode; shrink() sets the mode, makes all running
// threads pass a fence, then waits until busy is 0. As in runtime/internal/entry.hpp: one of the two sees the other, and the owner
// pays no fence. Where there is no membarrier, it does.
//
// Deque (Chase and Lev's; orders after Lê, Pop, Cohen and Zappa Nardelli): the owner pushes and pops at `bottom`, thieves
// take at `top`, which only grows. Each item is taken by exactly one:
//  - a thief takes by moving `top` by a compare-and-swap, the owner's pop of the last item does the same: one wins;
//  - the owner's pop of another item lowers `bottom` first, then, past a fence, reads `top`; a thief reads `top`, then,
//    past a fence, `bottom`. Either the thief sees the lower bottom, and leaves the item alone, or the owner sees
//    that top has come so far, and competes for it;
//  - a slot is used again only when top has passed it (push reads it, acquire), so a thief that read something else
//    from it finds top moved.
// The item's content travels with bottom: release, acquire. Rings that were outgrown are kept until the end, for thieves that still
// look into them: no more memory than the last one.
//
// What shrink() takes is aged: one list for all, under a lock, after everything else.
//
// Nothing is lost when Ps go: their shards stay, to be stolen from, and shrunk (SYNC-65).
//
// Rejected: one lock for each shard's items, which is as good for thieves, but costs the owner a read-modify-write
// for each put and get; the private item in the deque, since a pop needs a fence, and order says otherwise (SYNC-61).
//
// Locks: one of a few that all pools share, by address; rank gslab: nothing is locked inside.
// Stack: any, also a small one.
#include <vole/detail/explore_point.hpp>
#include <vole/detail/pool_core.hpp>

#include <cstdlib>
#include <new>
#include <utility>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/lock.hpp"
#include "runtime/internal/membarrier.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/internal/park.hpp"
#include "sync/src/proc_slots.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

struct alignas(64) shared_lock {
    lock mu{lock_rank::gslab};
};
constinit shared_lock locks[32];

lock& lock_of(const pool_core* p) noexcept {
    return locks[(reinterpret_cast<std::uintptr_t>(p) >> 4) % 32].mu;
}

void* allocate(std::size_t bytes) noexcept {
    void* p = nullptr;
    deep([&] { p = os::aligned_alloc(64, (bytes + 63) / 64 * 64); });
    return p;
}
void release(void* p) noexcept {
    if (p != nullptr) deep([&] { std::free(p); });
}

}  // namespace

// Followed by its slots, a power of two.
struct pool_core::ring {
    static constexpr std::uint64_t first_size = 16;

    std::uint64_t size;
    ring* outgrown;

    atomic<void*>& slot(std::uint64_t i) noexcept {
        return reinterpret_cast<atomic<void*>*>(this + 1)[i & (size - 1)];
    }

    static ring* make(std::uint64_t size) noexcept {
        void* p = allocate(sizeof(ring) + size * sizeof(atomic<void*>));
        if (p == nullptr) return nullptr;
        auto* r = ::new (p) ring{size, nullptr};
        for (std::uint64_t i = 0; i < size; ++i) ::new (&r->slot(i)) atomic<void*>(nullptr);
        return r;
    }
};

struct alignas(64) pool_core::shard {
    atomic<std::uint32_t> busy{0};
    atomic<void*> mine{
        nullptr};  // the private item; atomic for TSan's sake, which knows of no membarrier
    atomic<std::uint64_t> bottom{0};
    atomic<ring*> items{nullptr};
    alignas(64) atomic<std::uint64_t> top{0};

    // Owner. False: no room.
    bool push(void* x) noexcept {
        ring* r = items.load(memory_order_relaxed);
        const std::uint64_t b = bottom.load(memory_order_relaxed);
        // acquire: pairs with the thieves' compare-and-swap, after which they need the slot no more.
        if (r == nullptr || b - top.load(memory_order_acquire) >= r->size) return false;
        r->slot(b).store(x, memory_order_relaxed);
        bottom.store(b + 1, memory_order_release);
        return true;
    }

    // Owner.
    void* pop() noexcept {
        const std::uint64_t b = bottom.load(memory_order_relaxed);
        if (b == top.load(memory_order_relaxed)) return nullptr;
        bottom.store(b - 1, memory_order_release);
        atomic_thread_fence(memory_order_seq_cst);
        std::uint64_t t = top.load(memory_order_relaxed);
        if (t < b - 1)
            return items.load(memory_order_relaxed)->slot(b - 1).load(memory_order_relaxed);
        // One, or none: it is taken at the other end, as by a thief.
        void* x = nullptr;
        if (t == b - 1) {
            x = items.load(memory_order_relaxed)->slot(t).load(memory_order_relaxed);
            if (!top.compare_exchange_strong(t, t + 1, memory_order_seq_cst,
                                             memory_order_relaxed)) {
                x = nullptr;
            }
        }
        bottom.store(b, memory_order_release);
        return x;
    }

    // Anybody.
    void* steal() noexcept {
        for (;;) {
            std::uint64_t t = top.load(memory_order_acquire);
            atomic_thread_fence(memory_order_seq_cst);
            if (t >= bottom.load(memory_order_acquire)) return nullptr;
            // acquire, of the ring: it is complete. A newer one has the same item in its slot.
            void* x = items.load(memory_order_acquire)->slot(t).load(memory_order_relaxed);
            if (top.compare_exchange_strong(t, t + 1, memory_order_seq_cst, memory_order_relaxed)) {
                return x;
            }
        }
    }

    // Owner. True: `fresh` is in use now.
    bool grow(ring* fresh) noexcept {
        ring* old = items.load(memory_order_relaxed);
        if (old != nullptr) {
            if (fresh->size <= old->size) return false;
            const std::uint64_t b = bottom.load(memory_order_relaxed);
            for (std::uint64_t i = top.load(memory_order_acquire); i < b; ++i) {
                fresh->slot(i).store(old->slot(i).load(memory_order_relaxed), memory_order_relaxed);
            }
        }
        fresh->outgrown = old;
        items.store(fresh, memory_order_release);
        return true;
    }

    std::uint64_t size_about() const noexcept {
        const std::uint64_t t = top.load(memory_order_relaxed);
        const std::uint64_t b = bottom.load(memory_order_relaxed);
        return (b > t ? b - t : 0) + 1;
    }
};

// Followed by room for `capacity` of them.
struct pool_core::aged {
    std::size_t capacity;
    std::size_t size;

    void** items() noexcept { return reinterpret_cast<void**>(this + 1); }
    bool full() const noexcept { return size == capacity; }
    void add(void* x) noexcept { items()[size++] = x; }

    static aged* make(std::size_t capacity) noexcept {
        void* p = allocate(sizeof(aged) + capacity * sizeof(void*));
        return p != nullptr ? ::new (p) aged{capacity, 0} : nullptr;
    }
    void destroy(destroyer how) noexcept {
        for (std::size_t i = 0; i < size; ++i) how(items()[i]);
        release(this);
    }
};

// Says that its owner is at it.
inline void pool_core::begin(shard& s) noexcept {
    s.busy.store(1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    // acquire: pairs with the end of shrink(), which has taken what was there.
    if (mode_.load(memory_order_acquire) != mode_plain) [[unlikely]]
        begin_slow(s);
}

// The owner of a shard, for one step.
class pool_core::turn {
  public:
    [[gnu::always_inline]] explicit turn(pool_core& p) noexcept
        : own_(slot_of<shard>(p.slots_, current_proc())) {
        if (own_ != nullptr) [[likely]] {
            p.begin(*own_);
        } else {
            share(p);
        }
    }
    // release: pairs with shrink(), or with the next owner.
    [[gnu::always_inline]] ~turn() {
        if (mu_ == nullptr) [[likely]] {
            own_->busy.store(0, memory_order_release);
        } else if (own_ != nullptr) {
            mu_->release();
        }
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

    /// Null: prepare() has to make it.
    shard* own() const noexcept { return own_; }

  private:
    [[gnu::noinline]] void share(pool_core& p) noexcept VOLE_NO_TS {
        own_ = p.shared_.load(memory_order_acquire);
        mu_ = &lock_of(&p);
        if (own_ != nullptr) mu_->acquire();
    }

    const runtime_entry entry_;  // whoever only gets and puts gives way, too
    shard* own_;
    lock* mu_ = nullptr;  // null: it is that of the P
};

// Waits while shrink() is at it: for a step of it, since that does not give up its thread.
void pool_core::begin_slow(shard& s) noexcept {
    for (int round = 0;; ++round) {
        s.busy.store(1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        const std::uint32_t mode = mode_.load(memory_order_acquire);
        if (mode == mode_plain) return;
        if (mode == mode_fenced) {
            atomic_thread_fence(memory_order_seq_cst);
            if (mode_.load(memory_order_acquire) == mode_fenced) return;
        }
        s.busy.store(0, memory_order_release);
        if (mode == mode_unknown) {
            find_out();
        } else {
            spin_or_yield(round);
        }
    }
}

// Whether there is a membarrier.
void pool_core::find_out() noexcept {
    std::uint32_t before = mode_unknown;
    mode_.compare_exchange_strong(before, can_fence_all_threads() ? mode_plain : mode_fenced,
                                  memory_order_relaxed, memory_order_relaxed);
}

// Makes the shard that the caller is to use. Outside the runtime.
void pool_core::prepare() noexcept {
    make_slot<shard>(slots_);
    if (shared_.load(memory_order_relaxed) != nullptr) return;
    {
        const runtime_pin pin;
        if (slot_of<shard>(slots_, current_proc()) != nullptr) return;
    }
    void* p = allocate(sizeof(shard));
    if (p == nullptr) return;
    shard* none = nullptr;
    if (!shared_.compare_exchange_strong(none, ::new (p) shard(), memory_order_acq_rel,
                                         memory_order_relaxed)) {
        release(p);
    }
}

template <class F>
void pool_core::each_shard(F f) const noexcept {
    for_each_slot<shard>(slots_, f);
    if (shard* s = shared_.load(memory_order_acquire); s != nullptr) f(*s);
}

void* pool_core::steal() noexcept {
    void* x = nullptr;
    each_shard([&](shard& s) {
        if (x == nullptr) x = s.steal();
    });
    return x;
}

void* pool_core::take_aged() noexcept {
    if (!has_aged_.load(memory_order_relaxed)) return nullptr;
    const runtime_pin pin;
    const lock_guard held(lock_of(this));
    if (aged_ == nullptr || aged_->size == 0) return nullptr;
    void* x = aged_->items()[--aged_->size];
    if (aged_->size == 0) has_aged_.store(false, memory_order_relaxed);
    return x;
}

void* pool_core::get() noexcept {
    explore_point("get", this);
    {
        const turn t(*this);
        if (shard* own = t.own(); own != nullptr) [[likely]] {
            if (void* x = own->mine.load(memory_order_relaxed); x != nullptr) [[likely]] {
                own->mine.store(nullptr, memory_order_relaxed);
                return x;
            }
        }
    }
    return get_behind();
}

[[gnu::noinline]] void* pool_core::get_behind() noexcept {
    {
        const turn t(*this);
        if (shard* own = t.own(); own != nullptr) {
            if (void* x = own->pop(); x != nullptr) return x;
        }
    }
    if (void* x = steal(); x != nullptr) return x;
    return take_aged();
}

bool pool_core::put(void* item) noexcept {
    explore_point("put", this);
    {
        const turn t(*this);
        if (shard* own = t.own(); own != nullptr && own->mine.load(memory_order_relaxed) == nullptr)
            [[likely]] {
            own->mine.store(item, memory_order_relaxed);
            return true;
        }
    }
    return put_behind(item);
}

[[gnu::noinline]] bool pool_core::put_behind(void* item) noexcept {
    ring* fresh = nullptr;
    for (int attempt = 0;; ++attempt) {
        std::uint64_t wanted = 0;
        bool kept = false;
        {
            const turn t(*this);
            shard* own = t.own();
            if (own == nullptr) {
            } else if (own->mine.load(memory_order_relaxed) == nullptr) {
                own->mine.store(item, memory_order_relaxed);
                kept = true;
            } else {
                if (fresh != nullptr && own->grow(fresh)) fresh = nullptr;
                kept = own->push(item);
                const ring* r = own->items.load(memory_order_relaxed);
                wanted = r == nullptr ? ring::first_size : 2 * r->size;
            }
        }
        if (kept) [[likely]] {
            release(fresh);
            return true;
        }
        release(std::exchange(fresh, nullptr));
        if (wanted == 0) {
            if (attempt > 0) return false;
            prepare();
        } else if ((fresh = ring::make(wanted)) == nullptr) {
            return false;
        }
    }
}

// Inside the runtime throughout: owners wait for it.
void pool_core::collect(aged& to) noexcept {
    const runtime_pin pin;
    std::uint32_t before = mode_.load(memory_order_relaxed);
    for (int round = 0; before == mode_unknown || before == mode_shrinking ||
                        !mode_.compare_exchange_weak(before, mode_shrinking, memory_order_seq_cst,
                                                     memory_order_relaxed);
         ++round) {
        if (before == mode_unknown) {
            find_out();
        } else {
            spin_or_yield(round);
        }
        before = mode_.load(memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (before == mode_fenced || fence_all_threads()) {
        for_each_slot<shard>(slots_, [&](shard& s) {
            // acquire: pairs with the owner's release.
            for (int i = 0; s.busy.load(memory_order_acquire) != 0; ++i) spin_or_yield(i);
            if (to.full()) return;
            if (void* x = s.mine.load(memory_order_relaxed); x != nullptr) {
                s.mine.store(nullptr, memory_order_relaxed);
                to.add(x);
            }
        });
    }
    mode_.store(before, memory_order_release);
    if (shard* s = shared_.load(memory_order_acquire); s != nullptr && !to.full()) {
        const lock_guard held(lock_of(this));
        if (void* x = s->mine.exchange(nullptr, memory_order_relaxed); x != nullptr) to.add(x);
    }
    each_shard([&](shard& s) {
        while (!to.full()) {
            void* x = s.steal();
            if (x == nullptr) break;
            to.add(x);
        }
    });
}

void pool_core::shrink(destroyer destroy) noexcept {
    std::size_t most = 0;
    each_shard([&](const shard& s) { most += s.size_about(); });
    aged* list = aged::make(most);  // without memory, only what is aged goes
    if (list != nullptr) collect(*list);
    {
        const runtime_pin pin;
        const lock_guard held(lock_of(this));
        std::swap(list, aged_);
        has_aged_.store(aged_ != nullptr && aged_->size != 0, memory_order_relaxed);
    }
    if (list != nullptr) list->destroy(destroy);
}

// Again if destroying has put something in.
void pool_core::clear(destroyer destroy) noexcept {
    for (bool found = true; found;) {
        found = false;
        each_shard([&](shard& s) {
            void* x = s.mine.exchange(nullptr, memory_order_relaxed);
            for (; x != nullptr || (x = s.steal()) != nullptr; x = nullptr) {
                found = true;
                destroy(x);
            }
        });
        if (aged* list = std::exchange(aged_, nullptr); list != nullptr) {
            found = found || list->size != 0;
            list->destroy(destroy);
        }
    }
}

pool_core::~pool_core() {
    each_shard([](shard& s) {
        for (ring* r = s.items.load(memory_order_relaxed); r != nullptr;) {
            release(std::exchange(r, r->outgrown));
        }
    });
    release(shared_.load(memory_order_relaxed));
    free_slots(slots_);
}

}  // namespace vole::inline v0::detail
