// Channels that are fed by something that is no goroutine, a timer: the seam for the time library.
//
// Such a channel holds at most one value that nobody has received yet, and tells nobody so: len() and cap()
// are 0. The source is asked to put in what is due before anybody looks, and told who waits: while nobody
// does, it need not do anything.
//
// Locks: the source's own, then the channel's. No function here is called with the channel's lock held.
// Stack: goroutine, or an ordinary thread's, or g0; those of the source must be able to run on small stacks.
#pragma once

#include <cstddef>

#include <vole/detail/chan_core.hpp>

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

struct chan_source;

struct chan_source_ops {
    /// Somebody is about to look at the channel.
    void (*poll)(chan_source*) noexcept;
    /// Somebody is about to wait for it, or no longer does. The first may throw std::bad_alloc.
    void (*begin_wait)(chan_source*);
    void (*end_wait)(chan_source*) noexcept;
    /// The channel has ended; the source hears no more of it.
    void (*gone)(chan_source*) noexcept;
};

struct chan_source {
    const chan_source_ops* ops;
};

/// A channel that belongs to a source, and to the caller's bubble. Null: no memory.
chan_core* chan_make_for(chan_source* source, std::size_t elem_size,
                         std::size_t elem_align) noexcept;

/// Puts a value in, unless an unread one lies there, or gives it to somebody who waits: then *wake is to be
/// readied.
void chan_offer(chan_core* c, const void* elem, G** wake) noexcept;

/// Drops an unread value. False: there was none.
bool chan_withdraw(chan_core* c) noexcept;

}  // namespace vole::detail
