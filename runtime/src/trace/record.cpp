// The recorder: rings, numbers, and the order of events.
//
// *Order.* Each event takes its number from one counter, by fetch_add. What matters is that causes have smaller
// numbers than effects. A change of status is recorded before it is made, hence before the goroutine is
// published (queued, or its waiter's lock released) and before anybody can make the next change. Whoever makes
// that one got hold of the goroutine through what published it, an acquire of a release, so the first fetch_add
// happens before the second one, and a counter's values follow happens-before whatever the memory order: relaxed
// is enough. The same for Ps: who gives one up records that before it does; who takes it out of a list, or from
// M::next_p, or by a compare-and-swap on its status, records afterwards, before it can pass it on. A take that
// fails records nothing.
//
// Nearly every change is recorded even if it then turns out to be wrong (bad_transition): that event is the one to
// look for in the recording of the crash. At a switch both goroutines' changes are recorded together (record_switch),
// the leaving one's after it was made: it is not published before its commit, which comes later still.
//
// *Rings.* A P's ring is written by its owner; that of threads without a P by several. Neither takes a lock, for
// a lock would order threads that nothing else orders, and hide their races from TSan. A position in a ring is
// claimed by fetch_add, its slot by an exchange of its number for `busy`; who finds it busy has met somebody who
// is a whole round behind, and drops its event: a missing number, which the reader knows about.
//
// *Beginning.* The flag is set while all is quiet (record_control.cpp), so nobody is in the middle of a change that
// began without being recorded. Threads see it when they are woken, since waking orders.
//
// *End.* A bit in the counter: who takes a number with it set records nothing. So the set of events is decided
// by that instant, and all that is left is to wait for those which are half written. The flag falls afterwards, with a
// fence on every thread between: else one who sees it down might let others act, and number, before that instant,
// on what it did not record.
//
// Stack: any. Locks: none. Memory: mapped once for each P, kept.
#include "runtime/src/trace/record.hpp"

#include <bit>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/membarrier.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

static_assert(std::endian::native == std::endian::little);

constinit atomic<bool> recording_is_on{false};

namespace {

constexpr std::uint64_t closed = std::uint64_t{1} << 63;
constexpr std::uint64_t busy = ~std::uint64_t{0};  // in the place of a number

struct slot {
    atomic<std::uint64_t> words[4];
};
static_assert(sizeof(slot) == sizeof(recorded_event));

struct alignas(64) ring {
    atomic<std::uint64_t> begun{0};  // positions
    atomic<std::uint64_t> done{0};   // events that are complete, or dropped
    // release/acquire: the capacity is there
    atomic<slot*> slots{nullptr};
    std::uint64_t capacity = 0;
};

constinit atomic<std::uint64_t> counter{closed};  // the last number given out, and `closed`
constinit std::uint64_t total = 0;                // of the recording that has ended
constinit std::uint64_t wanted_capacity = 0;
constinit ring rings[max_procs_limit + 1];  // by P; the last for threads without one

ring& shared_ring() noexcept { return rings[max_procs_limit]; }

void put(ring& r, std::uint64_t number, std::uint64_t a, std::uint64_t b,
         std::uint64_t c) noexcept {
    // Null: there was no memory for it.
    if (slot* slots = r.slots.load(memory_order_acquire); slots != nullptr) {
        slot& s = slots[r.begun.fetch_add(1, memory_order_relaxed) & (r.capacity - 1)];
        if (s.words[0].exchange(busy, memory_order_relaxed) != busy) {
            // With the reader's acquire fence: who sees one of the words sees `busy`, or what came later.
            std::atomic_thread_fence(memory_order_release);
            s.words[1].store(a, memory_order_relaxed);
            s.words[2].store(b, memory_order_relaxed);
            s.words[3].store(c, memory_order_relaxed);
            s.words[0].store(number, memory_order_release);
        }
    }
    r.done.fetch_add(1, memory_order_release);  // pairs with all_complete
}

// Ids of Ms are used again, and there are 10,000 at most (scheduler::m_limit).
std::uint16_t number_of(const M* m) noexcept {
    return m != nullptr ? static_cast<std::uint16_t>(m->id) : record_no_m;
}
std::uint16_t number_of(const P* p) noexcept {
    return p != nullptr ? static_cast<std::uint16_t>(p->id) : record_no_p;
}

// The fourth word of an event, of which the first four bytes are what it is.
std::uint64_t last_word(record_kind kind, unsigned change, unsigned reason, const M* m,
                        const P* p) noexcept {
    return static_cast<std::uint64_t>(kind) | std::uint64_t{change} << 8 |
           std::uint64_t{reason} << 16 | std::uint64_t{number_of(m)} << 32 |
           std::uint64_t{number_of(p)} << 48;
}

void record(record_kind kind, unsigned change, unsigned reason, std::uint64_t a,
            std::uint64_t b) noexcept {
    const std::uint64_t last = counter.fetch_add(1, memory_order_relaxed);
    if ((last & closed) != 0) return;
    const M* m = current_m();
    const P* p = m != nullptr ? m->p : nullptr;
    put(p != nullptr ? rings[p->id] : shared_ring(), last + 1, a, b,
        last_word(kind, change, reason, m, p));
}

// Pairs with the release in put().
bool all_complete() noexcept {
    std::uint64_t done = 0;
    for (const ring& r : rings) done += r.done.load(memory_order_acquire);
    return done == total;
}

bool map_ring(ring& r) noexcept {
    const std::uint64_t n = wanted_capacity;
    slot* old = r.slots.load(memory_order_relaxed);
    if (old != nullptr && r.capacity == n) return true;
    if (old != nullptr) os::munmap(old, r.capacity * sizeof(slot));
    r.slots.store(nullptr, memory_order_relaxed);
    r.capacity = 0;
    const int saved = errno;
    void* memory = os::mmap(nullptr, n * sizeof(slot), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    if (memory == MAP_FAILED) return false;
    r.capacity = n;
    r.slots.store(static_cast<slot*>(memory), memory_order_release);
    return true;
}

}  // namespace

void record_status_slow(const G* g, g_status from, g_status to) noexcept {
    const unsigned change = static_cast<unsigned>(from) | static_cast<unsigned>(to) << 4;
    const unsigned reason = to == g_status::waiting ? static_cast<unsigned>(g->reason) : 0;
    record(record_kind::status, change, reason, reinterpret_cast<std::uintptr_t>(g), g->id);
}

void record_p_slow(record_kind what, const P* p, const M* m, const G* g) noexcept {
    record(what, 0, 0, reinterpret_cast<std::uintptr_t>(g),
           record_subject(number_of(p), number_of(m)));
}

// The world is stopped, or has not begun; p is not in use.
void prepare_ring(std::uint32_t p) noexcept {
    if ((counter.load(memory_order_relaxed) & closed) == 0) map_ring(rings[p]);
}

bool prepare_recording(std::uint64_t events_each) noexcept {
    if ((counter.load(memory_order_relaxed) & closed) == 0) return false;
    constexpr std::uint64_t least = 64;
    constexpr std::uint64_t most = std::uint64_t{1} << 26;
    wanted_capacity = std::bit_ceil(events_each < least  ? least
                                    : events_each > most ? most
                                                         : events_each);
    for (std::uint32_t i = 0; i < max_procs_limit; ++i) {
        const bool used = sched.all_ps[i].load(memory_order_acquire) != nullptr;
        if (used && !map_ring(rings[i])) return false;
    }
    return map_ring(shared_ring());
}

namespace {
// So that no event of an earlier recording is taken for one of this, where a thread dies before it has written its own.
void forget_events(const ring& r) noexcept {
    slot* slots = r.slots.load(memory_order_relaxed);
    const std::uint64_t begun = r.begun.load(memory_order_relaxed);
    for (std::uint64_t i = 0; i < begun && i < r.capacity; ++i) {
        slots[i].words[0].store(0, memory_order_relaxed);
    }
}
}  // namespace

void begin_recording() noexcept {
    for (ring& r : rings) {
        forget_events(r);
        r.begun.store(0, memory_order_relaxed);
        r.done.store(0, memory_order_relaxed);
    }
    counter.store(0, memory_order_release);  // rings first
    recording_is_on.store(true, memory_order_release);
    sched.detour.fetch_or(detour_recording, memory_order_release);
}

bool end_recording(unsigned most_rounds) noexcept {
    const std::uint64_t last = counter.fetch_or(closed, memory_order_acq_rel);
    if ((last & closed) != 0) return false;
    total = last;
    fence_all_threads();
    recording_is_on.store(false, memory_order_relaxed);
    sched.detour.fetch_and(~std::uint32_t{detour_recording}, memory_order_relaxed);
    for (unsigned i = 0; i < most_rounds && !all_complete(); ++i) sched_yield();
    return true;
}

// ---- reading the rings ------------------------------------------------------------------------

namespace {

struct sink {
    bool (*write)(void* to, const void* bytes, std::size_t n);
    void* to;
    bool operator()(const void* bytes, std::size_t n) const { return write(to, bytes, n); }
};

// All zero if somebody is, or was meanwhile, writing it.
void copy_event(const slot& s, std::uint64_t* out) noexcept {
    const std::uint64_t number = s.words[0].load(memory_order_acquire);
    for (int i = 1; i < 4; ++i) out[i] = s.words[i].load(memory_order_relaxed);
    std::atomic_thread_fence(memory_order_acquire);
    out[0] = number;
    if (number != busy && s.words[0].load(memory_order_relaxed) == number) return;
    for (int i = 0; i < 4; ++i) out[i] = 0;
}

bool is_empty(const ring& r) noexcept { return r.begun.load(memory_order_relaxed) == 0; }

bool emit_ring(const ring& r, std::uint32_t p, const sink& write) noexcept {
    const std::uint64_t begun = r.begun.load(memory_order_relaxed);
    const recording_ring head{p, 0, begun, begun < r.capacity ? begun : r.capacity};
    if (!write(&head, sizeof(head))) return false;
    constexpr std::uint64_t piece = 64;
    static constinit std::uint64_t words[piece][4] =
        {};  // nothing is known about the caller's stack
    const slot* slots = r.slots.load(memory_order_acquire);
    for (std::uint64_t at = head.begun - head.kept; at < head.begun;) {
        std::uint64_t n = 0;
        for (; n < piece && at < head.begun; ++n, ++at) {
            copy_event(slots[at & (r.capacity - 1)], words[n]);
        }
        if (!write(words, n * sizeof(words[0]))) return false;
    }
    return true;
}

}  // namespace

bool emit_recording(std::uint64_t flags, bool (*write)(void* to, const void* bytes, std::size_t n),
                    void* to) noexcept {
    if ((counter.load(memory_order_acquire) & closed) == 0 || wanted_capacity == 0) return false;
    const sink out{write, to};
    recording_header head{};
    head.magic = recording_header::the_magic;
    head.version = recording_header::the_version;
    head.event_bytes = sizeof(recorded_event);
    head.events = total;
    head.flags = flags;
    head.process = static_cast<std::uint64_t>(getpid());
    for (const ring& r : rings) head.rings += is_empty(r) ? 0u : 1u;
    if (!out(&head, sizeof(head))) return false;
    std::uint32_t left = head.rings;
    for (std::uint32_t i = 0; i <= max_procs_limit && left != 0; ++i) {
        if (is_empty(rings[i])) continue;
        --left;
        const std::uint32_t p = i < max_procs_limit ? i : recording_ring::shared;
        if (!emit_ring(rings[i], p, out)) return false;
    }
    return true;
}

}  // namespace vole::detail
