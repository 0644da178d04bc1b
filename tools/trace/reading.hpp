// Reading a recording: from bytes to events in the order of their numbers. Believes nothing: any bytes give events
// or a reason, and the memory taken is a small multiple of their number.
//
// Format: runtime/internal/recording.hpp. Knows of no rule: that is checking.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/internal/recording.hpp"

namespace vole::trace {

using event = detail::recorded_event;
using detail::record_kind;

struct recording {
    std::vector<event> events;     // by number, each once
    std::uint64_t given_out = 0;   // numbers
    std::uint64_t incomplete = 0;  // events that were half written
    std::uint64_t process = 0;
    bool crashed = false;
};

/// Empty: `into` holds the recording. Else what is wrong with it.
std::string read(std::span<const std::byte> bytes, recording& into);

}  // namespace vole::trace
