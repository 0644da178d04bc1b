// One end of net::pipe(): what conn calls if there is no descriptor. See pipe_end.cpp.
//
// All may be called from any goroutine or thread, and clear ec on success.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>

#include "net/src/io_object.hpp"

namespace vole::inline v0::detail {

/// Both ends, each of which goes by pipe_destroy. Throws std::bad_alloc.
std::pair<io_object*, io_object*> pipe_make();
std::size_t pipe_read(io_object* end, std::span<std::byte> to, std::error_code& ec);
/// All pieces, as one write.
std::size_t pipe_write(io_object* end, std::span<const std::span<const std::byte>> from,
                       std::error_code& ec);
void pipe_close(io_object* end, std::error_code& ec) noexcept;
/// `directions`: dir_read, dir_write or both. The other end sees the end of the stream, or cannot write any more.
void pipe_shutdown(io_object* end, unsigned directions, std::error_code& ec) noexcept;
/// `when`: of vole::clock, in ns; 0: none.
void pipe_set_deadline(io_object* end, unsigned directions, std::int64_t when, std::error_code& ec);
/// Closes it if it is open. Nobody uses it any more.
void pipe_destroy(io_object* end) noexcept;

}  // namespace vole::detail
