// In the place of the runtime's own: threads sleep in the model.
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>

#include "test/explore/weak/blocking.hpp"

namespace vole::inline v0::detail {

void futex_wait(const atomic<std::uint32_t>* at, std::uint32_t expected,
                std::int64_t ns = -1) noexcept;
void futex_wake(const atomic<std::uint32_t>* at, int n) noexcept;
inline std::int64_t nanotime() noexcept { return 0; }

class note {
  public:
    void wake() noexcept { weak_memory::wake(this); }
    void sleep() noexcept { weak_memory::sleep(this); }
    bool sleep_for(std::int64_t) noexcept { weak_memory::fail("nobody waits for a time here"); }
    void clear() noexcept {}

  private:
    [[maybe_unused]] char unused_ = 0;
};

}  // namespace vole::inline v0::detail
