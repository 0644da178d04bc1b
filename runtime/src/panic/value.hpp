// What values and types of exceptions are called. Allocates. Stack: any with room.
#pragma once

#include <string>
#include <typeinfo>

#include <vole/panic.hpp>

namespace vole::inline v0::detail {

std::string type_name(const std::type_info& type);

/// A panic whose value cannot be printed: its to_string() has thrown. The text is what that threw.
class unprintable_error : public panic_error {
  public:
    using panic_error::panic_error;
};

}  // namespace vole::detail
