// In the place of the runtime's own.
#pragma once

#include <cstddef>

#include <vole/detail/explore_point.hpp>

namespace vole::inline v0::detail {

struct operation {
    const char* what = "";
    void touches(const void*) noexcept {}
    static operation on_everything(const char*) noexcept { return {}; }
};
inline void explore_here(const operation&) noexcept {}
std::uint32_t choose_below(std::uint32_t n) noexcept;

}  // namespace vole::detail
