// Recording what goroutines and Ps do, for tools/vole check-trace. Off by default; then it costs a load and a
// branch at each change of a goroutine's status.
//
// Switched on by VOLE_DEBUG=record=FILE (from the start of the runtime to the end of the process, however that
// comes), or by a test: start_recording, stop_recording, take_recording. The format is
// runtime/internal/recording.hpp.
//
// Stack: as noted; record_*: any, small ones and the signal handler that stops goroutines included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <vole/detail/atomic.hpp>

#include "runtime/internal/g.hpp"
#include "runtime/internal/recording.hpp"

namespace vole::inline v0::detail {

struct P;

// ---- record.cpp: what happens -----------------------------------------------------------------
extern atomic<bool> recording_is_on;

void record_status_slow(const G* g, g_status from, g_status to) noexcept;
void record_p_slow(record_kind what, const P* p, const M* m, const G* g) noexcept;

/// Whoever changes g's status, before it does.
inline void record_status(const G* g, g_status from, g_status to) noexcept {
    // relaxed: record.cpp, "Beginning".
    if (recording_is_on.load(memory_order_relaxed)) [[unlikely]]
        record_status_slow(g, from, to);
}
/// The new owner, having acquired p; the old one, or who takes it, before anybody else can have it.
/// `m`: detach, hand, unhand: the other thread. `g`: detach: its goroutine.
inline void record_p(record_kind what, const P* p, const M* m = nullptr,
                     const G* g = nullptr) noexcept {
    if (recording_is_on.load(memory_order_relaxed)) [[unlikely]]
        record_p_slow(what, p, m, g);
}

inline constexpr std::uint64_t default_recorded_events = std::uint64_t{1} << 16;

/// When P number `p` is made: its ring, if a recording is going on.
void prepare_ring(std::uint32_t p) noexcept;
/// Makes rings of that many events, rounded up to a power of two, for all Ps there are; nothing is recorded
/// yet. False: there is a recording, or no memory.
bool prepare_recording(std::uint64_t events_each) noexcept;
void begin_recording() noexcept;
/// No event has a number above the ones there are. Waits until all are complete, for so many rounds at most.
/// False: nothing was being recorded.
bool end_recording(unsigned most_rounds) noexcept;
/// Writes the last recording, by pieces. False: there is none, or `write` said so. One caller at a time.
/// Async-signal-safe if `write` is.
bool emit_recording(std::uint64_t flags, bool (*write)(void* to, const void* bytes, std::size_t n),
                    void* to) noexcept;

// ---- record_control.cpp: when -----------------------------------------------------------------
/// Ordinary threads: records from here on. Before the runtime has started, or while it is quiet: all goroutines
/// wait, nobody uses the library; waits a while for that. `crash_file`, which must live on: where the recording is
/// written if the process dies of it; null: nowhere. False: it is not quiet, is recording already, or has no memory.
bool start_recording(std::uint64_t events_each = default_recorded_events,
                     const char* crash_file = nullptr) noexcept;
/// Ordinary threads. False: nothing was being recorded. Afterwards the recording is there to be emitted.
bool stop_recording() noexcept;
/// When the runtime starts: as VOLE_DEBUG says.
void start_recording_as_asked() noexcept;
/// Who is about to end the process because of an error: writes the recording if it has a file. Once.
/// Async-signal-safe.
void save_recording_of_crash() noexcept;

}  // namespace vole::detail
