#include "test/growth/copying/copying_support.hpp"

namespace vole::test {

std::size_t dig(std::size_t levels) {
    volatile std::size_t room[24];
    room[levels % 24] = levels;
    if (levels == 0) return 0;
    return dig(levels - 1) + (room[levels % 24] == levels ? 1 : 0);
}

}  // namespace vole::test
