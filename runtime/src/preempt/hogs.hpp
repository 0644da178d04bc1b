// Which goroutines are likely to run until a signal stops them, judged by the function they begin with.
//
// A score for each function: up when one of its goroutines is frozen for the first time, down when one is
// begun while others are frozen. So a function counts as a hog only if half of its goroutines or more are:
// many programs start all they do through one function.
//
// All under sched.mu. Stack: any, the signal handler's included.
#pragma once

#include "runtime/internal/g.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

void note_frozen(G* g) noexcept VOLE_REQUIRES(sched.mu);
void note_begun(const G* g) noexcept VOLE_REQUIRES(sched.mu);
/// Of one that has not begun. A guess: g may be taken by a thief meanwhile; Gs are never freed.
bool is_likely_hog(const G* g) noexcept VOLE_REQUIRES(sched.mu);

}  // namespace vole::detail
