// In the place of the runtime's own: there are no bubbles in the model.
#pragma once
#include <vole/detail/bubble_id.hpp>
