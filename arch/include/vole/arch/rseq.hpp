// Releasing a lock word without a read-modify-write.
//
// A locked instruction costs 7 ns where this was measured, half of an uncontended lock and unlock.
// A plain "compare, then store" costs one, but something set between the two would be overwritten.
// As a restartable sequence it is sound, with one obligation for those who set something:
//
//   releaser   vole_clear_if(&word, held): if word == held, word = 0, as one restartable sequence
//   setter     1 set a bit in word by a read-modify-write, with a lock that keeps other setters out
//              2 if restartable(): membarrier(PRIVATE_EXPEDITED_RSEQ)
//              3 look whether the bit is still there; start again if not
//
// After 2 every thread that was between its compare and its store has either stored (3 sees that
// the bit is gone) or started again (and sees the bit). From then on, while the bit stays set, no
// releaser's compare succeeds.
#pragma once

#include <cstdint>

extern "C" {
/// Release order. Returns 1 when *word was `expected` and is 0 now, else 0 and nothing happened.
int vole_clear_if(std::uint32_t* word, std::uint32_t expected) noexcept;
}
