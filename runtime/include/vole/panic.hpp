// Panics as C++ exceptions.
#pragma once

#include <any>
#include <exception>
#include <string>
#include <utility>

namespace vole::inline v0 {

/// A panic: what Go's panic(v) is here. Any goroutine may throw it, or any other exception.
class panic_error : public std::exception {
  public:
    panic_error(std::any value, std::string text)
        : value_(std::move(value)), text_(std::move(text)) {}

    /// The value that was panicked with; the text for the runtime's own panics.
    const std::any& value() const noexcept { return value_; }
    /// The value as text.
    const char* what() const noexcept override { return text_.c_str(); }

  private:
    std::any value_;
    std::string text_;
};

/// Misuse that Go answers with a run-time panic: send on a closed channel, close of a nil channel,
/// a negative wait_group counter, ... The object concerned stays usable unless its page says not.
class runtime_error : public panic_error {
  public:
    explicit runtime_error(const std::string& text) : panic_error(text, text) {}
};

}  // namespace vole
