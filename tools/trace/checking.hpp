// Whether what was recorded may happen. The rules, each of which has a name that a finding gives:
//
//   transition   the change of status is in the table (runtime/internal/g_status.hpp)
//   continuity   a goroutine is in the status it was left in
//   one ready    each park is ended by one ready, and only a park is
//   identity     the memory of a G holds one goroutine from go() to its recycling; no id is used twice
//   one thread   a goroutine runs on one M at a time, and only that M changes its status
//   one goroutine  an M runs one goroutine at a time
//   one owner    a P is acquired only when nobody has it, by whom it was handed to if it was
//   one P        an M has one P at a time
//   ownership    who gives a P up, or leaves it in a system call, has it; what is retaken was left there
//   pair         each thread acts with the P that it is known to have
//   needs a P    a goroutine becomes running only on an M with a P, and stays so
//
// They hold within each run of numbers without a gap. Nothing is known when one begins; what an event says of the
// time before it is taken for true, and held against what follows.
//
// A finding is not an end: what the event says is believed from there on, so that one mistake is one finding, or few.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tools/trace/reading.hpp"

namespace vole::trace {

struct finding {
    std::uint64_t event = 0;    // its number
    std::uint64_t earlier = 0;  // the event it contradicts; 0: none in particular
    std::string rule;
    std::string text;
};

struct result {
    std::string unreadable;  // why; empty: it has been read
    std::vector<finding> findings;
    std::uint64_t more_findings = 0;  // than are told
    std::uint64_t given_out = 0;      // events that there were
    std::uint64_t checked = 0;        // events that there are
    std::uint64_t runs = 0;           // without a gap
    std::uint64_t longest_run = 0;
    std::uint64_t incomplete = 0;  // events that were half written
    bool crashed = false;

    bool good() const { return unreadable.empty() && findings.empty(); }
};

inline constexpr std::size_t most_findings = 50;

/// Any bytes at all. Memory: a small multiple of theirs.
result check(std::span<const std::byte> bytes);

/// The result in words, several lines.
std::string to_text(const result& r);

}  // namespace vole::trace
