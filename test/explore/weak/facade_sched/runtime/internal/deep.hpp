// In the place of the runtime's own: there is room.
#pragma once

#include "test/explore/weak/facade_sync/runtime/internal/deep.hpp"
