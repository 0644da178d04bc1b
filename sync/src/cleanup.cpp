// The cleanup pool: goroutines that run the cleanups of dead objects, from one queue, first come first served.
//
// The invariant, under the lock: while something is queued, there is a worker that *looks*: it is not in a
// cleanup, has been started or has come back, and will take from the queue before it ends. Whoever adds to
// an empty pool, or takes one of several and leaves nobody looking, starts a worker first. So
//  - a cleanup that blocks, for ever if it likes, holds up no other: when it was begun, the rest of the queue had
//    somebody else already;
//  - nothing has to notice that workers block. A pool of a fixed size would need that; here their number is
//    that of the cleanups that are blocked or preempted, and of those that run: as many as there are Ps, if that
//    many are queued, since goroutines run on Ps and on nothing else. The price is one goroutine too many for
//    each burst, a tenth of a microsecond;
//  - there are no idle workers: one that finds nothing ends. So they are goroutines like any other, for
//    num_goroutine(), for the search for leaks and for deadlock detection: those that exist have a cleanup.
//
// When no worker can be started, for want of memory, the queue waits for the next one who adds, comes back from
// a cleanup or drains.
//
// An exception or goexit() that leaves a cleanup ends its worker, as the goroutine that it is; unwinding tells
// the pool.
//
// Workers belong to no bubble and inherit no name (CLN-9).
//
// Lock: the pool's, of rank sema: nothing else is locked while it is held, and it is taken with nothing held.
// Stack: queue_cleanups on any; workers on their own.
#include <exception>

#include <vole/managed.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/park.hpp"
#include "sync/src/cleanup.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

struct drain_waiter {
    G* g;
    drain_waiter* next;
};

struct cleanup_pool {
    lock mu{lock_rank::sema};
    cleanup* first VOLE_GUARDED_BY(mu) = nullptr;
    cleanup* last VOLE_GUARDED_BY(mu) = nullptr;
    std::uint64_t unfinished VOLE_GUARDED_BY(mu) = 0;  // queued or running
    std::uint32_t looking VOLE_GUARDED_BY(mu) = 0;
    drain_waiter* draining VOLE_GUARDED_BY(mu) = nullptr;

    /// True: the caller has to start a worker, which counts as looking from now on.
    bool must_start() noexcept VOLE_REQUIRES(mu) {
        if (first == nullptr || looking != 0) return false;
        ++looking;
        return true;
    }
};

constinit cleanup_pool pool;

// Null: nothing is queued, and the caller has ceased to look.
cleanup* take() noexcept;

// The caller's cleanup has ended. comes_back: and it looks for another.
void finish(bool comes_back) noexcept;

void run(cleanup* c) {
    struct at_end {
        cleanup* c;
        bool begun;
        bool comes_back = false;
        ~at_end() {
            if (begun) c->ops->drop(c);
            release_cleanup(c);
            finish(comes_back);
        }
    } end{c, c->leave_armed(cleanup::stage::begun)};
    if (end.begun) c->ops->run(c);
    end.comes_back = true;
}

void work(void*) {
    while (cleanup* c = take()) run(c);
}

constexpr closure_type worker{work, nullptr};

// False: not possible now.
bool start_worker() noexcept {
    try {
        const spawn_ticket t = spawn_begin({}, 0, 1);
        const runtime_pin pin;
        if (t.g->tags != nullptr) release_tags(t.g->tags);
        t.g->tags = make_tags("cleanup", nullptr, nullptr);  // without memory, it has no name
        spawn_commit(t, &worker);
        return true;
    } catch (const std::exception&) {
        const runtime_pin pin;
        const lock_guard held(pool.mu);
        --pool.looking;
        return false;
    }
}

cleanup* take() noexcept {
    cleanup* c = nullptr;
    bool start = false;
    {
        const runtime_pin pin;
        const lock_guard held(pool.mu);
        --pool.looking;
        c = pool.first;
        if (c == nullptr) return nullptr;
        pool.first = c->next;
        start = pool.must_start();
    }
    if (start) start_worker();
    return c;
}

void finish(bool comes_back) noexcept {
    bool start = false;
    {
        const runtime_pin pin;
        drain_waiter* released = nullptr;
        {
            const lock_guard held(pool.mu);
            if (comes_back) ++pool.looking;
            start = pool.must_start();
            if (--pool.unfinished == 0) {
                released = pool.draining;
                pool.draining = nullptr;
            }
        }
        while (released != nullptr) {
            const drain_waiter w = *released;  // it is gone once it is ready
            released = w.next;
            ready(w.g);
        }
    }
    if (start) start_worker();
}

}  // namespace

void queue_cleanups(cleanup* first) noexcept {
    std::uint64_t n = 1;
    cleanup* last = first;
    for (; last->next != nullptr; last = last->next) ++n;
    bool start = false;
    {
        const runtime_pin pin;
        const lock_guard held(pool.mu);
        if (pool.first == nullptr) {
            pool.first = first;
        } else {
            pool.last->next = first;
        }
        pool.last = last;
        pool.unfinished += n;
        start = pool.must_start();
    }
    if (start) start_worker();
}

}  // namespace vole::detail

namespace vole::inline v0 {

void drain_cleanups() {
    using namespace detail;
    const runtime_entry entry;
    pool.mu.acquire();
    const bool start = pool.must_start();
    pool.mu.release();
    if (start && !start_worker()) throw_bad_alloc();
    pool.mu.acquire();
    if (pool.unfinished == 0) {
        pool.mu.release();
        return;
    }
    park_scope self;
    drain_waiter w{self.g(), pool.draining};
    pool.draining = &w;
    park_unlock(self.g(), pool.mu, wait_reason::other);
}

}  // namespace vole
