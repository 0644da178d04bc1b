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
};
}  // namespace detail

namespace {

struct alignas(64) reader_slot {
    atomic<std::uint32_t> busy{0};
    atomic<std::int32_t> readers{0};
};

// More than there will ever be goroutines; and half of what the count can hold.
constexpr std::int64_t borrowed = std::int64_t{1} << 30;

// The caller's, to be changed in this scope if there is one and the lock is spread.
class slot_turn {
  public:
    [[gnu::always_inline]] slot_turn(const atomic<reader_slots*>& slots,
                                     const atomic<std::uint64_t>& state,
                                     std::uint64_t spread) noexcept {
        // acquire: pairs with the release of who made them. There are some: the caller has seen `spread`.
        slot_ = slot_of<reader_slot>(slots.load(memory_order_acquire)->of, current_proc());
        if (slot_ == nullptr) return;
        slot_->busy.store(1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        may_ = (state.load(memory_order_acquire) & spread) != 0;
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

// False: by state_, then. The lock may be spread no more.
bool rw_mutex::enter_slot() noexcept {
    {
        slot_turn turn(slots_, state_, spread);
        if (turn.count(1)) [[likely]]
            return true;
        if (turn.has_slot()) return false;
    }
    make_slot<reader_slot>(slots_.load(memory_order_acquire)->of);  // for the next time
    return false;
}

bool rw_mutex::leave_slot() noexcept {
    slot_turn turn(slots_, state_, spread);
    return turn.count(-1);
}

// By a reader that holds the lock: it is not destroyed meanwhile.
void rw_mutex::spread_readers() noexcept {
    if (!can_fence_all_threads()) return;
    if (slots_.load(memory_order_acquire) == nullptr) {
        auto* fresh = new (std::nothrow) reader_slots;
        reader_slots* none = nullptr;
        // release: pairs with the acquire of who uses them.
        if (fresh == nullptr || !slots_.compare_exchange_strong(none, fresh, memory_order_acq_rel,
                                                                memory_order_relaxed)) {
            delete fresh;
        }
    }
    reads_.store(0, memory_order_relaxed);
    if (slots_.load(memory_order_relaxed) == nullptr) return;  // no memory: after as many again
    std::uint64_t seen = state_.load(memory_order_relaxed);
    do {
        if ((seen & (writer | waiters | spread | folding)) != 0) return;
        // acq_rel: it continues the chain that began with the last writer's release.
    } while (!state_.compare_exchange_weak(
        seen, (seen | spread) + static_cast<std::uint64_t>(borrowed) * one_reader,
        memory_order_acq_rel, memory_order_relaxed));
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
    for (int i = 0; !fence_all_threads(); ++i) spin_or_yield(i);  // it could before
    std::int64_t sum = 0;
    for_each_slot<reader_slot>(slots_.load(memory_order_acquire)->of, [&](reader_slot& s) {
        for (int i = 0; s.busy.load(memory_order_acquire) != 0; ++i) spin_or_yield(i);
        sum += s.readers.load(memory_order_relaxed);
        s.readers.store(0, memory_order_relaxed);
    });
    reads_.store(0, memory_order_relaxed);
    const std::uint64_t change = static_cast<std::uint64_t>(sum - borrowed) * one_reader - folding;
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
