// See runnext.hpp, whose labels are used here.
#include "runtime/src/sched/runnext.hpp"

#include "runtime/internal/membarrier.hpp"

namespace vole::inline v0::detail {

namespace {

std::uintptr_t word_of(const G* g) noexcept { return reinterpret_cast<std::uintptr_t>(g); }

}  // namespace

sharing sharing_with_thieves() noexcept {
#if defined(VOLE_TSAN)
    return sharing::exchanged;
#else
    return fence_all_threads() ? sharing::fenced : sharing::exchanged;
#endif
}

bool runnext::steal(G* seen, const void* thief) noexcept {
    if (sharing_ == sharing::exchanged) {
        return next_.compare_exchange_strong(seen, nullptr, memory_order_acquire,
                                             memory_order_relaxed);
    }
    return steal_fenced(seen, reinterpret_cast<std::uintptr_t>(thief) | claimed);
}

bool runnext::steal_fenced(G* seen, std::uintptr_t claim) noexcept {
    std::uintptr_t expected = 0;  // T1
    if (!claim_.compare_exchange_strong(expected, claim, memory_order_seq_cst,
                                        memory_order_relaxed)) {
        return false;  // another thief's, or its owner has not looked since the last one
    }
    const bool fenced = fence_all_threads();                      // T2
    const bool there = next_.load(memory_order_acquire) == seen;  // T3
    expected = claim;
    if (!fenced || !there) {
        claim_.compare_exchange_strong(expected, 0, memory_order_relaxed, memory_order_relaxed);
        return false;
    }
    // T4. acquire, as the load above: what its owner, or the one before, did with the goroutine.
    if (!claim_.compare_exchange_strong(expected, word_of(seen) | stolen, memory_order_acq_rel,
                                        memory_order_relaxed)) {
        return false;
    }
    next_.compare_exchange_strong(seen, nullptr, memory_order_relaxed, memory_order_relaxed);  // T5
    return true;
}

// `out` has left the slot by the owner's hand, `in` has come: withdraws a claim, or finds out that `out` was a thief's.
G* runnext::resolve(G* out, const G* in) noexcept {
    std::uintptr_t seen = claim_.load(memory_order_relaxed);
    while (!is_complete(seen)) {
        if (seen == 0 ||
            claim_.compare_exchange_weak(seen, 0, memory_order_relaxed, memory_order_relaxed)) {
            return out;
        }
    }
    if (seen == (word_of(in) | stolen)) return out;
    claim_.store(0, memory_order_relaxed);
    return seen == (word_of(out) | stolen) ? nullptr : out;
}

// A theft is complete, and what the slot holds, if anything, is the thief's.
G* runnext::replace_stolen(G* g) noexcept {
    next_.exchange(g, memory_order_seq_cst);
    claim_.store(0, memory_order_relaxed);
    return nullptr;
}

}  // namespace vole::detail
