// Two words at once: all that <vole/atomic_pair.hpp> needs of a processor. Objects are aligned to 16.
//
// A processor that has no untorn load of 16 bytes loads by an exchange of nothing for nothing. That wants the
// cache line for itself, and memory that can be written: so no caller may count on less.
#pragma once

#include <cstdint>

extern "C" {
/// `to` becomes what the two words at `object` are at one moment. Sequentially consistent.
void vole_load_pair(void* object, std::uint64_t* to) noexcept;

/// If the two words at `object` are those at `expected`, they become `first` and `second`, and 1 is
/// returned; else `expected` becomes what they were at one moment, and 0 is returned. Never fails without
/// reason. Sequentially consistent, also when it fails.
int vole_exchange_pair(void* object, std::uint64_t* expected, std::uint64_t first,
                       std::uint64_t second) noexcept;
}
