// grace: counting who is in, so that what is out of reach can be given back.
//
// Each P counts the sections that were entered and left on it, each number with one writer: no section writes
// where another P does. There are two pairs of counts; the *turn* says which one new sections use. A section may
// be left on another P than it was entered on: only the sums say something.
//
// is_out(turn): the sum of `out`, then that of `in`, read in this order, are equal. No section that was entered
// before the check can be in then: it is in the second sum, not in the first, and whoever is in the first is in
// the second, too, since each of its numbers was written before.
//
// A thing may be given back once both turns have been found out after it was put out of reach. New sections keep
// the current turn busy for ever, perhaps; so: wait for the other one, turn, wait for the one that was
// current. What is handed in collects in waiting_ meanwhile; a turn makes it draining_. Both are needed, since a
// section may have read the turn and been late in counting itself in.
//
// Who sees whom. A section counts itself in, then reads what it finds in reach; who hands in has put it out of reach, and
// then reads the counts. A full fence on both sides makes one of them see the other. A fence costs
// a section as much as all the rest, so it does without while `guarded` is not set in mode_: then who hands in
// sets it and makes all running threads pass a fence (membarrier), as in runtime/internal/entry.hpp:
//
//   section                                      who hands in, under the lock
//   S1  in++                                     H1  mode |= guarded
//   S2  load mode; a fence if it is guarded      H2  membarrier
//   S3  reads                                    H3  load the counts
//
// If H2 hits the section's thread after S1, H3 sees the count. If before, S2 sees H1, so there is a fence between
// S1 and S3. From then on all sections fence, and who hands in only needs one of his own; until
// ease(), after a number of sections, lifts it. Where there is no membarrier, it never does.
//
// The last one out. `pending` in mode_ says that something waits for a turn to be out. A section
// that leaves with `guarded` set passes a fence after out++, then looks at `pending` and the turn; it settles what
// there is if its own turn is not the current one. Who sets `pending`, or turns, looks at the
// counts again afterwards: one of the two sees the other. `pending` implies `guarded`, and is set before H2 along with it.
//
// Lock: one of a few that all objects share, by address; rank gslab: nothing is locked inside. It is held over
// a membarrier, once in some hundred sections at most, by ease(), and H2 after it.
// Stack: any, also a small one.
#include <vole/detail/grace.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/lock.hpp"
#include "runtime/internal/membarrier.hpp"
#include "sync/src/proc_slots.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

// Bits of mode_.
constexpr std::uint32_t turn_bit = 1;
constexpr std::uint32_t guarded = 2;
constexpr std::uint32_t pending = 4;

// When fences may be left out again: in powers of two, of sections on one P. What is handed in one by one would have it
// taken back at once.
constexpr std::uint64_t ease_after = 128;
constexpr std::uint64_t ease_after_prompt = 512;
constexpr std::uint32_t most_kept = 512;

struct alignas(64) shared_lock {
    lock mu{lock_rank::gslab};
};
constinit shared_lock locks[32];

lock& lock_of(const grace* g) noexcept {
    return locks[(reinterpret_cast<std::uintptr_t>(g) >> 6) % 32].mu;
}

// Of a slot of one's own.
template <class T>
void add_to(atomic<T>& n, std::type_identity_t<T> by, std::memory_order order) noexcept {
    n.store(n.load(memory_order_relaxed) + by, order);
}

}  // namespace

struct alignas(64) grace::slot {
    atomic<std::uint64_t> in[2] = {};
    atomic<std::uint64_t> out[2] = {};
    atomic<std::int64_t> count{0};
    // Only its owner touches these.
    retired_chain kept;
    retired_chain free;  // may be destroyed, by and by
};

unsigned grace::enter() noexcept {
    {
        const runtime_entry entry;  // whoever only reads gives way, too
        slot* here = slot_of<slot>(slots_, current_proc());
        if (here != nullptr) [[likely]] {
            const unsigned turn = mode_.load(memory_order_relaxed) & turn_bit;
            add_to(here->in[turn], 1, memory_order_relaxed);
            atomic_signal_fence(memory_order_seq_cst);
            if ((mode_.load(memory_order_relaxed) & guarded) != 0) {
                atomic_thread_fence(memory_order_seq_cst);
            }
            return turn;
        }
    }
    return enter_slow();
}

// Without a P, or for the first time with this one.
unsigned grace::enter_slow() noexcept {
    make_slot<slot>(slots_);
    const unsigned turn = mode_.load(memory_order_relaxed) & turn_bit;
    in_[turn].fetch_add(1, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    return turn;
}

bool grace::concerns(unsigned turn) const noexcept {
    const std::uint32_t mode = mode_.load(memory_order_relaxed);
    return (mode & pending) != 0 && (mode & turn_bit) != turn;
}

// True: there is more to do. release: what was read in the section was read before.
inline bool grace::leave_here(slot* here, unsigned turn) noexcept {
    if (here == nullptr) [[unlikely]] {
        out_[turn].fetch_add(1, memory_order_seq_cst);
        atomic_thread_fence(memory_order_seq_cst);
        return concerns(turn);
    }
    add_to(here->out[turn], 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    if ((mode_.load(memory_order_relaxed) & guarded) == 0) return false;
    atomic_thread_fence(memory_order_seq_cst);
    const std::uint64_t after = prompt_ ? ease_after_prompt : ease_after;
    if (here->out[turn].load(memory_order_relaxed) % after == 0) [[unlikely]]
        ease();
    return concerns(turn);
}

retired* grace::leave(unsigned turn) noexcept {
    {
        const runtime_pin pin;
        if (!leave_here(slot_of<slot>(slots_, current_proc()), turn)) [[likely]]
            return nullptr;
    }
    retired_chain nothing;
    return settle(nothing).first;
}

// What is given is kept, and as much given back that may be destroyed: an allocator gets back what it has just given
// away. Hundreds at once go past its caches.
void grace::trade(slot& here, retired_chain& given, retired_chain& free) noexcept {
    for (std::uint32_t n = given.size + 1; n > 0 && !here.free.empty(); --n) {
        free.push(here.free.pop());
    }
    here.kept.append(given);
    if (here.kept.size >= most_kept) given.append(here.kept);
}

// False: it is to be destroyed at once.
bool grace::put_by(retired_chain& free) noexcept {
    if (prompt_) return false;
    const runtime_pin pin;
    slot* here = slot_of<slot>(slots_, current_proc());
    if (here == nullptr) return false;
    here->free.append(free);
    return true;
}

retired* grace::leave(unsigned turn, retired_chain& given, std::int64_t added) noexcept {
    retired_chain free;
    {
        const runtime_pin pin;
        slot* here = slot_of<slot>(slots_, current_proc());
        if (here == nullptr) {
            count_.fetch_add(added, memory_order_relaxed);
        } else {
            add_to(here->count, added, memory_order_relaxed);
            if (!prompt_) trade(*here, given, free);
        }
        if (!leave_here(here, turn) && given.empty()) return free.first;
    }
    retired_chain settled = settle(given);
    if (!put_by(settled)) free.append(settled);
    return free.first;
}

// acquire: what the sections that have left did with what they found happened before.
bool grace::is_out(unsigned turn) const noexcept {
    std::uint64_t out = out_[turn].load(memory_order_acquire);
    for_each_slot<slot>(slots_, [&](slot& s) { out += s.out[turn].load(memory_order_acquire); });
    std::uint64_t in = in_[turn].load(memory_order_acquire);
    for_each_slot<slot>(slots_, [&](slot& s) { in += s.in[turn].load(memory_order_acquire); });
    return in == out;
}

// H1 and H2. False: the kernel cannot now.
bool grace::guard_sections() noexcept {
    const std::uint32_t mode = mode_.load(memory_order_relaxed);
    if ((mode & guarded) == 0) {
        mode_.store(mode | guarded | pending, memory_order_seq_cst);
        if (!fence_all_threads()) {
            mode_.store(mode, memory_order_relaxed);
            return false;
        }
    }
    atomic_thread_fence(memory_order_seq_cst);
    return true;
}

// Under the lock. Adds to `free` what nobody holds any more.
void grace::advance(retired_chain& free) noexcept {
    // What is handed in by hundreds pays for a membarrier each time.
    const bool was_guarded = (mode_.load(memory_order_relaxed) & guarded) != 0;
    const std::uint32_t after = prompt_ || was_guarded ? guarded : 0;
    if (!guard_sections()) return;
    const std::uint32_t turn = mode_.load(memory_order_relaxed) & turn_bit;
    if (is_out(turn ^ turn_bit) && is_out(turn)) {  // nobody is in: no need to turn
        free.append(waiting_);
        free.append(draining_);
        if (mode_.load(memory_order_relaxed) != (turn | after)) {
            mode_.store(turn | after, memory_order_relaxed);
        }
        return;
    }
    for (std::uint32_t now = turn;; now ^= turn_bit) {
        mode_.store(now | guarded | pending, memory_order_seq_cst);
        atomic_thread_fence(memory_order_seq_cst);
        if (!is_out(now ^ turn_bit)) return;  // the last of them comes here
        free.append(draining_);
        draining_.append(waiting_);
        if (draining_.empty()) {
            mode_.store(now | after, memory_order_relaxed);
            return;
        }
    }
}

retired_chain grace::settle(retired_chain& given) noexcept {
    const runtime_pin pin;
    const lock_guard held(lock_of(this));
    waiting_.append(given);
    retired_chain free;
    if (!waiting_.empty() || !draining_.empty()) advance(free);
    return free;
}

// Not while something waits: then those who leave have to look.
void grace::ease() noexcept {
    lock& mu = lock_of(this);
    if (!mu.try_acquire()) return;
    const std::uint32_t mode = mode_.load(memory_order_relaxed);
    if (waiting_.empty() && draining_.empty() && (mode & pending) == 0 && fence_all_threads()) {
        mode_.store(mode & turn_bit, memory_order_relaxed);
    }
    mu.release();
}

std::int64_t grace::count() const noexcept {
    std::int64_t n = count_.load(memory_order_relaxed);
    for_each_slot<slot>(slots_, [&](slot& s) { n += s.count.load(memory_order_relaxed); });
    return n;
}

retired* grace::take_all() noexcept {
    retired_chain all;
    for_each_slot<slot>(slots_, [&](slot& s) {
        all.append(s.kept);
        all.append(s.free);
    });
    all.append(waiting_);
    all.append(draining_);
    return all.first;
}

grace::~grace() { free_slots(slots_); }

}  // namespace vole::inline v0::detail
