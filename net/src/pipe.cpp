// net::pipe(). What the two ends do is in pipe_end.cpp, how bytes get across in pipe_lane.cpp.
#include <vole/net/conn.hpp>

#include "net/src/pipe.hpp"

namespace vole::inline v0::net {

std::pair<conn, conn> pipe() {
    const auto [one, other] = detail::pipe_make();
    return {conn(one), conn(other)};
}

}  // namespace vole::net
