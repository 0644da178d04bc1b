// A language of channel programs, small enough that all that one of them may do
// can be enumerated: a few processes, each a list of operations on a few
// channels. There are no variables, no branches but the select's and no loops
// but `range`, so a program is a value that can be made at random, printed, run
// and explained.
//
// Every value that a program sends occurs in it once: whoever receives it tells
// where it came from.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace vole::proof {

enum class op_kind : std::uint8_t {
    send,
    recv,
    close,
    try_send,
    try_recv,
    select,
    range,  ///< receives until the channel is closed and drained
    /// Waits until all other processes have returned or wait. Only process 0 may:
    /// two could see each other pause, and go on at once. Without it, nobody
    /// could tell in which order others came to wait.
    pause,
};

/// Instead of a channel's number.
inline constexpr std::uint8_t nil_channel = 0xff;

struct select_arm {
    bool send = false;
    std::uint8_t channel = 0;
    std::uint8_t value = 0;
};

struct operation {
    static constexpr std::size_t most_arms = 3;

    op_kind kind = op_kind::send;
    std::uint8_t channel = 0;
    std::uint8_t value = 0;  ///< of a send
    std::uint8_t arms = 0;
    bool has_default = false;
    std::array<select_arm, most_arms> arm{};
};

struct program {
    static constexpr std::size_t most_channels = 3;
    static constexpr std::size_t most_processes = 4;
    static constexpr std::size_t most_capacity = 2;

    std::vector<std::uint8_t> capacities;  ///< one for each channel
    std::vector<std::vector<operation>> processes;
};

/// As somebody would write it down:
///     channels: a(0) b(2)
///     p0: a <- 1; <-b; close a
///     p1: select { <-a | b <- 7 | default }; range a
std::string to_text(const program& p);
std::string to_text(const operation& op);

}  // namespace vole::proof
