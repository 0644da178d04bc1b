// The real one again, which facade_sync/ replaces.
#include "../../../../../../time/internal/alarm.hpp"
