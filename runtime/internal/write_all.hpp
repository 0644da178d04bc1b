// Text for a descriptor that somebody looks at: stderr, a recording, a traceback. Blocks as write(2) does; allocates
// nothing, so that a signal handler may use it. Stack: any.
#pragma once

#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

/// All n bytes, however often it takes. False: errno says why not; some may have been written.
inline bool write_all(int fd, const void* bytes, std::size_t n) noexcept {
    const char* at = static_cast<const char*>(bytes);
    while (n > 0) {
        const ssize_t wrote = os::write(fd, at, n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        at += wrote;
        n -= static_cast<std::size_t>(wrote);
    }
    return true;
}

}  // namespace vole::inline v0::detail
