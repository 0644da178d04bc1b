// select: one of several channel operations.
//
// First pass, without default's promise: a look at all cases without locks, then one of those that
// looked ready is tried, under its own channel's lock alone: any ready case may be chosen. Only
// "nothing is ready" needs one moment for all channels (CHAN-49), so what is left after that, a lost
// race included, goes the long way:
//   lock all channels (in the order of their addresses, each once); look again; take default, or
//   queue a waiter on each and park; on waking lock all again and remove the losers.
// The locks are released by park's commit. A partner may win the select as soon as the first of
// them is free, and the goroutine may even run: but it begins by taking all locks again, so this
// frame lives until the last has been released, and nothing is read after that.
// test/model/select.pml tries all orders.
//
// Locks: channel locks by address. Stack: goroutine, or an ordinary thread's.
#include <algorithm>
#include <cstddef>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/park.hpp"
#include "sync/src/channel.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

static_assert(sizeof(waiter) <= select_waiter_bytes);

// xorshift, and a multiplication instead of a division.
std::uint32_t random_below(std::uint32_t& state, std::uint32_t n) noexcept {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return static_cast<std::uint32_t>((std::uint64_t{state} * n) >> 32);
}

class selection : public parked_waiter {
  public:
    selection(select_case* cases, std::size_t n, select_waiter* waiters, std::uint32_t* poll,
              std::uint32_t* order) noexcept
        : parked_waiter{&kind_}, cases_(cases), waiters_(waiters), poll_(poll), order_(order) {
        n_ = static_cast<std::uint32_t>(n);
    }

    /// All cases with a channel, in random order.
    void shuffle() noexcept {
        std::uint32_t state = fast_random();
        for (std::uint32_t i = 0; i < n_; ++i) {
            if (cases_[i].c == nullptr) continue;  // never ready, takes no part
            const std::uint32_t at = count_ == 0 ? 0 : random_below(state, count_ + 1);
            poll_[count_] = poll_[at];
            poll_[at] = i;
            ++count_;
        }
    }

    std::uint32_t count() const noexcept { return count_; }

    /// Asks the sources of the channels for what is due. Fatal for channels of another bubble.
    void look_at_special() noexcept {
        looked_ = true;
        durable_ = true;
        for (std::uint32_t i = 0; i < n_; ++i) {
            if (cases_[i].c == nullptr) continue;
            const channel* c = as_channel(cases_[i].c);
            check_inside(c, "select on");
            durable_ &= c->bubble != 0;
            if (c->source == nullptr) continue;
            c->source->ops->poll(c->source);
            has_sources_ = true;
        }
    }

    /// Looks without locks, then tries one of those that looked ready, each as likely.
    std::size_t try_one() {
        std::uint32_t found = 0;
        for (std::uint32_t i = 0; i < n_; ++i) {
            const select_case& s = cases_[i];
            if (s.c == nullptr) continue;
            const channel* c = as_channel(s.c);
            special_ |= c->special;
            if (!c->closed.load(memory_order_acquire) &&
                (s.send ? c->send_blocked() : c->recv_blocked())) {
                continue;
            }
            poll_[found++] = i;
        }
        if (special_ && !looked_) [[unlikely]] {
            look_at_special();
            return try_one();
        }
        if (found == 0) return select_default;
        std::uint32_t at = 0;
        if (found > 1) at = choose_below(found);
        const std::uint32_t i = poll_[at];
        select_case& s = cases_[i];
        channel* c = as_channel(s.c);
        c->mu.acquire();
        G* wake = nullptr;
        const bool done = attempt(c, s, &wake);
        c->mu.release();
        if (wake != nullptr) ready(wake);
        return done ? fired(i) : select_default;
    }

    /// The same as decide(), told to the sources if it may wait: what they bring in before the locks are
    /// taken is found.
    std::size_t decide_with_sources(bool has_default) {
        if (!has_sources_ || has_default) [[likely]]
            return decide(has_default);
        struct waiting {
            const selection* s;
            std::uint32_t begun = 0;
            ~waiting() {
                s->each_source(begun, [](chan_source* c) { c->ops->end_wait(c); });
            }
        } told{this};
        each_source(n_, [&told](chan_source* c) {
            c->ops->begin_wait(c);
            ++told.begun;
        });
        return decide(has_default);
    }

    /// All channels at one moment; parks if nothing is ready.
    std::size_t decide(bool has_default) VOLE_NO_TS {
        sort();
        lock_all();
        for (std::uint32_t k = 0; k < count_; ++k) {
            select_case& s = cases_[poll_[k]];
            G* wake = nullptr;
            if (!attempt(as_channel(s.c), s, &wake)) continue;
            unlock_all();
            if (wake != nullptr) ready(wake);
            return fired(poll_[k]);
        }
        if (has_default) {
            unlock_all();
            return select_default;
        }
        return wait();
    }

  private:
    // Under c's lock. A closed channel is ready either way; fired() throws for a send.
    bool attempt(channel* c, select_case& s, G** wake) noexcept VOLE_REQUIRES(c->mu) {
        const bool closed = c->closed.load(memory_order_relaxed);
        if (s.send) {
            if (closed) {
                send_on_closed_ = true;
                return true;
            }
            return c->send_now(s.elem, wake);
        }
        if (c->recv_now(s.elem, wake)) {
            s.ok = true;
            return true;
        }
        s.ok = false;
        return closed;
    }

    std::size_t fired(std::size_t index) const {
        if (send_on_closed_) throw_send_on_closed();
        return index;
    }

    void sort() noexcept {
        std::copy(poll_, poll_ + count_, order_);
        std::sort(order_, order_ + count_, [this](std::uint32_t a, std::uint32_t b) {
            return std::less<>{}(cases_[a].c, cases_[b].c);
        });
    }

    // The first `most` of them.
    template <class F>
    void each_source(std::uint32_t most, F f) const {
        for (std::uint32_t i = 0; i < n_ && most != 0; ++i) {
            if (cases_[i].c == nullptr) continue;
            chan_source* s = as_channel(cases_[i].c)->source;
            if (s == nullptr) continue;
            f(s);
            --most;
        }
    }

    // Consecutive cases of one channel share its lock.
    template <class F>
    void each_channel(F&& f) noexcept {
        channel* last = nullptr;
        for (std::uint32_t k = 0; k < count_; ++k) {
            channel* c = as_channel(cases_[order_[k]].c);
            if (c != last) f(c);
            last = c;
        }
    }
    void lock_all() noexcept VOLE_NO_TS {
        each_channel([](channel* c) VOLE_NO_TS { c->mu.acquire(); });
    }
    // A channel's lock may be the last thing that keeps this frame alive: the next one is read
    // before it is released.
    void unlock_all() noexcept VOLE_NO_TS {
        channel* held = nullptr;
        each_channel([&held](channel* c) VOLE_NO_TS {
            if (held != nullptr) held->mu.release();
            held = c;
        });
        if (held != nullptr) held->mu.release();
    }

    // After the copy: links to a waiter on the stack follow it. A selector's waiters and cases lie
    // on the heap, and hold addresses of the stack.
    void follow(std::uint32_t i, const stack_move& mv) const noexcept VOLE_NO_TS {
        auto* w = reinterpret_cast<waiter*>(&waiters_[i]);
        if (mv.leaves(w)) {
            (w->is_sender ? w->c->senders : w->c->receivers).follow(w, mv);
        } else {
            w->claim = mv.moved(w->claim);
            if (mv.leaves(w->elem)) w->elem = mv.moved(static_cast<char*>(w->elem));
        }
        select_case& s = cases_[i];
        if (!mv.leaves(&s) && mv.leaves(s.elem)) s.elem = mv.moved(static_cast<char*>(s.elem));
    }

    // The stack of a waiting select moves: with all channels locked, and unless a partner has won.
    static bool move_all(const parked_waiter* self, stack_move& mv) noexcept VOLE_NO_TS {
        const auto* s = static_cast<const selection*>(self);
        const auto channel_at = [s](std::uint32_t k) {
            return as_channel(s->cases_[s->order_[k]].c);
        };
        std::uint32_t held = 0;  // of order_, whose equal neighbours share a lock
        while (held < s->count_ && ((held > 0 && channel_at(held) == channel_at(held - 1)) ||
                                    channel_at(held)->mu.try_acquire())) {
            ++held;
        }
        const bool waits = held == s->count_ && s->claim_.load(memory_order_acquire) == 0;
        if (waits) {
            mv.copy(mv);
            for (std::uint32_t k = 0; k < s->count_; ++k) s->follow(s->order_[k], mv);
        }
        for (std::uint32_t k = 0; k < held; ++k) {
            if (k == 0 || channel_at(k) != channel_at(k - 1)) channel_at(k)->mu.release();
        }
        return waits;
    }

    std::size_t wait() VOLE_NO_TS {
        park_scope self;
        G* g = self.g();
        for (std::uint32_t k = 0; k < count_; ++k) {
            const std::uint32_t i = order_[k];
            select_case& s = cases_[i];
            auto* w = ::new (static_cast<void*>(&waiters_[i])) waiter;
            w->g = g;
            w->elem = s.elem;
            w->claim = &claim_;
            w->c = as_channel(s.c);
            w->index = i;
            w->is_sender = s.send;
            (s.send ? w->c->senders : w->c->receivers).push(w);
        }
        g->param = nullptr;
        park(
            g, [](G*, void* p) { static_cast<selection*>(p)->unlock_all(); }, this,
            durable_if(durable_, wait_reason::select), this);
        lock_all();
        auto* winner = static_cast<waiter*>(g->param);
        for (std::uint32_t k = 0; k < count_; ++k) {
            const std::uint32_t i = order_[k];
            auto* w = reinterpret_cast<waiter*>(&waiters_[i]);
            (cases_[i].send ? w->c->senders : w->c->receivers).remove(w);
        }
        unlock_all();
        select_case& s = cases_[winner->index];
        s.ok = winner->success;
        if (s.send && !winner->success) throw_send_on_closed();
        return winner->index;
    }

    static const waiter_kind kind_;

    select_case* cases_;
    select_waiter* waiters_;
    std::uint32_t* poll_;   // cases with a channel, in random order
    std::uint32_t* order_;  // the same, by address of the channel
    std::uint32_t count_ = 0;
    std::uint32_t n_ = 0;
    bool send_on_closed_ = false;
    bool special_ = false;  // some channel is: then it is looked at
    bool looked_ = false;
    bool durable_ = false;  // all channels belong to the caller's bubble
    bool has_sources_ = false;
    atomic<std::uint32_t> claim_{0};
};

static_assert(offsetof(select_case, c) == 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"  // both compilers define it for derived structs
constinit const waiter_kind selection::kind_{.move = move_all,
                                             .object = offsetof(selection, cases_),
                                             .count = offsetof(selection, n_),
                                             .stride = sizeof(select_case)};
#pragma GCC diagnostic pop

void explore_select(const select_case* cases, std::size_t n) noexcept {
    operation op;
    op.what = "select";
    for (std::size_t i = 0; i < n; ++i) {
        if (cases[i].c != nullptr) op.touches(cases[i].c);
    }
    explore_here(op);
}

}  // namespace

std::size_t chan_select(select_case* cases, std::size_t n, bool has_default, select_waiter* waiters,
                        std::uint32_t* poll_order, std::uint32_t* lock_order) {
    if (explorations.load(memory_order_relaxed) != 0) [[unlikely]]
        explore_select(cases, n);
    const runtime_entry entry;
    selection s(cases, n, waiters, poll_order, lock_order);
    if (const std::size_t i = s.try_one(); i != select_default) return i;
    s.shuffle();
    if (s.count() == 0) {
        if (has_default) return select_default;
        for (;;) {
            park_scope self;
            park(
                self.g(), [](G*, void*) {}, nullptr, durable(wait_reason::select_no_cases));
        }
    }
    return s.decide_with_sources(has_default);
}

}  // namespace vole::detail
