// The two ends of net::pipe(): closing, deadlines, and how long they live. pipe_lane.hpp has the transfer of bytes.
//
// One piece of memory for both ends, their two lanes, and a timer for each side of a lane. An end owns the timers of its two
// sides. Each of the four timers is a reference to the memory until it has neither an owner nor an entry in a heap
// nor a call under way: so a call that comes late finds the pipe there, if closed.
//
// Deadlines. Setting one changes `when` and `version` under the lane's lock, then sets the timer, which has a lock that must
// be taken first, and then looks whether `version` is still the same; if not, the timer is set once more. So
// whoever set the timer last has set it to the last `when`. A call that comes for an earlier setting sees that `when` is
// ahead, or none, and does nothing: the one for the last setting is still to come (NET-45).
//
// Time is that of where the pipe was made: a bubble's, or the real one. A pipe of a bubble is used there only. To one from
// outside, a goroutine of a bubble may set a deadline: then the delay is taken over.
//
// Memory order: all is guarded by the lanes' locks, but `closed`, an exchange that decides who closes, and `refs`.
// Locks: a lane's, alone; a timer's, inside of time. Stack: goroutine, or an ordinary thread's.
#include <algorithm>
#include <limits>
#include <new>

#include <vole/detail/bubble_id.hpp>
#include <vole/detail/object_cache.hpp>
#include <vole/detail/timer_core.hpp>
#include <vole/time.hpp>

#include "net/src/pipe.hpp"
#include "net/src/pipe_lane.hpp"
#include "runtime/internal/bubble.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/timers.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

struct pipe_state;

struct side_timer final : timer_core {
    side_timer() noexcept : timer_core(functions_of) {}

    static const functions functions_of;

    pipe_state* home = nullptr;
    pipe_lane* lane = nullptr;
    bool of_writers = false;
};

struct pipe_end final : io_object {
    pipe_end() noexcept : io_object(io_kind::pipe) { network = "pipe"; }

    pipe_lane* in = nullptr;
    pipe_lane* out = nullptr;
    side_timer reads;   // of in's readers
    side_timer writes;  // of out's writers
    atomic<bool> closed{false};
};

struct pipe_state : cached_object {
    pipe_state() noexcept {
        for (int i = 0; i < 2; ++i) {
            pipe_end& e = ends[i];
            lanes[i].bubble = e.reads.bubble_id;
            e.in = &lanes[i];
            e.out = &lanes[1 - i];
            e.reads.home = e.writes.home = this;
            e.reads.lane = e.in;
            e.writes.lane = e.out;
            e.writes.of_writers = true;
        }
    }

    pipe_lane lanes[2];
    pipe_end ends[2];
    atomic<std::uint32_t> refs{4};
};

pipe_end* end_of(io_object* it) noexcept { return static_cast<pipe_end*>(it); }

void release(timer_core* t) noexcept {
    pipe_state* home = static_cast<side_timer*>(t)->home;
    // acq_rel: whoever frees it sees what the others did.
    if (home->refs.fetch_sub(1, memory_order_acq_rel) == 1) delete home;
}

// ---- deadlines --------------------------------------------------------------------------------

std::int64_t now_of(const pipe_lane& l) noexcept {
    const bubble* b = l.bubble != 0 ? current_bubble() : nullptr;
    return b != nullptr ? b->now.load(memory_order_relaxed) : timer_now();
}

// A timer has gone off: perhaps for what was set before.
void time_is_over(timer_core* t) {
    const auto* of = static_cast<side_timer*>(t);
    pipe_lane& l = *of->lane;
    const runtime_entry entry;
    pipe_wake woken;
    {
        const lock_guard held(l.mu);
        pipe_side& s = l.side(of->of_writers);
        if (s.when == 0 || s.when > now_of(l)) return;
        s.when = 0;
        s.late = true;
        l.cancel(s, net::errc::timeout, woken);
    }
    woken.ready_all();
}

constinit const timer_core::functions side_timer::functions_of{time_is_over, nullptr, release};

struct setting {
    std::int64_t when;
    std::uint32_t version;
};
setting setting_of(side_timer& t) noexcept {
    const runtime_pin pin;
    const lock_guard held(t.lane->mu);
    const pipe_side& s = t.lane->side(t.of_writers);
    return {s.when, s.version};
}

// Makes the timer go off when its side says, now that this has changed.
void follow_setting(side_timer& t) {
    for (setting wanted = setting_of(t);;) {
        if (wanted.when == 0) {
            stop_timer_anywhere(&t);
        } else {
            reset_timer(&t, std::max<std::int64_t>(wanted.when - now_of(*t.lane), 1), 0);
        }
        const setting now = setting_of(t);
        if (now.version == wanted.version) return;
        wanted = now;
    }
}

void change_deadline(pipe_side& s, std::int64_t when) noexcept {
    s.when = when;
    s.timed = s.timed || when != 0;
    ++s.version;
}

// False: the side has been closed.
bool set_side_deadline(side_timer& t, std::int64_t when) {
    pipe_lane& l = *t.lane;
    bool timed = false;
    {
        const runtime_entry entry;
        const std::int64_t now = clock::now().time_since_epoch().count();
        const bool late = when != 0 && when <= now;
        std::int64_t by_lane = 0;
        if (when > now && __builtin_add_overflow(when - now, now_of(l), &by_lane)) {
            by_lane = std::numeric_limits<std::int64_t>::max();
        }
        pipe_wake woken;
        {
            const lock_guard held(l.mu);
            pipe_side& s = l.side(t.of_writers);
            if (s.is == pipe_side::state::closed) return false;
            s.late = late;
            change_deadline(s, by_lane);
            if (late) l.cancel(s, net::errc::timeout, woken);
            timed = s.timed;
        }
        woken.ready_all();
    }
    if (!timed) return true;
    try {
        follow_setting(t);
    } catch (...) {  // no memory
        const runtime_pin pin;
        const lock_guard held(l.mu);
        change_deadline(l.side(t.of_writers), 0);
        throw;
    }
    return true;
}

// ---- closing ----------------------------------------------------------------------------------

void end_side(side_timer& t, pipe_side::state how, bool wakes) noexcept {
    pipe_lane& l = *t.lane;
    const runtime_pin pin;
    pipe_wake woken;
    {
        const lock_guard held(l.mu);
        l.end(t.of_writers, how, woken);
    }
    if (wakes) woken.ready_all();
}

void close_side(side_timer& t, bool wakes) noexcept {
    end_side(t, pipe_side::state::closed, wakes);
    {
        const runtime_pin pin;
        const lock_guard held(t.lane->mu);
        pipe_side& s = t.lane->side(t.of_writers);
        if (!s.timed) return;
        change_deadline(s, 0);
    }
    follow_setting(t);  // it stops it: no deadline can be set any more
}

void succeed_or(std::error_code& ec, net::errc failure) noexcept {
    if (failure == no_failure) {
        ec.clear();
    } else {
        ec = make_error_code(failure);
    }
}

// Before something that concerns both lanes.
void explore_end(const char* what, const pipe_end* e) noexcept {
    if (explorations.load(memory_order_relaxed) == 0) [[likely]]
        return;
    operation op;
    op.what = what;
    op.touches(e->in);
    op.touches(e->out);
    explore_here(op);
}

std::size_t do_transfer(pipe_lane& l, pipe_waiter& w, std::error_code& ec) {
    l.transfer(w);
    succeed_or(ec, w.failure);
    return w.moved;
}

}  // namespace

// ---- pipe.hpp ---------------------------------------------------------------------------------

std::pair<io_object*, io_object*> pipe_make() {
    auto* p = new pipe_state;
    return {&p->ends[0], &p->ends[1]};
}

std::size_t pipe_read(io_object* end, std::span<std::byte> to, std::error_code& ec) {
    pipe_lane& lane = *end_of(end)->in;
    explore_point("read", &lane);
    pipe_waiter w(to);
    return do_transfer(lane, w, ec);
}

std::size_t pipe_write(io_object* end, std::span<const std::span<const std::byte>> from,
                       std::error_code& ec) {
    pipe_lane& lane = *end_of(end)->out;
    explore_point("write", &lane);
    pipe_waiter w(from);
    return do_transfer(lane, w, ec);
}

void pipe_close(io_object* it, std::error_code& ec) noexcept {
    pipe_end* e = end_of(it);
    explore_end("close", e);
    e->in->check_inside("close of");
    // relaxed: all that closing does, and all that it decides on, is under the lanes' locks.
    if (e->closed.exchange(true, memory_order_relaxed)) return succeed_or(ec, net::errc::closed);
    close_side(e->reads, true);
    close_side(e->writes, true);
    ec.clear();
}

void pipe_shutdown(io_object* it, unsigned directions, std::error_code& ec) noexcept {
    pipe_end* e = end_of(it);
    explore_end("shutdown", e);
    e->in->check_inside("close of");
    if (e->closed.load(memory_order_relaxed)) return succeed_or(ec, net::errc::pipe_closed);
    if ((directions & dir_read) != 0) end_side(e->reads, pipe_side::state::shut, true);
    if ((directions & dir_write) != 0) end_side(e->writes, pipe_side::state::shut, true);
    ec.clear();
}

void pipe_set_deadline(io_object* it, unsigned directions, std::int64_t when, std::error_code& ec) {
    pipe_end* e = end_of(it);
    explore_end("set_deadline", e);
    e->in->check_inside("deadline of");
    const bool open = ((directions & dir_read) == 0 || set_side_deadline(e->reads, when)) &&
                      ((directions & dir_write) == 0 || set_side_deadline(e->writes, when));
    succeed_or(ec, open ? no_failure : net::errc::pipe_closed);
}

void pipe_destroy(io_object* it) noexcept {
    pipe_end* e = end_of(it);
    if (!e->closed.load(memory_order_relaxed)) {
        // Something of a bubble may be kept, and go, outside. Those who wait for it are the bubble's, and
        // may not be touched: either it has ended, or it is going to report the deadlock.
        const bool inside = e->in->bubble == 0 || e->in->bubble == current_bubble_id();
        close_side(e->reads, inside);
        close_side(e->writes, inside);
    }
    release_timer(&e->reads);
    release_timer(&e->writes);  // e is gone
}

}  // namespace vole::detail
