// Memory for modelled units: there is always enough. The real header: runtime/internal/os.hpp.
#pragma once

#include <cstdlib>

namespace vole::inline v0::detail::os {

using std::aligned_alloc;
using std::calloc;
using std::malloc;
inline int madvise(void*, std::size_t, int) noexcept { return 0; }

}  // namespace vole::inline v0::detail::os
