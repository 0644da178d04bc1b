// In the place of the runtime's own: a lock of the model.
#pragma once

#include "test/explore/weak/facade_sync/runtime/internal/lock.hpp"
