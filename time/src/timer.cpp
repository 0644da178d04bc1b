// Timers: what is set to go off. timer_core.hpp has the state, heap.hpp the entries.
//
// Invariants, under a timer's lock:
//  - `armed` is the deadline of the one entry that counts, never later than `when`; 0: there is none. An
//    entry that comes up too early, since the timer was set to a later time, is pushed again;
//  - a function's timer that is pending is armed; one with a channel, only while somebody waits for the channel.
//    Else it is looked at when somebody looks at the channel (poll): a million timers that nobody reads cost
//    the heaps nothing;
//  - a value lies in the channel only if the timer has gone off since it was last set: setting and stopping
//    take it out.
//
// Locks: the timer's, then its channel's, then a heap's. Stack: goroutine, ordinary thread, or g0 (fire). User
// code runs in none of it: functions get goroutines of their own, and are destroyed by whoever drops the last
// handle, by stop() and by the goroutine that called them, outside all locks.
#include <new>

#include <vole/detail/explore_point.hpp>
#include <vole/panic.hpp>
#include <vole/runtime.hpp>
#include <vole/time.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/park.hpp"
#include "sync/internal/source.hpp"
#include "time/internal/alarm.hpp"
#include "time/src/heaps.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

// ---- life -------------------------------------------------------------------------------------

timer_core::timer_core(const functions& f) noexcept : of(f) {
    ::new (static_cast<void*>(mu)) lock(lock_rank::timer);
    static_assert(sizeof(lock) <= sizeof(mu));
    bubble_id = current_bubble_id();
}

void release_entry(timer_core* t) noexcept {
    // acq_rel: whoever frees it sees what the others did.
    if (t->refs.fetch_sub(1, memory_order_acq_rel) == 1) deep([t] { t->of.destroy(t); });
}

void release_timer(timer_core* t) noexcept {
    if (t->of.end != nullptr) {
        if (t->users.fetch_sub(1, memory_order_acq_rel) != 1) return;
        t->of.end(t);
    }
    release_entry(t);
}

namespace {

lock& lock_of(timer_core* t) noexcept { return *std::launder(reinterpret_cast<lock*>(t->mu)); }

// A timer with a channel. The channel is one user of it.
struct chan_timer final : timer_core, chan_source {
    chan_timer() noexcept : timer_core(functions_of), chan_source{&source_ops} {}

    static const functions functions_of;
    static const chan_source_ops source_ops;

    // Under the timer's lock.
    std::uint32_t waiting = 0;     // how many wait on the channel
    std::int64_t period = 0;       // 0: none
    chan_core* channel = nullptr;  // not counted: it says when it ends
};

constinit const timer_core::functions chan_timer::functions_of{
    nullptr, nullptr, [](timer_core* t) noexcept { delete static_cast<chan_timer*>(t); }};

// Being set keeps a function alive; where there is nothing to keep, the entry is enough.
void retain_setting(timer_core* t) noexcept {
    if (t->of.end != nullptr) t->users.fetch_add(1, memory_order_relaxed);
}
void release_setting(timer_core* t) noexcept {
    if (t->of.end != nullptr) release_timer(t);
}

chan_timer* timer_of(chan_source* s) noexcept { return static_cast<chan_timer*>(s); }
// Null: it has a function, or is an alarm.
chan_timer* with_channel(timer_core* t) noexcept {
    return &t->of == &chan_timer::functions_of ? static_cast<chan_timer*>(t) : nullptr;
}

// Whose time it goes by. The caller is inside.
bubble* home_of(const timer_core* t) noexcept {
    return t->bubble_id != 0 ? current_bubble() : nullptr;
}

void check_bubble(const timer_core* t, const char* operation) noexcept {
    if (t->bubble_id == 0 || current_bubble_id() == t->bubble_id) [[likely]]
        return;
    message text;
    text << operation << " of synctest timer from outside bubble";
    fatal(text.c_str());
}

// ---- entries: under the timer's lock ----------------------------------------------------------

// The entry no longer counts.
void disarm(timer_core* t) noexcept {
    if (t->armed.load(memory_order_relaxed) == 0) return;
    t->armed.store(0, memory_order_relaxed);
    t->heap->add_dead();
}

bool needs_entry(timer_core* t) noexcept {
    if (!t->pending) return false;
    const chan_timer* c = with_channel(t);
    return c == nullptr || c->waiting != 0;
}

// Whether the entry that counts, if there is one, is all that is needed.
bool is_seen_to(timer_core* t) noexcept {
    const std::int64_t armed = t->armed.load(memory_order_relaxed);
    return !needs_entry(t) || (armed != 0 && armed <= t->when);
}

// Pushes an entry at t->when, which has a reference from the caller. h->mu is held, with room. True: it is the
// first.
bool push_entry(timer_core* t, timer_heap* h) noexcept VOLE_REQUIRES(h->mu) {
    t->heap = h;
    t->armed.store(t->when, memory_order_relaxed);
    return h->push(deadline::of(t->when, t));
}

// What changes a timer from outside: its lock, and an entry where one is needed afterwards.
class change {
  public:
    explicit change(timer_core* t) noexcept : t_(t) { lock_of(t).acquire(); }
    change(const change&) = delete;
    change& operator=(const change&) = delete;
    ~change() {
        if (!done_) lock_of(t_).release();
    }

    /// Ends the change. Throws std::bad_alloc if an entry is needed and there is no memory: a function's timer
    /// is stopped then.
    void end() VOLE_NO_TS {
        done_ = true;
        if (is_seen_to(t_)) {
            lock_of(t_).release();
            return;
        }
        arm();
    }

  private:
    void arm() VOLE_NO_TS {
        timer_heap* h = t_->bubble_id != 0 ? heap_of(current_bubble()) : heap_for_arming();
        h->mu.acquire();
        while (!h->has_room()) {
            h->mu.release();
            lock_of(t_).release();
            make_room(h);
            lock_of(t_).acquire();
            h->mu.acquire();
            // Somebody else may have seen to it meanwhile, or stopped it.
            if (is_seen_to(t_)) {
                h->mu.release();
                lock_of(t_).release();
                return;
            }
        }
        timer_heap* superseded = t_->armed.load(memory_order_relaxed) != 0 ? t_->heap : nullptr;
        t_->refs.fetch_add(1, memory_order_relaxed);
        const bool first = push_entry(t_, h);
        const std::int64_t when = t_->when;
        h->mu.release();
        lock_of(t_).release();
        if (superseded != nullptr) superseded->add_dead();
        if (first && t_->bubble_id == 0) watch_deadline(when, false);
    }

    timer_heap* heap_for_arming() {
        try {
            return heap_here();
        } catch (...) {
            give_up();
            throw;
        }
    }
    void make_room(timer_heap* h) VOLE_NO_TS {
        try {
            h->lock_with_room();
        } catch (...) {
            lock_of(t_).acquire();
            give_up();
            throw;
        }
        h->mu.release();
    }
    void give_up() noexcept VOLE_NO_TS {
        // One with a channel can do without an entry, as long as nobody waits: the caller sees to that.
        const bool stops = with_channel(t_) == nullptr && std::exchange(t_->pending, false);
        disarm(t_);
        lock_of(t_).release();
        if (stops) release_setting(t_);
    }

    timer_core* t_;
    bool done_ = false;
};

// ---- going off --------------------------------------------------------------------------------

// Of one that is due, under its lock: the channel gets its value; *wake is to be readied.
void send_value(chan_timer* t, std::int64_t now, G** wake) noexcept {
    if (t->channel != nullptr) chan_offer(t->channel, &t->when, wake);
    if (t->period == 0) {
        t->pending = false;
        return;
    }
    // The next on the grid that is ahead.
    const std::int64_t missed = (now - t->when) / t->period;
    std::int64_t next = 0;
    if (__builtin_mul_overflow(t->period, missed + 1, &next) ||
        __builtin_add_overflow(t->when, next, &next) || next == no_deadline) {
        next = no_deadline - 1;
    }
    t->when = next;
}

// Runs t's function in a goroutine of t's bubble, which has one user (or reference) from the caller.
bool start_call(timer_core* t) noexcept {
    struct task {
        timer_core* t;
        void operator()() const {
            struct at_end {
                timer_core* t;
                ~at_end() { release_timer(t); }
            } end{t};
            t->of.call(t);
        }
    };
    try {
        go(task{t});
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

constexpr std::int64_t retry_ns = 1'000'000;

// The entry has been taken out of `from`, which keeps room for it.
void push_again(timer_core* t, timer_heap* from) noexcept {
    const lock_guard held(from->mu);
    push_entry(t, from);
}

void make_ready(G* g, queueing how) noexcept {
    if (how == queueing::quietly) {
        ready_quietly(g);
    } else {
        ready(g, how == queueing::first);
    }
}

void fire_timer(timer_heap* from, timer_core* t, std::int64_t when, std::int64_t now,
                queueing how) noexcept {
    const bool counts_users = t->of.end != nullptr;  // a call may be over at once, and t gone
    G* wake = nullptr;
    bool keep = false;
    bool call = false;
    {
        const lock_guard held(lock_of(t));
        if (t->armed.load(memory_order_relaxed) == when) {
            t->armed.store(0, memory_order_relaxed);
            if (t->pending && t->when <= now) {
                if (chan_timer* c = with_channel(t); c != nullptr) {
                    send_value(c, now, &wake);
                } else {
                    t->pending = false;
                    call = true;
                }
            }
            keep = needs_entry(t);
            if (keep) push_again(t, from);
        }
    }
    if (call && t->of.expire != nullptr) {
        call = false;
        wake = t->of.expire(t);
    }
    if (wake != nullptr) make_ready(wake, how);
    if (call && !start_call(t)) {
        call = false;
        // No memory for a goroutine: once more, a little later.
        const lock_guard held(lock_of(t));
        if (!t->pending) {
            t->pending = true;
            t->when = now + retry_ns;
            push_again(t, from);
            keep = true;
        } else {
            release_setting(t);  // it was set anew meanwhile, and counts as a user for that
        }
    }
    // Without users to count, the entry's reference is the call's now.
    if (!keep && (counts_users || !call)) release_entry(t);
}

// Nearer than that, the exact clock is asked.
constexpr std::int64_t margin_ns = 200;

// Somebody looks at the channel.
void poll(chan_source* s) noexcept {
    chan_timer* t = timer_of(s);
    const runtime_pin pin;
    G* wake = nullptr;
    {
        const lock_guard held(lock_of(t));
        if (!t->pending) return;
        const bubble* home = home_of(t);
        if (t->when - margin_ns > about_now_in(home)) return;
        const std::int64_t now = now_in(home);
        if (t->when > now) return;
        send_value(t, now, &wake);
    }
    if (wake != nullptr) ready(wake);
}

void end_wait(chan_source* s) noexcept {
    chan_timer* t = timer_of(s);
    const runtime_pin pin;
    const lock_guard held(lock_of(t));
    if (--t->waiting == 0) disarm(t);
}

void begin_wait(chan_source* s) {
    chan_timer* t = timer_of(s);
    change c(t);
    ++t->waiting;
    try {
        c.end();
    } catch (...) {
        end_wait(s);
        throw;
    }
}

void channel_gone(chan_source* s) noexcept {
    chan_timer* t = timer_of(s);
    {
        const runtime_pin pin;
        const lock_guard held(lock_of(t));
        t->channel = nullptr;
        t->pending = false;
    }
    release_timer(t);
}

constinit const chan_source_ops chan_timer::source_ops{poll, begin_wait, end_wait, channel_gone};

}  // namespace

void fire(timer_heap* from, const deadline& d, std::int64_t now, queueing how) noexcept {
    if (G* g = d.sleeper(); g != nullptr) {
        __builtin_prefetch(g->sched.sp);  // as cold as g: it is about to run
        make_ready(g, how);
    } else {
        fire_timer(from, d.timer(), d.when, now, how);
    }
}

void drop_entry(const deadline& d) {
    if (d.sleeper() != nullptr) return;
    timer_core* t = d.timer();
    bool was = false;
    {
        const runtime_pin pin;
        const lock_guard held(lock_of(t));
        if (t->armed.load(memory_order_relaxed) == d.when) {
            t->armed.store(0, memory_order_relaxed);
            was = std::exchange(t->pending, false);
        }
    }
    if (was && t->of.call != nullptr) release_setting(t);
    release_entry(t);
}

// ---- the seam to <vole/time.hpp> --------------------------------------------------------------

void throw_uninitialized_timer(const char* text) { throw_runtime_error(text); }

namespace {
// One that is over at once must look so to whoever reads the exact clock next.
std::int64_t first_due(const bubble* in, std::int64_t d) noexcept {
    return d > 0 ? deadline_after(about_now_in(in), d) : now_in(in);
}
}  // namespace

timer_and_chan make_chan_timer(std::int64_t d, std::int64_t period) {
    explore_point("new timer", &explored_clock);
    const runtime_entry entry;
    auto* t = new (std::nothrow) chan_timer;
    if (t == nullptr) throw_bad_alloc();
    chan_core* c = chan_make_for(t, sizeof(std::int64_t), alignof(std::int64_t));
    if (c == nullptr) {
        delete t;
        throw_bad_alloc();
    }
    t->channel = c;
    t->pending = true;
    t->when = first_due(home_of(t), d);
    t->period = period;
    retain_timer(t);  // the channel
    return {t, c};
}

timer_and_chan make_ticker(std::int64_t d) {
    if (d <= 0) throw_runtime_error("non-positive interval for NewTicker");
    return make_chan_timer(d, d);
}

namespace {
// Nobody else knows it yet. Inside the runtime.
void start_new(timer_core* t, std::int64_t when) VOLE_NO_TS {
    bubble* home = home_of(t);
    timer_heap* h = home != nullptr ? heap_of(home) : heap_here();
    h->lock_with_room();
    t->users.store(2, memory_order_relaxed);  // the handle, and its being set
    t->refs.store(2, memory_order_relaxed);
    t->pending = true;
    t->when = when;
    const bool first = push_entry(t, h);
    h->mu.release();
    if (first && home == nullptr) watch_deadline(when, false);
}
}  // namespace

void start_func_timer(timer_core* t, std::int64_t d) {
    explore_point("after_func", &explored_clock);
    const runtime_entry entry;
    if (d > 0) {
        start_new(t, deadline_after(about_now_in(home_of(t)), d));
        return;
    }
    t->users.store(2, memory_order_relaxed);  // the handle, and its being set
    t->refs.store(t->of.end != nullptr ? 1 : 2, memory_order_relaxed);
    if (start_call(t)) return;
    release_timer(t);
    throw_bad_alloc();
}

void start_func_timer_at(timer_core* t, std::int64_t when) {
    explore_point("after_func", &explored_clock);
    const runtime_entry entry;
    start_new(t, when);
}

namespace {
// Takes an unread value out, under the timer's lock. False: there was none.
bool withdraw(timer_core* t) noexcept {
    const chan_timer* c = with_channel(t);
    return c != nullptr && c->channel != nullptr && chan_withdraw(c->channel);
}
}  // namespace

bool stop_timer(timer_core* t) {
    check_bubble(t, "stop");
    return stop_timer_anywhere(t);
}

bool stop_timer_anywhere(timer_core* t) {
    explore_point("stop timer", &explored_clock);
    bool prevented = false;
    {
        const runtime_entry entry;
        const lock_guard held(lock_of(t));
        prevented = std::exchange(t->pending, false);
        disarm(t);
        prevented |= withdraw(t);
    }
    if (prevented && t->of.call != nullptr) release_setting(t);
    return prevented;
}

bool reset_timer(timer_core* t, std::int64_t d, std::int64_t period) {
    explore_point("reset timer", &explored_clock);
    check_bubble(t, "reset");
    const runtime_entry entry;
    const std::int64_t when = first_due(home_of(t), d);
    const bool at_once = d <= 0 && t->of.call != nullptr && t->bubble_id == current_bubble_id();
    bool prevented = false;
    {
        change c(t);
        prevented = t->pending;
        prevented |= withdraw(t);
        t->when = when;
        if (chan_timer* with = with_channel(t); with != nullptr) with->period = period;
        t->pending = !at_once;
        if (at_once) {
            if (t->of.end == nullptr || !prevented) retain_timer(t);  // for the call
        } else if (t->of.call != nullptr && !prevented) {
            retain_setting(t);
        }
        c.end();
    }
    if (at_once && !start_call(t)) {
        release_timer(t);
        throw_bad_alloc();
    }
    return prevented;
}

// ---- alarms (time/internal/alarm.hpp) -----------------------------------------------------------

alarm::alarm(const functions& f) noexcept : timer_core(f) { bubble_id = 0; }

void set_alarm(alarm* t, std::int64_t when) {
    change c(t);
    t->when = when;
    t->pending = true;
    c.end();
}

void stop_alarm(alarm* t) noexcept {
    const lock_guard held(lock_of(t));
    t->pending = false;
    disarm(t);
}

// ---- tickers ----------------------------------------------------------------------------------

void reset_ticker(timer_core* t, std::int64_t d) {
    if (d <= 0) throw_runtime_error("non-positive interval for Ticker.Reset");
    if (t == nullptr) throw_runtime_error("time: Reset called on uninitialized Ticker");
    reset_timer(t, d, d);
}

}  // namespace vole::detail
