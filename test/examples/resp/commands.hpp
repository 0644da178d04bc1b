// What the server understands, and how it answers: in Redis's words, so that its clients feel at home.
#pragma once

#include <span>
#include <string_view>

#include "../serving/buffers.hpp"
#include "store.hpp"

namespace resp {

/// Runs a command, and writes its reply. False: the client wants to leave (QUIT).
bool execute(std::span<const std::string_view> arguments, store& data, serving::output& out);

/// An error, as it is sent: "-TEXT\r\n".
void write_error(serving::output& out, std::string_view text);

}  // namespace resp
