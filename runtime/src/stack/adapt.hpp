// The first segment of the next goroutine, learned from those that were started at the same place.
//
// A place is the code of `go`'s argument. Each has a kind of segment, at first the one asked for. When
// most of its goroutines outgrow that, the next ones get twice as much, up to 32 KiB; now and then one
// is started with half, to find out whether that would do by now. For policies dense and copying.
//
// Lock: none. A few hundred places are known; later ones keep what was asked for. Counts are updated
// without read-modify-write: one that is lost does not matter. Stack: any.
#pragma once

#include "runtime/src/stack/segment.hpp"

namespace vole::inline v0::detail {

struct start_choice {
    segment_kind kind;
    bool probe;  // smaller than learned, on trial
};

/// For a goroutine with that code that asked for `asked`.
start_choice choose_start(void (*entry)(void*), segment_kind asked) noexcept;
/// One has ended: its first segment was `kind`, and it outgrew it or not.
void learn_from(void (*entry)(void*), segment_kind kind, bool probe, bool grew) noexcept;

}  // namespace vole::detail
