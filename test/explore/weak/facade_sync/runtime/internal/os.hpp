// Memory for modelled units: there is always enough. The real header: runtime/internal/os.hpp.
#pragma once

#include <cstdlib>

namespace vole::inline v0::detail::os {

using std::aligned_alloc;
using std::calloc;
using std::malloc;

}  // namespace vole::inline v0::detail::os
