// How many threads the process has, as the kernel counts them. Stack: any. Allocates nothing.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {

/// Threads of the process now; 0 when that cannot be known.
std::uint64_t process_threads() noexcept;

/// Once, by the first thread that starts the runtime.
void prepare_process_threads() noexcept;

}  // namespace vole::inline v0::detail
