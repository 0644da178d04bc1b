// See heaps.hpp, and runtime/internal/timers.hpp for who calls the driver.
#include "time/src/heaps.hpp"

#include <new>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

constexpr std::size_t batch = 16;
constexpr std::size_t batches_at_once = 8;  // then the goroutines they have readied may run

constinit atomic<timer_heap*> heaps[most_heaps] = {};

timer_heap* at(std::uint32_t p) noexcept { return heaps[p].load(memory_order_acquire); }

// Where others wait, one at a time, which goes first: those that are left are in better order in the heap than they
// would be behind the others, whose ring they could fill so that half of it must move to the global queue.
void run_one(timer_heap* h, std::int64_t now) noexcept {
    deadline due{};
    {
        const lock_guard held(h->mu);
        if (h->take_due(now, &due, 1) == 0) return;
    }
    fire(h, due, now, queueing::first);
    const lock_guard held(h->mu);
    h->settle(1);
}

void run(std::uint32_t p) noexcept {
    timer_heap* h = at(p);
    const std::int64_t now = timer_now();
    if (many_wait_here()) return run_one(h, now);
    std::size_t fired = 0;
    for (std::size_t round = 0; round < batches_at_once; ++round) {
        deadline due[batch];
        std::size_t n = 0;
        {
            const lock_guard held(h->mu);
            h->settle(fired);
            n = h->take_due(now, due, batch);
        }
        // One alone goes first; several keep their order.
        const auto how = n == 1 && round == 0 ? queueing::first : queueing::in_order;
        for (std::size_t i = 0; i < n; ++i) fire(h, due[i], now, how);
        fired = n;
        if (n < batch) break;
    }
    const lock_guard held(h->mu);
    h->settle(fired);
}

std::int64_t first(std::uint32_t p) noexcept { return at(p)->first_alive(); }

void retire(std::uint32_t p) noexcept {
    timer_heap* from = at(p);
    timer_heap* to = at(0);
    for (;;) {
        deadline moved[batch];
        std::size_t n = 0;
        {
            const lock_guard held(from->mu);
            n = from->take_due(no_deadline, moved, batch);
            from->settle(n);
        }
        if (n == 0) return;
        for (std::size_t i = 0; i < n; ++i) {
            try {
                to->lock_with_room();
            } catch (const std::bad_alloc&) {
                fatal("out of memory (timers of a P that ends)");
            }
            to->push(moved[i]);
            to->mu.release();
        }
    }
}

constexpr timer_driver driver{run, first, retire};

[[gnu::noinline]] timer_heap* make_heap(std::uint32_t p) {
    install_timer_driver(&driver);
    if (p != 0 && at(0) == nullptr) make_heap(0);  // for what is left when this P ends
    timer_heap* fresh = nullptr;
    deep([&] { fresh = new (std::nothrow) timer_heap(p); });
    if (fresh == nullptr) throw_bad_alloc();
    timer_heap* there = nullptr;
    // acq_rel: whoever sees the heap sees it complete.
    if (heaps[p].compare_exchange_strong(there, fresh, memory_order_acq_rel,
                                         memory_order_acquire)) {
        return fresh;
    }
    deep([fresh] { delete fresh; });
    return there;
}

}  // namespace

timer_heap* heap_here() {
    const std::uint32_t p = timer_home();
    timer_heap* h = at(p);
    return h != nullptr ? h : make_heap(p);
}

}  // namespace vole::detail
