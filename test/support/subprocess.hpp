// Running one test case in a process of its own: for what ends the process (fatal errors, limits).
//
// The case is hidden from ordinary runs by the tag [.child]:
//
//     TEST_CASE("child: close twice", "[.child]") { ... }
//     TEST_CASE("CHAN-7 ...") {
//         const auto r = run_case_in_subprocess("child: receive from nil");
//         CHECK(r.aborted());
//         CHECK_THAT(r.err, Catch::StartsWith("fatal error: all goroutines are asleep - deadlock!"));
//     }
//
// Environment: VOLE_TEST_WRAPPER (else MESON_EXE_WRAPPER), words to put before the command: an emulator.
#pragma once

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

namespace vole::test {

struct subprocess_result {
    std::string out;         ///< standard output; holds what Catch2 prints, too
    std::string err;         ///< standard error
    int exit_status = -1;    ///< -1: it did not exit by itself
    int signal = 0;          ///< that ended it; 0: none
    bool timed_out = false;  ///< it was killed at the limit

    bool aborted() const { return signal == SIGABRT && !timed_out; }
    bool succeeded() const { return exit_status == 0 && !timed_out; }
    /// Everything, for INFO.
    std::string text() const;
};

struct subprocess_options {
    std::vector<std::string> env = {};  ///< "NAME=value", in addition to our own or instead of it
    std::chrono::seconds limit{0};      ///< 0: patience()
};

/// Runs this program's test case of exactly this name, in a process that dumps no core.
/// Throws std::system_error when no process can be started. Blocks the thread: call it from the
/// test case's own.
subprocess_result run_case_in_subprocess(const std::string& name, subprocess_options options = {});

/// The same for any command; the wrapper is put before it only if `wrap`.
subprocess_result run_in_subprocess(std::vector<std::string> command, bool wrap,
                                    subprocess_options options = {});

/// Whether this process was started by run_case_in_subprocess.
bool is_subprocess();

}  // namespace vole::test
