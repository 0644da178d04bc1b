// rw_mutex: readers that count themselves on their P.
//
// Readers who all change one word take turns with its cache line, and two read-modify-writes are most of what one of
// them pays alone. After spread_after of them without a writer the lock is *spread*: each P has a slot of it, with a count
// that only the P's owner writes. A reader may come by one slot, or by state_, and leave by another: only the sum of
// all says how many there are. So that state_'s part does not fall below zero, `borrowed` readers are added to it meanwhile.
//
// Whoever is to set `writer` (lock(), try_lock()) gathers the readers first: one of those who want that moves the lock
// from `spread` to `folding`; the slots are not used any more then; adds the sum of all slots to state_, less
// what was borrowed, and ends `folding` by the same operation. The rules of rw_mutex.cpp know nothing of all this: while
// `writer` is set the count in state_ is right, and while it is not, nobody asks for it.
//
// Where writers have come meanwhile, it is spread to one P alone, its *home*: a reader's, in the hope that all come from
// there. Others go by state_. A writer on that P finds nobody in the middle of a change, for who changes that slot has the P: it
// gathers without a fence, by the operation that sets `writer`, and leaves the lock spread as it was, unless there is
// somebody to be let in or woken. A writer from elsewhere gathers as ever; then the hope was in vain, and the next one is a
// while off, longer each time. Goroutines on two Ps who share a lock that is never long at rest are on one of them for most of
// the time: the others wait.
//
// Who sees whom. A reader that is about to change its slot says so (busy), then looks whether `spread` is still set; who
// gathers has cleared it, makes all running threads pass a fence, then waits until no slot is busy. Either the
// reader sees that spread has gone, and leaves the slot alone, or who gathers waits for it and counts it.
// As in runtime/internal/entry.hpp the reader pays no fence for that. Where there is no membarrier, nothing is spread.
//
// Happens-before. writer -> reader: the reader's look at state_ (acquire) reads from the chain of read-modify-writes that
// begins with the writer's release; reader -> writer: the slot's busy, release to acquire.
//
// A reader that leaves by its slot touches nothing of the lock afterwards but the slot, and who gathers waits for that: the
// next writer may destroy it all (SYNC-96).
//
// Rejected: slots in a table that all locks share. A writer that waited for readers of another lock might wait for itself.
//
// Locks: none. Stack: any.
#include <vole/rw_mutex.hpp>

#include <new>

#include <vole/detail/object_cache.hpp>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/membarrier.hpp"
#include "runtime/internal/park.hpp"
#include "sync/src/proc_slots.hpp"

namespace vole::inline v0 {

VOLE_FITS_SMALL_STACK;

using namespace detail;

namespace detail {
struct reader_slots : cached_object {
    proc_slots of;

    // Whether to try a home, on the ground of how it went before. Nothing depends on it, so it need not be exact.
    /// At each look.
    bool hopes() noexcept {
        const std::uint32_t left = rests.load(memory_order_relaxed);
        if (left != 0) rests.store(left - 1, memory_order_relaxed);
        return left == 0;
    }
    void was_right() noexcept {
        writes.store(writes.load(memory_order_relaxed) + 1, memory_order_relaxed);
    }
    void was_wrong() noexcept {
        const bool paid = writes.exchange(0, memory_order_relaxed) >= enough_writes;
        const std::uint32_t n = paid ? 0 : failures.load(memory_order_relaxed);
        rests.store((1U << n) - 1, memory_order_relaxed);
        failures.store(n + (n < most_failures ? 1 : 0), memory_order_relaxed);
    }

    static constexpr std::uint32_t enough_writes = 64;
    static constexpr std::uint32_t most_failures = 11;
    atomic<std::uint32_t> rests{0};     // looks to be let pass
    atomic<std::uint32_t> writes{0};    // at the home that it has now, or had last
    atomic<std::uint32_t> failures{0};  // in a row
};
}  // namespace detail

namespace {

struct alignas(64) reader_slot {
    atomic<std::uint32_t> busy{0};
    atomic<std::int32_t> readers{0};
};

// The caller's, to be changed in this scope if there is one and the lock is spread.
class slot_turn {
  public:
    /// is_open(state, proc): whether that P's slot may be used.
    template <class Open>
    [[gnu::always_inline]] slot_turn(const atomic<reader_slots*>& slots,
                                     const atomic<std::uint64_t>& state, Open is_open) noexcept {
        const std::uint32_t proc = current_proc();
        // acquire: pairs with the release of who made them. There are some: the caller has seen `spread`.
        slot_ = slot_of<reader_slot>(slots.load(memory_order_acquire)->of, proc);
        if (slot_ == nullptr) return;
        slot_->busy.store(1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        may_ = is_open(state.load(memory_order_acquire), proc);
    }
    [[gnu::always_inline]] ~slot_turn() {
        if (slot_ != nullptr) slot_->busy.store(0, memory_order_release);
    }
    slot_turn(const slot_turn&) = delete;
    slot_turn& operator=(const slot_turn&) = delete;

    bool count(std::int32_t by) noexcept {
        if (!may_) return false;
        slot_->readers.store(slot_->readers.load(memory_order_relaxed) + by, memory_order_relaxed);
        return true;
    }
    bool has_slot() const noexcept { return slot_ != nullptr; }

  private:
    const runtime_entry inside_;
    reader_slot* slot_;
    bool may_ = false;
};

}  // namespace

bool rw_mutex::is_open(std::uint64_t state, std::uint32_t proc) noexcept {
    return (state & spread) != 0 && ((state & homed) == 0 || home_of(state) == proc);
}

// False: by state_, then. The lock may be spread no more, or to another P.
bool rw_mutex::enter_slot() noexcept {
    {
        slot_turn turn(slots_, state_, is_open);
        if (turn.count(1)) [[likely]]
            return true;
        if (turn.has_slot()) return false;
    }
    if ((state_.load(memory_order_relaxed) & homed) == 0) {
        make_slot<reader_slot>(slots_.load(memory_order_acquire)->of);  // for the next time
    }
    return false;
}

bool rw_mutex::leave_slot() noexcept {
    slot_turn turn(slots_, state_, is_open);
    return turn.count(-1);
}

// By a reader that holds the lock: it is not destroyed meanwhile.
void rw_mutex::spread_readers() noexcept {
    const std::uint32_t n = reads_.load(memory_order_relaxed);
    if (n < spread_after) return;  // no writer, but not for long enough
    reads_.store(0, memory_order_relaxed);
    if (!can_fence_all_threads() || !make_slots()) return;
    if ((n & wrote) == 0) {
        spread_to_all();
    } else if ((state_.load(memory_order_relaxed) & homed) != 0) {
        gather_readers();  // so many readers from elsewhere, and writers
    } else {
        spread_at_home();
    }
}

bool rw_mutex::make_slots() noexcept {
    if (slots_.load(memory_order_acquire) != nullptr) return true;
    auto* fresh = new (std::nothrow) reader_slots;
    if (fresh == nullptr) return false;  // no memory: after as many again
    reader_slots* none = nullptr;
    // release: pairs with the acquire of who uses them.
    if (!slots_.compare_exchange_strong(none, fresh, memory_order_acq_rel, memory_order_relaxed)) {
        delete fresh;
    }
    return true;
}

// Also if it is spread to one now, whose readers do not notice.
void rw_mutex::spread_to_all() noexcept {
    std::uint64_t seen = state_.load(memory_order_relaxed);
    std::uint64_t after = 0;
    do {
        if ((seen & (writer | folding)) != 0) return;
        after = (seen & spread) != 0 ? seen & ~(homed | home_mask) : (seen | spread) + borrowed;
        // acq_rel: it continues the chain that began with the last writer's release.
    } while (
        !state_.compare_exchange_weak(seen, after, memory_order_acq_rel, memory_order_relaxed));
}

void rw_mutex::spread_at_home() noexcept {
    reader_slots& slots = *slots_.load(memory_order_acquire);
    if (!slots.hopes()) return;
    make_slot<reader_slot>(slots.of);
    const runtime_pin pin;
    const std::uint32_t proc = current_proc();
    if (slot_of<reader_slot>(slots.of, proc) == nullptr) return;
    std::uint64_t seen = state_.load(memory_order_relaxed);
    do {
        if ((seen & (writer | spread | folding)) != 0) return;
        // acq_rel: as above.
    } while (!state_.compare_exchange_weak(seen,
                                           (seen | spread | homed | proc * home_unit) + borrowed,
                                           memory_order_acq_rel, memory_order_relaxed));
}

// Who has the home's P is its only user, and in no turn now. True: `writer` is set, and `seen` is what the state was
// before, the readers in it. Inside the runtime.
bool rw_mutex::write_at_home(std::uint64_t& seen) noexcept {
    const std::uint32_t proc = current_proc();
    while ((seen & (spread | homed)) == (spread | homed) && home_of(seen) == proc) {
        reader_slots& slots = *slots_.load(memory_order_acquire);
        reader_slot& slot = *slot_of<reader_slot>(slots.of, proc);
        // acquire: what readers who have left did happened before. It is 0: whoever set it had the P.
        (void)slot.busy.load(memory_order_acquire);
        const auto here = static_cast<std::uint64_t>(slot.readers.load(memory_order_relaxed));
        const std::uint64_t before = (seen & ~at_home_bits) - borrowed + here * one_reader;
        // acquire: pairs with the releases of the writers before, and of readers who left by state_.
        if (!state_.compare_exchange_weak(seen, before | writer, memory_order_acquire,
                                          memory_order_relaxed)) {
            continue;
        }
        if ((before & below_zero) != 0) fatal("sync: RUnlock of unlocked RWMutex");
        slot.readers.store(0, memory_order_relaxed);
        slots.was_right();
        rest_ = static_cast<std::uint32_t>(seen & at_home_bits);
        seen = before;
        return true;
    }
    return false;
}

// The state when neither is set, at that moment.
std::uint64_t rw_mutex::gather_readers() noexcept {
    const runtime_pin pin;
    std::uint64_t seen = state_.load(memory_order_relaxed);
    for (int round = 0; (seen & (spread | folding)) != 0;) {
        if ((seen & folding) != 0) {
            spin_or_yield(round++);
        } else if (state_.compare_exchange_strong(seen, (seen & ~spread) | folding,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
            fold();
        }
        seen = state_.load(memory_order_acquire);
    }
    return seen;
}

// By the one who has set `folding`. Nobody changes a slot once it is not busy.
void rw_mutex::fold() noexcept {
    const std::uint64_t seen = state_.load(memory_order_relaxed);
    reader_slots& slots = *slots_.load(memory_order_acquire);
    if ((seen & homed) == 0 || home_of(seen) != current_proc()) {
        for (int i = 0; !fence_all_threads(); ++i) spin_or_yield(i);  // it could before
        if ((seen & homed) != 0) slots.was_wrong();
    }
    std::int64_t sum = 0;
    for_each_slot<reader_slot>(slots.of, [&](reader_slot& s) {
        for (int i = 0; s.busy.load(memory_order_acquire) != 0; ++i) spin_or_yield(i);
        sum += s.readers.load(memory_order_relaxed);
        s.readers.store(0, memory_order_relaxed);
    });
    rest_ = 0;
    const std::uint64_t change = static_cast<std::uint64_t>(sum) * one_reader - borrowed - folding -
                                 (seen & (homed | home_mask));
    // release: what the readers did before they left goes to the next writer with it.
    const std::uint64_t after = state_.fetch_add(change, memory_order_acq_rel) + change;
    if ((after & below_zero) != 0) fatal("sync: RUnlock of unlocked RWMutex");
}

// One of the program's may be destroyed while goroutines go on, which the end of the process does not stop: these find
// the lock itself, as they would without slots.
void rw_mutex::drop_slots() noexcept {
    gather_readers();
    reader_slots* s = slots_.load(memory_order_relaxed);
    free_slots(s->of);
    delete s;
}

}  // namespace vole
