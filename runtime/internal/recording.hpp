// The format of a recording: which goroutine changed its status when, and who owned which P. Written by
// runtime/src/trace/record.cpp, read by tools/trace. All numbers are little endian.
//
//     header                     48 bytes
//     for each ring:  ring head  24 bytes
//                     events     32 bytes each, as many as the head says, oldest first
//     nothing behind the last ring
//
// A ring belongs to a P and holds what happened under it; one more holds what was done by threads without a
// P. Rings overwrite their oldest events, so a recording holds the end of what happened.
//
// Events are numbered from 1 over all rings, in an order in which causes come before effects (record.cpp has
// the argument). Numbers are given out without gaps: where one is missing, an event was overwritten or not
// complete when it was written, and a run of numbers without a gap is all that happened meanwhile. The rules
// hold in each run, strictly, for what is known since its beginning; that is the reader's business.
//
// Stack: any. Nothing here but the layout.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vole::inline v0::detail {

struct recording_header {
    static constexpr std::uint64_t the_magic = 0x0a434552454c4f56;  // "VOLEREC\n"
    static constexpr std::uint32_t the_version = 1;

    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t event_bytes;  // sizeof(recorded_event)
    std::uint32_t rings;
    std::uint32_t reserved;  // 0
    std::uint64_t events;    // numbers given out: 1 up to this one
    std::uint64_t flags;     // recording_*
    std::uint64_t process;   // its id
};
static_assert(sizeof(recording_header) == 48);

/// Of recording_header::flags.
inline constexpr std::uint64_t recording_crashed = 1;  // written while the process was dying

struct recording_ring {
    static constexpr std::uint32_t shared = 0xffffffff;

    std::uint32_t p;         // the P's number, or `shared`
    std::uint32_t reserved;  // 0
    std::uint64_t begun;     // events that were put into it
    std::uint64_t kept;      // the last of them, which follow
};
static_assert(sizeof(recording_ring) == 24);

enum class record_kind : std::uint8_t {
    none,     // not complete when it was written: all zero
    status,   // a goroutine's, from and to
    acquire,  // the acting thread has the P
    release,  // the acting thread gives it up
    syscall,  // the acting thread leaves it behind and goes into a system call
    back,     // and has it again
    retake,   // somebody takes it from a system call
    detach,   // sysmon takes it from the thread `m`, whose goroutine goes on without
    hand,     // it is to be acquired by the thread `m`
    unhand,   // that one did not come to be
};
inline constexpr std::uint8_t record_kinds = 10;

inline constexpr std::uint16_t record_no_m = 0xffff;
inline constexpr std::uint16_t record_no_p = 0xffff;

struct recorded_event {
    std::uint64_t number;
    std::uint64_t slot;     // names the G's memory: status, detach; else 0
    std::uint64_t subject;  // status: the goroutine's id; else P | M << 16
    record_kind kind;
    std::uint8_t change;    // status: from | to << 4, as in g_status; else 0
    std::uint8_t reason;    // status, to waiting: wait_reason; else 0
    std::uint8_t reserved;  // 0
    std::uint16_t m;        // the acting thread, or record_no_m: not one of ours, or sysmon
    std::uint16_t p;        // the P it has as far as it knows, or record_no_p
};
static_assert(sizeof(recorded_event) == 32 && offsetof(recorded_event, kind) == 24);

constexpr std::uint64_t record_subject(std::uint16_t p, std::uint16_t m) noexcept {
    return std::uint64_t{p} | std::uint64_t{m} << 16;
}

}  // namespace vole::detail
