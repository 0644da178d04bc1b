// weighted_semaphore: a queue of waiters in the object, guarded by the wait table's lock for its address.
//
// That lock outlives the semaphore: a releaser's last touch of it is the release of the lock, before it readies anybody.
//
// A waiter with a context is in two queues, this one and the context's list, and lies on the waiting stack. It
// queues itself in both with both locks held, which park's commit releases. Whoever moves its `claim` readies it; whoever
// touches it does so under the lock of the queue it is in; and it takes itself out of both before its frame ends. So
// the loser of that race, too, has found it alive.
//
// Locks: the bucket's, then the context's. Stack: goroutine, or an ordinary thread's.
#include <vole/semaphore.hpp>

#include <vole/detail/explore_point.hpp>
#include <vole/panic.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/park.hpp"
#include "sync/internal/context_node.hpp"
#include "sync/src/wait_table.hpp"

namespace vole::inline v0 {

using namespace detail;

VOLE_FITS_SMALL_STACK;

struct detail::semaphore_waiter : context_waiter {
    semaphore_waiter(G* self, std::int64_t wanted) noexcept : context_waiter(self), n(wanted) {}
    std::int64_t n;
    semaphore_waiter* before = nullptr;
    semaphore_waiter* after = nullptr;  // once served: the next that was
    bool queued = false;
};

namespace {

void check_weight(std::int64_t n) {
    if (n < 0) throw_runtime_error("semaphore: negative weight");
}

struct queue {
    semaphore_waiter*& first;
    semaphore_waiter*& last;

    void push(semaphore_waiter* w) const noexcept {
        w->queued = true;
        w->before = last;
        (last != nullptr ? last->after : first) = w;
        last = w;
    }
    void remove(semaphore_waiter* w) const noexcept {
        if (!w->queued) return;
        w->queued = false;
        (w->before != nullptr ? w->before->after : first) = w->after;
        (w->after != nullptr ? w->after->before : last) = w->before;
        w->after = nullptr;
    }
};

void wake(semaphore_waiter* served) noexcept {
    while (served != nullptr) {
        semaphore_waiter* w = served;
        served = w->after;
        ready(w->g);
    }
}

struct both_locks {
    lock* queue;
    lock* list;  // or null
};
void release_both(G*, void* p) noexcept VOLE_NO_TS {
    const both_locks held =
        *static_cast<const both_locks*>(p);  // its stack may go on at the first release
    if (held.list != nullptr) held.list->release();
    held.queue->release();
}

[[noreturn]] void throw_error(std::error_code e) {
    stack::ensure(throw_bytes, [e] { throw std::system_error(e); });
    __builtin_unreachable();
}

}  // namespace

bool weighted_semaphore::take_free(std::int64_t n) noexcept {
    if (first_ != nullptr || n > free_) return false;
    free_ -= n;
    return true;
}

// Those in front for whom there is enough. To be readied when the lock is free.
semaphore_waiter* weighted_semaphore::take_served() noexcept {
    semaphore_waiter* served = nullptr;
    semaphore_waiter** end = &served;
    while (first_ != nullptr && first_->n <= free_) {
        semaphore_waiter* w = first_;
        queue{first_, last_}.remove(w);
        if (!w->take(context_waiter::served)) continue;  // its context was done first
        free_ -= w->n;
        *end = w;
        end = &w->after;
    }
    return served;
}

// False: the context was done.
bool weighted_semaphore::wait(cancel_node* until, std::int64_t n) VOLE_NO_TS {
    lock& mu = bucket_of(this).mu;
    park_scope self;
    semaphore_waiter w(self.g(), n);
    both_locks held{&mu, nullptr};
    bool durable_here = bubble_ != 0 && bubble_ == current_bubble_id();
    if (until != nullptr) {
        until->mu.acquire();
        if (until->err.load(memory_order_relaxed) != 0) {
            until->mu.release();
            mu.release();
            return false;
        }
        until->link(&w);
        held.list = &until->mu;
        durable_here = durable_here && until->bubble == bubble_;
    }
    if (n <= size_) queue{first_, last_}.push(&w);
    park(self.g(), release_both, &held, durable_if(durable_here, wait_reason::semaphore));

    if (until != nullptr) {
        const lock_guard list(until->mu);
        until->unlink(&w);
    }
    semaphore_waiter* served = nullptr;
    const bool got = w.claim.load(memory_order_acquire) == context_waiter::served;
    if (!got) {
        const lock_guard waiting(mu);
        queue{first_, last_}.remove(&w);
        served = take_served();  // those behind it may have enough now
    }
    wake(served);
    return got;
}

bool weighted_semaphore::acquire_or_wait(cancel_node* until, std::int64_t n) VOLE_NO_TS {
    explore_point("acquire", this);
    check_weight(n);
    const runtime_entry entry;
    lock& mu = bucket_of(this).mu;
    mu.acquire();
    if (take_free(n)) {
        mu.release();
        return true;
    }
    return wait(until, n);
}

void weighted_semaphore::acquire(std::int64_t n) { acquire_or_wait(nullptr, n); }

void weighted_semaphore::acquire(const context& ctx, std::int64_t n, std::error_code& error) {
    error = ctx.err();
    if (error) return;
    cancel_node* until = ctx.node()->canceler;
    if (acquire_or_wait(until, n)) {
        error = ctx.err();
        if (error) release(n);  // both at once: that it is done counts
        return;
    }
    // What it was refused for; ctx.err() may say so only a moment later.
    error = make_error_code(static_cast<context_errc>(until->err.load(memory_order_relaxed)));
}

void weighted_semaphore::acquire(const context& ctx, std::int64_t n) {
    std::error_code error;
    acquire(ctx, n, error);
    if (error) throw_error(error);
}

bool weighted_semaphore::try_acquire(std::int64_t n) {
    explore_point("try_acquire", this);
    check_weight(n);
    const runtime_entry entry;
    const lock_guard held(bucket_of(this).mu);
    return take_free(n);
}

void weighted_semaphore::release(std::int64_t n) {
    explore_point("release", this);
    check_weight(n);
    const runtime_entry entry;
    lock& mu = bucket_of(this).mu;
    mu.acquire();
    if (n > size_ - free_) {
        mu.release();
        throw_runtime_error("semaphore: released more than held");
    }
    free_ += n;
    semaphore_waiter* served = take_served();
    mu.release();
    wake(served);
}

}  // namespace vole
