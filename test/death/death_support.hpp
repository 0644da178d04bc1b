// What the programs that must end share. Each is a hidden test case "child: ..." that a visible one runs in
// a process of its own; it reports by printing lines, which the visible one looks for.
#pragma once

#include <vole/runtime.hpp>

#include "test/support/scale.hpp"
#include "test/support/subprocess.hpp"
#include "test/support/wait.hpp"

#include <cstdio>
#include <string>

namespace vole::test {

/// Prints a line that the parent can look for even if the process ends right afterwards.
inline void say(const char* text) {
    std::printf("%s\n", text);
    std::fflush(stdout);
}
inline void say(const char* name, long long value) {
    std::printf("%s=%lld\n", name, value);
    std::fflush(stdout);
}

/// Says so when it is destroyed: after a fatal error no destructor runs.
struct tells_destruction {
    ~tells_destruction() { say("destroyed"); }
};

/// How often `part` occurs in `text`.
inline int count_of(const std::string& text, const std::string& part) {
    int n = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size())
        ++n;
    return n;
}

/// "fatal error: TEXT" stands on a line of its own, exactly once.
inline bool fatal_says(const subprocess_result& r, const std::string& text) {
    return count_of("\n" + r.err, "\nfatal error: ") == 1 &&
           count_of("\n" + r.err, "\nfatal error: " + text + "\n") == 1;
}

}  // namespace vole::test
