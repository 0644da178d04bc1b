// Errors nobody can catch.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {

/// Prints "fatal error: TEXT" and the goroutines, then aborts the process. `detail` lines, if any,
/// are printed before. Stack: any but a signal handler's; async-signal-safe code inside.
[[noreturn]] void fatal(const char* text, const char* detail = nullptr) noexcept;

/// Small text builder for messages on paths that must not allocate.
class message {
  public:
    message& operator<<(const char* s) noexcept;
    message& operator<<(std::uint64_t n) noexcept;
    message& hex(std::uint64_t n) noexcept;
    const char* c_str() const noexcept { return text_; }
    void write_to(int fd) noexcept;  ///< writes and empties

  private:
    char text_[1024] = {};
    unsigned size_ = 0;
};

}  // namespace vole::detail
