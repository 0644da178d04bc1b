// A bubble under a scheduler of its own: one goroutine of it runs at a time, and who goes on is somebody's decision
// (the time library's: time/src/explore). The real scheduler only carries it out.
//
// The *turn* is the right to run in the bubble. Who has it gives it up when it waits, ends, or stands at a point (before an
// operation: vole/detail/explore_point.hpp) where the explorer names another. Goroutines of the bubble that become runnable do not get
// into any run queue: they are the explorer's, until it gives one of them the turn. The driver of the bubble has the
// turn while it runs, so what it wakes is collected before one of them is chosen. When nobody can go on the turn is
// free; it is given again by whoever readies one: from outside, then.
//
// The count of the bubble (bubble.hpp) holds for all that could run, not only for the one that does; so the driver
// wakes up exactly when nobody could.
//
// Who touches what: the explorer is called with its lock held, by the goroutine that has the turn, by the commit that gives
// the turn up, or by who readies; never by two at once.
//
// Locks: explorer::mu, a leaf (rank gslab), taken with channels' locks held. Stack: as noted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>

#include <vole/detail/explore_point.hpp>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/park.hpp"

namespace vole::inline v0::detail {

/// What a goroutine is about to do, or waits in.
struct operation {
    static constexpr std::size_t most = 4;
    const char* what = "start";
    const void* objects[most] = {};
    std::uint32_t count = 0;  // above `most`: it touches everything
    touch how = touch::writes;
    bool yields = false;  // others should go first

    static operation on_everything(const char* what) noexcept {
        operation op;
        op.what = what;
        op.count = most + 1;
        return op;
    }
    void touches(const void* object) noexcept {
        if (count < most) objects[count] = object;
        if (count <= most) ++count;
    }
};

/// Whose decision it is. Stack of the calls: with room for anything.
class explorer {
  public:
    explorer() = default;
    explorer(const explorer&) = delete;
    explorer& operator=(const explorer&) = delete;
    virtual ~explorer() = default;

    virtual void born(G* g) noexcept = 0;
    virtual void gone(G* g) noexcept = 0;
    virtual void can_run(G* g) noexcept = 0;
    /// `op`: what g, which has the turn, is about to do; who does it first, g among them. Null: g never goes on.
    virtual G* at_point(G* g, const operation& op) noexcept = 0;
    /// g, which has the turn, cannot go on (null: the driver has gone to sleep). Who goes on; null: nobody can.
    virtual G* next(G* g) noexcept = 0;
    /// A number below n.
    virtual std::uint32_t draw(std::uint32_t n) noexcept = 0;
    /// A panic that nobody has recovered.
    virtual void panicked(std::exception_ptr error, const char* text) noexcept = 0;

    lock mu{lock_rank::gslab};
    bool turn_free VOLE_GUARDED_BY(mu) = false;
};

/// The explorer of g's bubble, or null.
inline explorer* explorer_of(const G* g) noexcept {
    if (g->tags == nullptr) [[likely]]
        return nullptr;
    const bubble* b = bubble_of(g);
    return b != nullptr ? b->how : nullptr;
}
/// The caller's. Any stack.
explorer* current_explorer() noexcept;

/// The same as explore_point, for an operation on several objects.
void explore_here(const operation& op) noexcept;

/// One of n, by the caller's explorer; fast_random() decides where there is none.
std::uint32_t choose_below(std::uint32_t n) noexcept;

/// A panic of the caller that nobody has recovered. True: it is its explorer's.
bool explore_panic(const std::exception_ptr& error, const char* text) noexcept;

// ---- for the scheduler ------------------------------------------------------------------------

/// g, which has just become runnable, is its explorer's. Any stack.
void explore_enable(explorer* e, G* g) noexcept;
void explore_born(explorer* e, G* g) noexcept;
/// g is about to be recycled. In a commit.
void explore_gone(explorer* e, G* g) noexcept;
/// Who had the turn has parked or ended: gives it to the next one. In a commit.
void explore_pass(explorer* e, G* g) noexcept;
/// Makes g, which nobody else knows, run soon.
void explore_dispatch(G* g) noexcept;
/// ready(), of a goroutine with tags. True: g is its explorer's now.
inline bool explore_if_explored(G* g) noexcept {
    explorer* e = explorer_of(g);
    if (e == nullptr || g == bubble_of(g)->driver) [[likely]]
        return false;
    explore_enable(e, g);
    return true;
}
/// The driver has woken up.
void explore_take_turn(explorer* e) noexcept;
/// park(), of a goroutine of a bubble.
void park_in_bubble(M* m, G* g, park_commit commit, void* arg, wait_reason reason);

}  // namespace vole::detail
