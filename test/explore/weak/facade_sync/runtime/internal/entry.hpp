// In the place of the runtime's own: nobody is preempted in the model.
#pragma once

namespace vole::inline v0::detail {

class runtime_entry {
  public:
    runtime_entry() noexcept {}
    ~runtime_entry() {}
};
class runtime_pin {
  public:
    runtime_pin() noexcept {}
    ~runtime_pin() {}
};

}  // namespace vole::detail
