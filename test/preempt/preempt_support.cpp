#include "test/preempt/preempt_support.hpp"

#include <cstdlib>
#include <cstring>

namespace vole::test {

void choose_migration() {
    const char* text = std::getenv("VOLE_TEST_FREE");
    if (text == nullptr || std::strcmp(text, "1") != 0) return;
    preempt::configure({.preempt_migration = preempt::migration::free});
}

}  // namespace vole::test
