// One direction of a pipe: how a reader and a writer are brought together. The rules are in pipe_lane.hpp.
//
// Where Go's net.Pipe differs: a write that waits for another one there notices neither deadline nor close before its
// turn, here at once; a read of no bytes waits for a writer there; and see there for writes of no bytes.
//
// Rejected: the one that comes second copies with the lock held. It spins, and a page of the memory may have to be fetched
// from a disk.
//
// Stack: goroutine, or an ordinary thread's.
#include "net/src/pipe_lane.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <vole/detail/bubble_id.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

void pipe_wake::ready_all() noexcept {
    while (first_ != nullptr) {
        pipe_waiter* w = std::exchange(first_, first_->woken);
        ready(std::exchange(w->g, nullptr));  // w is gone
    }
    end_ = &first_;
}

void pipe_lane::check_bubble(const char* operation) const noexcept {
    if (current_bubble_id() == bubble) return;
    message text;
    text << operation << " synctest pipe from outside bubble";
    fatal(text.c_str());
}

// ---- under the lock ---------------------------------------------------------------------------

// Whether an operation that begins now is over at once.
bool pipe_lane::is_refused(pipe_waiter& w) noexcept {
    using state = pipe_side::state;
    if (w.writes ? writers.is != state::open || readers.is != state::open
                 : readers.is == state::closed) {
        w.failure = net::errc::pipe_closed;
        return true;
    }
    if (!w.writes && (readers.is == state::shut || writers.is != state::open)) return true;
    if (!w.writes && w.left == 0) return true;
    if (!side(w.writes).late) return false;
    w.failure = net::errc::timeout;
    return true;
}

void pipe_lane::leave(pipe_waiter* w, pipe_wake& woken) noexcept {
    side(w->writes).remove(w);
    w->claimed = false;
    w->over = true;
    woken.add(w);
}

void pipe_lane::cancel(pipe_side& s, net::errc failure, pipe_wake& woken) noexcept {
    for (pipe_waiter* w = s.first; w != nullptr;) {
        pipe_waiter* next = w->next;
        if (w->failure == no_failure) w->failure = failure;
        w->told = true;
        if (!w->claimed) leave(w, woken);
        w = next;
    }
}

void pipe_lane::end(bool of_writers, pipe_side::state how, pipe_wake& woken) noexcept {
    pipe_side& s = side(of_writers);
    if (s.is == pipe_side::state::closed) return;
    s.is = how;
    const bool by_reader = !of_writers && how == pipe_side::state::closed;
    cancel(writers, net::errc::pipe_closed, woken);
    cancel(readers, by_reader ? net::errc::pipe_closed : no_failure, woken);
}

void pipe_lane::end_empty_writes(pipe_wake& woken) noexcept {
    while (readers.first != nullptr && writers.first != nullptr && writers.first->left == 0) {
        leave(writers.first, woken);
    }
}

// Who had the turn has left.
void pipe_lane::pass_turn(pipe_wake& woken) noexcept {
    busy_ = readers.first != nullptr && writers.first != nullptr;
    if (!busy_) return;
    writers.first->claimed = true;
    woken.add(writers.first);
}

// ---- one operation ----------------------------------------------------------------------------

bool pipe_lane::wait(pipe_waiter& w) VOLE_NO_TS {
    park_scope self;
    w.g = self.g();
    park_unlock(self.g(), mu, durable_if(bubble != 0, wait_reason::io));
    return !w.over;
}

[[gnu::always_inline]] inline pipe_lane::pair pipe_lane::match(pipe_waiter& w,
                                                               pipe_wake& woken) VOLE_NO_TS {
    for (;;) {
        if (w.told && !w.over) leave(&w, woken);
        end_empty_writes(woken);
        if (w.over) {
            pass_turn(woken);
            mu.release();
            woken.ready_all();
            return {};
        }
        if (readers.first != nullptr && writers.first != nullptr) {
            const pair found{writers.first, readers.first};
            found.from->claimed = found.to->claimed = true;
            mu.release();
            woken.ready_all();
            return found;
        }
        if (!woken.empty()) {
            mu.release();
            woken.ready_all();
            mu.acquire();
            continue;
        }
        busy_ = false;
        w.claimed = false;
        if (!wait(w)) return {};
        mu.acquire();
    }
}

[[gnu::always_inline]] inline pipe_lane::pair pipe_lane::begin(pipe_waiter& w) VOLE_NO_TS {
    const runtime_entry entry;
    check_inside(w.writes ? "write to" : "read of");
    mu.acquire();
    if (is_refused(w)) {
        mu.release();
        return {};
    }
    side(w.writes).push(&w);
    if (!busy_) {
        busy_ = true;
        w.claimed = true;
    } else {
        if (!wait(w)) return {};
        mu.acquire();
    }
    pipe_wake woken;
    return match(w, woken);
}

[[gnu::always_inline]] inline pipe_lane::pair pipe_lane::go_on(pipe_waiter& w,
                                                               const pair& copied) VOLE_NO_TS {
    const runtime_entry entry;
    mu.acquire();
    pipe_wake woken;
    copied.to->failure = no_failure;  // what came first is the bytes
    leave(copied.to, woken);
    if (copied.from->left == 0) {
        copied.from->failure = no_failure;
        leave(copied.from, woken);
    } else if (copied.from != &w) {
        copied.from->claimed = false;
        if (copied.from->told) leave(copied.from, woken);
    }
    return match(w, woken);
}

namespace {
void copy(pipe_waiter& from, pipe_waiter& to) noexcept {
    while (from.left != 0 && to.left != 0) {
        const std::size_t n = std::min(from.left, to.left);
        std::memcpy(const_cast<std::byte*>(to.at), from.at, n);  // a reader's: it came as one
        from.advance(n);
        to.advance(n);
    }
}
}  // namespace

void pipe_lane::transfer(pipe_waiter& w) {
    for (pair p = begin(w); p.from != nullptr; p = go_on(w, p)) copy(*p.from, *p.to);
}

}  // namespace vole::detail
