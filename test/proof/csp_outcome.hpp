// What came of a program: for each process the results of its operations in
// order, how many of them it had when nothing moved any more, and what was then
// found in the channels. The model and the run speak of outcomes in these
// words, and share nothing else.
//
// The end, the same for both: once every process has returned or waits for
// ever, an inspector goes through the channels in order. No process begins
// another operation after that; one that the inspector wakes notes how its
// operation ended, and returns.
//   for each channel: its len; values received without waiting, until there is
//   none for each channel: inspector's values sent without waiting, until one
//   is refused for each channel: closed
// So who was in which queue at which place can be told, and what a select has
// left behind.
#pragma once

#include "test/proof/csp_program.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace vole::proof {

enum class event_kind : std::uint8_t {
    sent = 1,
    value,         ///< received
    closed,        ///< a receive found the channel closed and drained
    not_ready,     ///< a try_send or try_recv
    defaulted,     ///< a select took its default
    closes,        ///< a close that succeeded
    send_panics,   ///< "send on closed channel"; of a select, no case is known then
    close_panics,  ///< "close of closed channel"
    nil_panics,    ///< "close of nil channel"
    paused,
    length,  ///< the inspector's
    other,   ///< nothing that may be: an exception that is none of these, say
};

struct event {
    event_kind kind;
    std::uint8_t arm = 0;  ///< of a select
    std::uint8_t value = 0;

    friend bool operator==(const event&, const event&) = default;
};

/// The inspector's values: no program sends these.
inline constexpr std::uint8_t inspector_values = 200;
/// More than any channel can take of them, with everybody waiting for it.
inline constexpr int most_inspector_values = program::most_capacity + program::most_processes + 2;

struct outcome {
    std::vector<std::vector<event>> processes;
    std::vector<std::size_t> before_inspection;  ///< for each process, how many of its events
    std::vector<event> inspection;

    /// Equal for equal outcomes, and only for those.
    std::string key() const;
};

std::string to_text(const event& e);
/// A line for each process and one for the inspector: "p0: sent, got 7 |
/// closed", where what stands behind the bar came of the inspection.
std::string to_text(const outcome& o);
/// The same of outcome::key().
std::string key_to_text(const std::string& key);

}  // namespace vole::proof
