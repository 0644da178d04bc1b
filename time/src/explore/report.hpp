// What people see of a schedule that failed.
#pragma once

#include <string>

#include "time/src/explore/explored_run.hpp"

namespace vole::inline v0::detail {

/// The goroutines and what they did, a line for each time that another one went on.
std::string schedule_text(const explored_run& run);

/// While one lives, a process that aborts in an explored bubble writes how that schedule is replayed. Any number of them.
class abort_note {
  public:
    abort_note();
    ~abort_note();
    abort_note(const abort_note&) = delete;
    abort_note& operator=(const abort_note&) = delete;
};

}  // namespace vole::detail
