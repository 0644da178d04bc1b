// In the place of the runtime's own: nobody is preempted in the model.
#pragma once

#include <cstdint>

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

inline constexpr std::uint32_t no_proc = ~std::uint32_t{0};
/// As the test says, which sees to it that no two threads have one P at the same time.
std::uint32_t current_proc() noexcept;

}  // namespace vole::detail
