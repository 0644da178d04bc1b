// How to hang up on somebody who may still be talking.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <system_error>

#include <vole/vole.hpp>

namespace serving {

/// Before closing after a last answer. Closing while there is something unread makes the kernel throw away what we have
/// just sent. So: says that this was all, and reads for a moment what the other end was about to send.
inline void linger(vole::net::conn& conn) {
    constexpr std::size_t most = 256 * 1024;
    std::error_code ec;
    conn.close_write(ec);
    if (!ec) conn.set_read_deadline(vole::clock::now() + std::chrono::milliseconds(500), ec);
    std::array<std::byte, 2048> ignored;
    for (std::size_t total = 0; !ec && total < most;) {
        const std::size_t n = conn.read(ignored, ec);
        if (n == 0) return;
        total += n;
    }
}

}  // namespace serving
