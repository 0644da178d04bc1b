// VOLE_DEBUG: settings for whoever looks into the runtime, after the model of GODEBUG.
//
// A comma list of name=value; the last one of a name wins; an unknown name or an unusable value is left
// out with one line on stderr, because a silent typing error costs an afternoon. Read once, at the first
// call of debug_settings(). Nothing allocates or throws. Stack: any.
#pragma once

#include <string_view>

namespace vole::inline v0::detail {

struct settings {
    int schedtrace_ms = 0;  // schedtrace=N: a line about the scheduler each N ms; 0: never
    bool container_maxprocs =
        true;  // containermaxprocs=0: the default of gomaxprocs ignores the quota
    bool update_maxprocs = true;   // updatemaxprocs=0: the default is computed once, at start
    bool lockrank = false;         // lockrank=1: check the order of the runtime's locks
    bool stacktrace = false;       // stacktrace=1: a line for each growth of a stack
    bool stackexplain = false;     // stackexplain=1: a readable account of each growth
    bool stackverify = false;      // stackverify=1: stacks that copies left stay inaccessible
    bool asyncpreemptoff = false;  // asyncpreemptoff=1: no goroutine is stopped by a signal
    bool preempttrace = false;     // preempttrace=1: a line for each preemption
    bool preemptexplain = false;   // preemptexplain=1: a readable account of each
    std::string_view record;  // record=FILE: what goroutines and Ps do; lives as long as the text
    int recordsize = 0;       // recordsize=N: events kept for each P; 0: the default
    std::string_view
        fail;  // fail=mmap@3+read%100: which calls fail (runtime/internal/may_fail.hpp); lives as long
};

/// `warn` is called with each complaint, without newline; the message dies with the call. Either
/// argument may be null.
[[nodiscard]] settings parse_settings(const char* text, void (*warn)(const char* message)) noexcept;

/// The settings of this process. Any thread may call it at any time.
[[nodiscard]] const settings& debug_settings() noexcept;

}  // namespace vole::detail
