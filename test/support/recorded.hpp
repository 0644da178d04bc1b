// Recording a test's goroutines and Ps, and checking them at its end (tools/trace).
//
// On the test case's own thread, outside of vole::run. No goroutine may be running when it begins, and no other
// thread use the library; both may afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/src/trace/record.hpp"
#include "tools/trace/checking.hpp"

namespace vole::test {

class recorded {
  public:
    /// `crash_file` must live as long as the process; see start_recording.
    explicit recorded(std::uint64_t events_each = detail::default_recorded_events,
                      const char* crash_file = nullptr);
    ~recorded();
    recorded(const recorded&) = delete;
    recorded& operator=(const recorded&) = delete;

    /// False: it was not quiet, or there is a recording already.
    bool is_on() const { return on_; }

    /// Ends the recording and checks it.
    trace::result finish();

    /// After finish().
    const std::vector<std::byte>& bytes() const { return bytes_; }

  private:
    bool on_;
    std::vector<std::byte> bytes_;
};

}  // namespace vole::test
