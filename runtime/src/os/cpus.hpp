// How many CPUs there are for us, and how many Ps follow from that.
//
// Pure arithmetic except affinity_count(), which asks the kernel. Nothing allocates, throws or locks, so
// sysmon may call it all. Stack: any with 8 KiB to spare (the affinity mask lies on it).
#pragma once

namespace vole::inline v0::detail {

/// The most Ps that can be asked for. A P is cheap, but a typing error in an environment variable should
/// not cost gigabytes.
inline constexpr int max_procs_limit = 4096;

/// CPUs the calling thread may run on, at least 1.
[[nodiscard]] int affinity_count() noexcept;

/// min(affinity, max(2, ceil(quota))); a negative quota is no quota. The floor of 2 is only for the quota:
/// with one P a goroutine that computes would hold up those that answer, although the quota allows
/// bursts; an affinity of one CPU leaves no choice.
[[nodiscard]] int default_procs(double quota_or_negative, int affinity) noexcept;

/// The value of VOLE_MAXPROCS if it is a whole number from 1 to max_procs_limit, else 0: bad text is
/// ignored as if the variable was not set. Null is allowed.
[[nodiscard]] int parse_maxprocs(const char* text) noexcept;

}  // namespace vole::detail
