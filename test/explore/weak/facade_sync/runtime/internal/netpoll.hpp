// In the place of the runtime's own: waits need not be counted.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {
inline void io_wait_begins() noexcept {}
inline void io_waits_end(std::uint32_t) noexcept {}
inline void watch_io(bool) noexcept {}
inline bool nothing_else_to_run() noexcept { return false; }
}  // namespace vole::detail
