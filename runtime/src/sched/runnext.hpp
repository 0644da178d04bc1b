// runnext: the slot for the goroutine that shall run next on a P. Its owner fills and empties it at every
// hand-over; a thief takes from it now and then.
//
// `fenced`: the owner empties it by a plain store, and the thief pays for both, by membarrier. (An exchange
// costs 7 ns, two for each goroutine that is started and waited for.) What they share is `claim`:
//
//   0          nothing                          owner, pop           thief
//   thief | 1  somebody is about to take        P1 g = next          T1 claim 0 -> me
//   g | 2      g is the thief's                 P2 next = null       T2 membarrier
//                                               P3 claim == 0?       T3 g = next
//                                                                    T4 claim me -> g | 2
//                                                                    T5 next g -> null
//
// T2 makes the owner pass a full fence somewhere. Behind P3: then P2 is visible at T3, and the thief sees
// null or something that was put in since. Before P3: then the owner sees the claim, whichever of P1 and P2
// came before the fence, and the claim decides: by compare-and-swap, either the owner withdraws it or the
// thief completes it. So the thief completes only while nothing has been popped since its fence; and each
// fill withdraws, too. A thief that stands still between T1 and T4 holds up other thieves, until
// the owner next uses the slot, but never the owner.
//
// A completed claim is cleared by the owner: when it takes g out (it was stolen), or when it next puts
// something in. It looks before it does so: a claim that is complete by then is of what was in the slot, and
// no thief can make another. One that completes while the owner fills the slot is either of what was in it, and
// is cleared, or already of what has just been put in, and stays: the owner has not taken that out yet. (To
// clear it made a goroutine run twice: once in some hundred million.) Hence `g | 2` says at every
// moment that the slot holds g, which is not the owner's, or nothing. Claims carry the thief's name, since
// one that was withdrawn must not be completed in another thief's place. test/model/runnext.py tries all
// orders of these steps.
//
// The fill stays an exchange: it is the "publish" half of the wake-up argument in idle.cpp, which needs the
// fence. Rejected: membarrier at the other end of that one, too; a thread falls asleep far more often than
// it steals from here.
//
// `exchanged`: both sides exchange; where the kernel has no membarrier, and under TSan, which does not see
// it. `alone`: there is no other P.
//
// Stack: any, on the thread that owns the P, except steal and peek (any thread that holds another P).
#pragma once

#include <cstdint>

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

enum class sharing : std::uint8_t { alone, fenced, exchanged };

/// What queues that others may steal from are to use in this process.
sharing sharing_with_thieves() noexcept;

class runnext {
  public:
    /// Only while nobody uses it.
    void set_sharing(sharing s) noexcept {
        sharing_ = s;
        // An old claim must not meet a goroutine that came back.
        claim_.store(0, memory_order_relaxed);
    }

    /// Owner: puts g in; gives back the goroutine it displaces.
    G* exchange(G* g) noexcept {
        if (sharing_ == sharing::alone) {
            G* old = next_.load(memory_order_relaxed);
            next_.store(g, memory_order_relaxed);
            return old;
        }
        if (is_complete(claim_.load(memory_order_relaxed))) [[unlikely]]
            return replace_stolen(g);
        G* old = next_.exchange(g, memory_order_seq_cst);
        if (claim_.load(memory_order_relaxed) != 0) [[unlikely]]
            return resolve(old, g);
        return old;
    }

    /// Owner: takes what is in it, or null.
    G* pop() noexcept {
        G* g = next_.load(memory_order_relaxed);
        if (g == nullptr) return nullptr;
        // acquire: pairs with exchange, for one that was put in by a previous owner of the P.
        if (sharing_ == sharing::exchanged) return next_.exchange(nullptr, memory_order_acquire);
        next_.store(nullptr, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);  // P2, P3
        if (claim_.load(memory_order_relaxed) != 0) [[unlikely]]
            return resolve(g, nullptr);
        return g;
    }

    G* peek() const noexcept { return next_.load(memory_order_relaxed); }
    G* peek_in_order() const noexcept { return next_.load(memory_order_seq_cst); }

    /// Thief: takes `seen` if it is still there. `thief`: an address of its own, of more than two bytes'
    /// alignment. May interrupt the other threads of the process.
    bool steal(G* seen, const void* thief) noexcept;

  private:
    friend struct debug_offsets;
    static constexpr std::uintptr_t claimed = 1;
    static constexpr std::uintptr_t stolen = 2;
    static bool is_complete(std::uintptr_t claim) noexcept { return (claim & stolen) != 0; }

    G* replace_stolen(G* g) noexcept;
    bool steal_fenced(G* seen, std::uintptr_t claim) noexcept;
    G* resolve(G* out, const G* in) noexcept;

    atomic<G*> next_{nullptr};
    atomic<std::uintptr_t> claim_{0};
    sharing sharing_ = sharing::exchanged;
};

}  // namespace vole::detail
