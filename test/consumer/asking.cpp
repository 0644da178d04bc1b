// Asks for a dense stack and says what it is told.
#include <cstdio>
#include <exception>

#include <vole/vole.hpp>

int main() {
    try {
        vole::stack_policy (*const ask)(std::size_t) = &vole::stack_policy::dense;
        ask(2048);
    } catch (const std::exception& refused) {
        std::printf("%s\n", refused.what());
        return 1;
    }
    return 0;
}
