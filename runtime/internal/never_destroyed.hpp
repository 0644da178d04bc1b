// What lives as long as the process: goroutines and threads of the runtime go on while it exits, so
// nothing that they may look at has a destructor that runs then. (clang's -Wexit-time-destructors
// holds the libraries to it.)
//
// Stack: any that a thread-safe static may be made on.
#pragma once

#include <cstddef>
#include <new>

namespace vole::inline v0::detail {

/// The one T of its type, made by the first who asks; no memory is allocated for it.
template <class T>
T& never_destroyed() noexcept {
    alignas(T) static std::byte memory[sizeof(T)];
    static T* const it = ::new (static_cast<void*>(memory)) T;
    return *it;
}

}  // namespace vole::inline v0::detail
